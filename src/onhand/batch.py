"""One batch of work in one transaction: lock, decide in memory, write once. Runs in a writer thread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from onhand import companions
from onhand.desk import LEVEL_COMMANDS, Desk, Job, expand, load
from onhand.stock import ledger
from onhand.stock.ledger import Refused
from onhand.stock.model import (
    ABSENT,
    AnyCommand,
    AnyRefusal,
    Closed,
    Forbidden,
    Level,
    Place,
    Reservation,
    Unknown,
)
from onhand.store import books, requests
from onhand.store.books import Guard, Named, Spot
from onhand.work import Accepted, Answer, Companion, Conflict, Group, Outcome, Recorded, Work

KeyName = tuple[int, str, str]


class Done(NamedTuple):
    """A decided work: outcomes whose ``seq`` is still an offset, and the levels as it left them."""

    at: int
    work: Work
    outcomes: list[Outcome]
    levels: dict[Place, Level]


def commit(connection: Connection, works: Sequence[Work], now: int) -> list[Recorded | None]:
    """Decide ``works`` in order of arrival and write what they do; one `Recorded` each, in order.

    None stands for a work whose idempotency key an earlier one of the batch has: it is for a later
    batch. The caller begins and commits the transaction; an exception means that nothing of it may
    be kept.
    """
    known = requests.claim(connection, _claims(works), now)
    gone = _gone(connection, works, now)
    recorded: list[Recorded | None] = [None] * len(works)
    fresh: list[tuple[int, Work]] = []
    taken: set[KeyName] = set()
    for at, work in enumerate(works):
        name = _name(work)
        if at in gone:
            recorded[at] = Recorded(done_before=True)
        elif name is not None and name in known:
            recorded[at] = Recorded(replay=replay(known[name], work))
        elif name is None or name not in taken:
            fresh.append((at, work))
            if name is not None:
                taken.add(name)
    if fresh:
        _record(connection, fresh, recorded, now)
    return recorded


def _record(
    connection: Connection, fresh: list[tuple[int, Work]], recorded: list[Recorded | None], now: int
) -> None:
    jobs = expand(connection, fresh)
    desks = load(connection, jobs, now)
    done = [_decide(desks[job.work.account], job, now) for job in jobs]
    for account, desk in sorted(desks.items()):
        count = len(desk.draft.entries)
        if count:
            desk.seq, desk.recorded_at = books.advance(connection, account, count, now)
        else:
            desk.seq, desk.recorded_at = books.last(connection, account)
    for one in done:
        recorded[one.at] = _recorded(one, desks[one.work.account])
    _write(connection, desks, done, now)
    _answer(connection, done, recorded, now)


# --- keys and messages --------------------------------------------------------------------------------


def _name(work: Work) -> KeyName | None:
    return (work.account, work.key.scope, work.key.key) if work.key else None


def _claims(works: Sequence[Work]) -> list[tuple[int, str, str, str]]:
    keys: dict[KeyName, str] = {}
    for work in works:
        if work.key is not None:
            keys.setdefault((work.account, work.key.scope, work.key.key), work.key.fingerprint)
    return [(*name, fingerprint) for name, fingerprint in sorted(keys.items())]


def replay(stored: requests.Stored, work: Work) -> Answer | Conflict:
    """The answer kept under a key, or Conflict when it was used for something else."""
    if work.key is None or stored.fingerprint != work.key.fingerprint:
        return Conflict()
    headers = msgspec.json.decode(stored.headers or "{}", type=dict[str, str])
    return Answer(stored.status or 0, stored.body or "", headers)


def _gone(connection: Connection, works: Sequence[Work], now: int) -> set[int]:
    """Works whose message or planned change somebody else has ended before."""
    wanted = [(work.account, message) for work in works for message in work.consume]
    there = requests.consume(connection, wanted)
    gone = set()
    for at, work in enumerate(works):
        if any((work.account, message) not in there for message in work.consume) or (
            work.plan is not None
            and not requests.end_plan(connection, work.account, work.plan, "applied", now)
        ):
            gone.add(at)
    return gone


def _answer(connection: Connection, done: list[Done], recorded: list[Recorded | None], now: int) -> None:
    """Make and keep the answers of keyed works; the keys of refused ones are free again."""
    kept, refused = [], []
    for one in done:
        key, made = one.work.key, recorded[one.at]
        if key is None or one.work.answer is None or made is None:
            continue
        answer = one.work.answer(made)
        if answer.status < 400:
            headers = msgspec.json.encode(answer.headers).decode() if answer.headers else None
            row = (one.work.account, key.scope, key.key, key.fingerprint)
            kept.append((*row, answer.status, answer.body, headers, now))
        else:
            refused.append((one.work.account, key.scope, key.key))
        recorded[one.at] = msgspec.structs.replace(made, fresh=answer)
    requests.keep(connection, kept)
    requests.free(connection, refused)


# --- deciding -----------------------------------------------------------------------------------------


def _decide(desk: Desk, job: Job, now: int) -> Done:
    outcomes: list[Outcome] = []
    touched: dict[Place, Level] = {}
    levels = desk.draft.levels
    for group, commands in zip(job.work.groups, job.commands, strict=True):
        outcome = _group(desk, job.work, group, commands, now)
        outcomes.append(outcome)
        if isinstance(outcome, Accepted):
            for movement, _ in outcome.entries:
                touched[movement.place] = levels[movement.place]
        elif isinstance(outcome, Refused):
            for place in ledger.places(commands[outcome.index], desk.draft.reservations):
                touched.setdefault(place, levels.get(place, ABSENT))
    for place in job.work.watch:
        touched[place] = levels.get(place, ABSENT)
    return Done(job.at, job.work, outcomes, touched)


def _group(desk: Desk, work: Work, group: Group, commands: tuple[AnyCommand, ...], now: int) -> Outcome:
    guard = None if group.listing is None else desk.guards.get(group.listing)
    if group.listing is not None and _shut(desk, guard):
        return Refused(0, Closed(group.listing))
    if desk.odd:
        for index, command in enumerate(commands):
            refusal = _odd(desk, work, command)
            if refusal is not None:
                return Refused(index, refusal)
    offset = len(desk.draft.entries)
    entries = desk.draft.group(commands, now, work.caller)
    if isinstance(entries, Refused):
        return entries
    for movement, _ in entries:
        if desk.draft.levels[movement.place].shown == 0:
            desk.closing.add(movement.place)
    if guard is not None and guard.place is not None:
        if desk.draft.levels.get(guard.place, ABSENT).shown == 0:
            desk.closing.add(guard.place)
    return Accepted(entries, offset)


def _shut(desk: Desk, guard: Guard | None) -> bool:
    return guard is None or guard.status != "open" or guard.place in desk.closing


def _odd(desk: Desk, work: Work, command: AnyCommand) -> AnyRefusal | None:
    for place in ledger.places(command, desk.draft.reservations):
        if place not in desk.odd:
            continue
        match desk.odd[place]:
            case "item":
                return Unknown("item", str(place[0]))
            case "location":
                return Unknown("location", str(place[1]))
            case "kit":
                if isinstance(command, LEVEL_COMMANDS):
                    return Forbidden("a kit has no stock of its own: set its components")
            case _:
                if not work.mirror:
                    return Forbidden("a mirrored location is written by its channel alone")
    return None


# --- writing ------------------------------------------------------------------------------------------


def _recorded(one: Done, desk: Desk) -> Recorded:
    base = desk.seq - len(desk.draft.entries) + 1
    outcomes = tuple(
        Accepted(outcome.entries, base + outcome.seq) if isinstance(outcome, Accepted) else outcome
        for outcome in one.outcomes
    )
    return Recorded(outcomes, one.levels, desk.seq, desk.recorded_at)


def _write(connection: Connection, desks: dict[int, Desk], done: list[Done], now: int) -> None:
    changed: dict[Spot, Level] = {}
    stale: dict[Spot, int] = {}
    rows: list[tuple[object, ...]] = []
    callers = _callers(desks, done)
    for account, desk in sorted(desks.items()):
        for place, level in desk.draft.levels.items():
            if level != desk.loaded.get(place):
                changed[(account, *place)] = level
        first = desk.seq - len(desk.draft.entries) + 1
        for number, (entry, caller) in enumerate(zip(desk.draft.entries, callers[account], strict=True)):
            rows.append(_movement_row(account, first + number, entry, caller, desk.recorded_at))
            stale[(account, *entry.movement.place)] = first + number
    books.write_levels(connection, changed)
    books.append(connection, rows)
    _write_holds(connection, desks, now)
    closing = {(account, *place) for account, desk in desks.items() for place in desk.closing}
    books.close_listings(connection, closing, now)
    books.mark_stale(connection, stale, now)
    companions.write(connection, _companions(done), now)


def _callers(desks: dict[int, Desk], done: list[Done]) -> dict[int, list[tuple[str, str | None]]]:
    """Who made each entry; what no work made was made by the clock."""
    clock: tuple[str, str | None] = ("onhand:clock", None)
    callers = {account: [clock] * len(desk.draft.entries) for account, desk in desks.items()}
    for one in done:
        for outcome in one.outcomes:
            if isinstance(outcome, Accepted):
                span = slice(outcome.seq, outcome.seq + len(outcome.entries))
                made = (one.work.caller, one.work.context)
                callers[one.work.account][span] = [made] * len(outcome.entries)
    return callers


def _movement_row(
    account: int, seq: int, entry: ledger.Entry, caller: tuple[str, str | None], recorded_at: int
) -> tuple[object, ...]:
    movement, level = entry
    effective = recorded_at if movement.effective_at is None else movement.effective_at
    return (
        account,
        seq,
        movement.item,
        movement.location,
        level.version,
        movement.kind,
        movement.on_hand,
        movement.reserved,
        level.on_hand,
        level.reserved,
        int(movement.infinite),
        int(movement.present),
        movement.reason,
        movement.reference,
        *caller,
        recorded_at,
        min(effective, recorded_at),
    )


def _write_holds(connection: Connection, desks: dict[int, Desk], now: int) -> None:
    changed: dict[Named, Reservation] = {}
    known: list[Named] = []
    for account, desk in desks.items():
        for reference, hold in desk.draft.reservations.items():
            old = desk.old_holds.get(reference)
            if hold != old:
                changed[account, reference] = hold
                if old is not None:
                    known.append((account, reference))
    books.write_reservations(connection, changed, known, now)


def _companions(done: Iterable[Done]) -> Iterator[tuple[int, str, Companion]]:
    for one in done:
        for group, outcome in zip(one.work.groups, one.outcomes, strict=True):
            if isinstance(outcome, Accepted):
                for companion in group.also:
                    yield one.work.account, one.work.caller, companion
