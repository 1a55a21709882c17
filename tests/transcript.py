"""The ledger in short text, so that a case is one line.

before   1@1 10/3, 1@2 ~5/0      item@location on_hand/reserved; ~ is infinite; absent where not named
after    counted 1@1 -5+0 5/3      kind, level, what was added to on_hand and to reserved, the level then
hold     held: 1@1 4h1s, 1@2 1h until 900      status, lines (h s r x b: held shipped released expired back)
"""

from collections.abc import Iterable

from onhand.stock.ledger import Draft, Entry, Refused
from onhand.stock.model import (
    AnyCommand,
    AnyRefusal,
    HoldLine,
    Level,
    Line,
    Part,
    Reservation,
    Reserve,
)

NOW = 1_000
ME, YOU = "me", "you"


def level(text: str) -> Level:
    """ "10/3", "~10/3" (infinite)."""
    on_hand, reserved = text.lstrip("~").split("/")
    return Level(int(on_hand), int(reserved), infinite=text.startswith("~"), present=True)


def ledger(text: str) -> Draft:
    """A draft with these levels and no reservations."""
    levels = {}
    for part in filter(None, text.split(", ")):
        place, quantities = part.split()
        item, location = place.split("@")
        levels[int(item), int(location)] = level(quantities)
    return Draft(levels, {})


def say(draft: Draft, *commands: AnyCommand, by: str = ME, now: int = NOW) -> str | AnyRefusal:
    """Decide a group on the draft: its entries as text, "nothing" for none, or the refusal."""
    outcome = draft.group(commands, now, by)
    if isinstance(outcome, Refused):
        return outcome.refusal
    return entries(outcome)


def entries(made: Iterable[Entry]) -> str:
    """Entries as text; "nothing" for none."""
    words = [
        f"{move.kind} {move.item}@{move.location} {move.on_hand:+}{move.reserved:+} {level_text(after)}"
        for move, after in [(entry.movement, entry.level) for entry in made]
    ]
    return ", ".join(words) or "nothing"


def level_text(one: Level) -> str:
    """The short form of a level; "-" for an absent one."""
    if not one.present:
        assert one.on_hand == one.reserved == 0, one
        return "-"
    return f"{'~' if one.infinite else ''}{one.on_hand}/{one.reserved}"


def levels_text(draft: Draft) -> str:
    """Every level of a draft, in order."""
    return ", ".join(
        f"{item}@{at} {level_text(one)}" for (item, at), one in sorted(draft.levels.items()) if one.present
    )


def hold_text(hold: Reservation | None) -> str:
    """The short form of a reservation; "-" for none."""
    if hold is None:
        return "-"
    until = "" if hold.expires_at is None else f" until {hold.expires_at}"
    return f"{hold.status}: {', '.join(map(_line, hold.lines))}{until}"


def _line(line: HoldLine) -> str:
    counts = {"h": line.held, "s": line.shipped, "r": line.released, "x": line.expired, "b": line.returned}
    words = "".join(f"{count}{letter}" for letter, count in counts.items() if count)
    kit = "" if line.kit is None else f"({line.kit}x{line.per})"
    return f"{line.item}@{line.location}{kit} {words}"


def want(item: int, quantity: int, *locations: int) -> Line:
    """A line to reserve, at location 1 if none is named."""
    return Line(item, quantity, locations or (1,))


def hold(reference: str, *lines: Line, until: int | None = None, force: bool = False) -> Reserve:
    """Reserve lines under a reference."""
    return Reserve(reference, lines, until, force=force)


def parts(*given: tuple[int, ...]) -> tuple[Part, ...]:
    """(item, quantity) or (item, quantity, location) each."""
    return tuple(Part(*part) for part in given)
