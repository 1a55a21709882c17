"""One batch of work in one transaction: lock, decide in memory, write once. Runs in a writer thread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from onhand import companions, plain, unheard
from onhand.desk import LEVEL_COMMANDS, Desk, Job, expand, load, misses_a_kit
from onhand.stock import ledger
from onhand.stock.ledger import Refused
from onhand.stock.model import (
    ABSENT,
    AnyCommand,
    AnyRefusal,
    Forbidden,
    Level,
    Place,
    Reservation,
    Undone,
    Unknown,
)
from onhand.store import books, listed, posting, requests
from onhand.store.books import Change, Marked, Named
from onhand.store.sql import Row
from onhand.work import (
    Accepted,
    Answer,
    Conflict,
    Group,
    Outcome,
    Recorded,
    Work,
)

KeyName = tuple[int, str, str]
NOBODY: frozenset[str] = frozenset()


class Done(NamedTuple):
    """A decided work: outcomes whose ``seq`` is still an offset, the levels as it left them, and how many
    entries there were when it did."""

    at: int
    work: Work
    outcomes: list[Outcome]
    levels: dict[Place, Level]
    upto: int
    holds: dict[str, Reservation]
    known: frozenset[str]
    outdated: bool = False


def commit(
    connection: Connection, works: Sequence[Work], now: int, marked: set[Marked] | None = None
) -> list[Recorded | None]:
    """Decide ``works`` in order of arrival and write what they do; one `Recorded` each, in order.

    None stands for a work whose idempotency key an earlier one of the batch has: it is for a later
    batch. What became stale is in ``marked`` after COMMIT. The caller begins and commits the transaction; an
    exception means that nothing of it may be kept.
    """
    known = requests.claim(connection, _claims(works), now)
    there = requests.there(connection, [(w.account, message) for w in works for message in w.consume])
    recorded: list[Recorded | None] = [None] * len(works)
    fresh: list[tuple[int, Work]] = []
    taken: set[KeyName] = set()
    idle: set[KeyName] = set()
    ended: list[tuple[int, int]] = []
    for at, work in enumerate(works):
        name = _name(work)
        if name is not None and name in taken:
            continue  # it waits, and so do its messages
        ends = bool(work.consume) or work.plan is not None
        if ends and not _end(connection, work, there, ended, now):
            recorded[at] = Recorded(done_before=True)
            if name is not None and name not in known:
                idle.add(name)
        elif name is not None and name in known:
            recorded[at] = Recorded(replay=replay(known[name], work))
        else:
            fresh.append((at, work))
            if name is not None:
                taken.add(name)
    requests.free(connection, sorted(idle - taken))
    if fresh:
        _record(connection, fresh, recorded, now, set() if marked is None else marked)
    requests.consume(connection, _consumed(ended, fresh, recorded))
    return recorded


def _record(
    connection: Connection,
    fresh: list[tuple[int, Work]],
    recorded: list[Recorded | None],
    now: int,
    marked: set[Marked],
) -> None:
    if not plain.record(connection, fresh, recorded, now, marked):
        _in_general(connection, fresh, recorded, now, marked)
    for at, work in fresh:
        made = recorded[at]
        if made is not None and not made.outdated and (work.consume or work.plan is not None):
            unheard.write(connection, work, made.outcomes, now)
    _answer(connection, fresh, recorded, now)


def _in_general(
    connection: Connection,
    fresh: list[tuple[int, Work]],
    recorded: list[Recorded | None],
    now: int,
    marked: set[Marked],
) -> None:
    jobs = expand(connection, fresh)
    desks = load(connection, jobs, now)
    if any(misses_a_kit(desks[job.work.account], job) for job in jobs):
        jobs = expand(connection, fresh)
        desks = load(connection, jobs, now)
    done = [_decide(desks[job.work.account], job, now) for job in jobs]
    counts = {account: len(desk.draft.entries) for account, desk in desks.items()}
    for account, (last, recorded_at) in posting.advance_each(connection, counts, now).items():
        desks[account].seq, desks[account].recorded_at = last - counts[account], recorded_at
    for one in done:
        recorded[one.at] = _recorded(one, desks[one.work.account])
    _write(connection, desks, done, now, marked)


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
    """The answer kept under a key, or Conflict when it was used for something else.

    The status is 0 where the first work had a key and no answer to keep.
    """
    if work.key is None or stored.fingerprint != work.key.fingerprint:
        return Conflict()
    headers = msgspec.json.decode(stored.headers or "{}", type=dict[str, str])
    return Answer(stored.status or 0, stored.body or "", headers)


def _end(
    connection: Connection, work: Work, there: set[tuple[int, int]], ended: list[tuple[int, int]], now: int
) -> bool:
    """Take the messages of ``work`` from ``there`` to ``ended``, and end its planned change.

    False, and the rest stays where it is, if somebody ended one of them before.
    """
    mine = {(work.account, message) for message in work.consume}
    if not mine <= there:
        return False
    if work.plan is not None and not requests.end_plan(connection, work.account, work.plan, "applied", now):
        return False
    there -= mine
    ended += sorted(mine)
    return True


def _consumed(
    ended: list[tuple[int, int]], fresh: list[tuple[int, Work]], recorded: list[Recorded | None]
) -> list[tuple[int, int]]:
    """``ended`` but for the messages of works that are outdated: they are for another look."""
    stay = {
        (work.account, message)
        for at, work in fresh
        if (made := recorded[at]) is not None and made.outdated
        for message in work.consume
    }
    return [one for one in ended if one not in stay] if stay else ended


def _answer(
    connection: Connection, fresh: list[tuple[int, Work]], recorded: list[Recorded | None], now: int
) -> None:
    """Make and keep the answers of keyed works; the keys of refused ones are free again."""
    kept, refused = answered(fresh, recorded, now)
    requests.keep(connection, kept)
    requests.free(connection, refused)


def answered(
    fresh: Iterable[tuple[int, Work]], recorded: list[Recorded | None], now: int
) -> tuple[list[Row], list[KeyName]]:
    """Make the answers of keyed works: rows to keep, and keys of what was refused."""
    kept: list[Row] = []
    refused: list[KeyName] = []
    for at, work in fresh:
        key, made = work.key, recorded[at]
        if key is None or made is None:
            continue
        row = (work.account, key.scope, key.key, key.fingerprint)
        if work.answer is None:
            if _nothing_done(made):
                refused.append(row[:3])
            else:
                kept.append((*row, None, None, None, now))
            continue
        answer = work.answer(made)
        if answer.status < 400:
            headers = msgspec.json.encode(answer.headers).decode() if answer.headers else None
            kept.append((*row, answer.status, answer.body, headers, now))
        else:
            refused.append(row[:3])
        recorded[at] = msgspec.structs.replace(made, fresh=answer)
    return kept, refused


def _nothing_done(made: Recorded) -> bool:
    return bool(made.outcomes) and all(isinstance(outcome, Refused) for outcome in made.outcomes)


# --- deciding -----------------------------------------------------------------------------------------


def _decide(desk: Desk, job: Job, now: int) -> Done:
    if job.work.seen and any(desk.draft.reservations.get(name) != hold for name, hold in job.work.seen):
        undone: list[Outcome] = [Refused(0, Undone())] * len(job.work.groups)
        return Done(job.at, job.work, undone, {}, len(desk.draft.entries), {}, NOBODY, outdated=True)
    outcomes: list[Outcome] = []
    touched: dict[Place, Level] = {}
    levels, wanted = desk.draft.levels, job.work.holds
    known = frozenset(name for name in wanted if name in desk.draft.reservations) if wanted else NOBODY
    for group, commands in zip(job.work.groups, job.commands, strict=True):
        outcome = _group(desk, job.work, group, commands, now)
        outcomes.append(outcome)
        if isinstance(outcome, Accepted):
            for entry in outcome.entries:
                place = entry.movement.place
                touched[place] = levels[place]
            for place in _held_at(desk, commands):
                touched[place] = levels[place]
        elif commands:
            for place in ledger.places(commands[outcome.index], desk.draft.reservations):
                touched.setdefault(place, levels.get(place, ABSENT))
    for place in job.work.watch:
        touched[place] = levels.get(place, ABSENT)
    holds = {name: hold for name in wanted if (hold := desk.draft.reservations.get(name)) is not None}
    return Done(job.at, job.work, outcomes, touched, len(desk.draft.entries), holds, known)


def _held_at(desk: Desk, commands: tuple[AnyCommand, ...]) -> Iterator[Place]:
    """Where the reservations just named hold units: a new expiry counts there, without a movement."""
    for command in commands:
        if not isinstance(command, LEVEL_COMMANDS):
            hold = desk.draft.reservations.get(command.reference)
            yield from (line.place for line in hold.lines if line.held) if hold else ()


def _group(desk: Desk, work: Work, group: Group, commands: tuple[AnyCommand, ...], now: int) -> Outcome:
    levels = desk.draft.levels
    if (barred := desk.guards.barred(group, levels)) is not None:
        return barred
    if desk.odd:
        for index, command in enumerate(commands):
            refusal = _odd(desk, work, command)
            if refusal is not None:
                return Refused(index, refusal)
    if group.existing is not None:
        if (barred := ledger.presence(desk.draft.books, commands, group.existing)) is not None:
            return barred
    offset = len(desk.draft.entries)
    entries = desk.draft.group(commands, now, group.caller or work.caller)
    if isinstance(entries, Refused):
        return entries
    desk.guards.follow(group, entries, levels)
    return Accepted(entries, offset, tuple(desk.draft.ends))


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
                    return ledger.NO_STOCK_OF_A_KIT
            case _:
                if not work.mirror:
                    return Forbidden("a mirrored location is written by its channel alone")
    return None


# --- writing ------------------------------------------------------------------------------------------


def _recorded(one: Done, desk: Desk) -> Recorded:
    before = desk.seq
    outcomes = tuple(
        Accepted(outcome.entries, before + 1 + outcome.seq, outcome.ends)
        if isinstance(outcome, Accepted)
        else outcome
        for outcome in one.outcomes
    )
    # Not the last of the batch: what later works of it did is not in these levels.
    seq = before + one.upto
    made = Recorded(outcomes, one.levels, seq, desk.recorded_at, holds=one.holds, known=one.known)
    return msgspec.structs.replace(made, outdated=True) if one.outdated else made


def _write(
    connection: Connection, desks: dict[int, Desk], done: list[Done], now: int, marked: set[Marked]
) -> None:
    callers = _callers(desks, done)
    pages = [desk.page(account, callers[account]) for account, desk in desks.items()]
    moved = posting.post(connection, pages)
    _write_holds(connection, desks, now)
    closing = {(account, *place) for account, desk in desks.items() for place in desk.guards.closing}
    listed.close_listings(connection, closing, now)
    listed.mark_stale(connection, moved, lambda: posting.moved(pages), now, marked)
    said = chain.from_iterable(desks[one.work.account].guards.said(one.work, one.outcomes) for one in done)
    companions.write(connection, said, now)


def _callers(desks: dict[int, Desk], done: list[Done]) -> dict[int, list[posting.Caller]]:
    """Who made each entry; what no work made was made by the clock."""
    clock: posting.Caller = ("onhand:clock", None)
    callers = {account: [clock] * len(desk.draft.entries) for account, desk in desks.items()}
    for one in done:
        for group, outcome in zip(one.work.groups, one.outcomes, strict=True):
            if isinstance(outcome, Accepted):
                span = slice(outcome.seq, outcome.seq + len(outcome.entries))
                made = (group.caller or one.work.caller, one.work.context)
                callers[one.work.account][span] = [made] * len(outcome.entries)
    return callers


def _write_holds(connection: Connection, desks: dict[int, Desk], now: int) -> None:
    changed: dict[Named, Change] = {}
    for account, desk in desks.items():
        for reference, hold in desk.draft.reservations.items():
            old = desk.old_holds.get(reference)
            if hold != old:
                changed[account, reference] = Change(old, hold, reference in desk.folded)
    books.write_reservations(connection, changed, now)
