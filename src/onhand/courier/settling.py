"""From a channel's verdict on a target to what is written about it. Pure but for the lots it is given.

Accepted   acknowledged; ids, notes and tokens kept; ended unless it was marked again meanwhile
Rejected   parked with the channel's words: a person releases it, or its next change
Stale      what the channel shows is kept, and it is told again at once
Later      told again when the channel said, or after a growing pause; notes kept
Unsure     told again soon: the numbers are absolute, or were forgotten before they were sent
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import TypeVar

from onhand.connectors.flow import Accepted, Later, Rejected, Slot, Stale, Target, Unsure, Verdict, Whole
from onhand.courier.pacing import backoff
from onhand.store.outgoing import Aim
from onhand.store.told import SlotTold, Told

T = TypeVar("T")

STALE_AT_ONCE = 5
"""So often a target that was overtaken is told again at once; then it waits like others."""


def told(aim: Aim, target: Target, verdict: Verdict, now: int, lots: random.Random) -> Told:
    """What is to be written; ``now`` in microseconds UTC."""
    attempts = aim.stale.attempts
    match verdict:
        case Accepted():
            return _taken(aim, target, verdict)
        case Rejected(_, words, code) | Whole(_, words, code):
            return _told(aim, _wanted(target), parked=words or code or "refused")
        case Stale(_, observed, words, tokens):
            slots = tuple(
                SlotTold(
                    slot.location or "",
                    slot.offer,
                    None,
                    _said(observed, slot, target),
                    _said(tokens, slot, target),
                )
                for slot in target.slots
            )
            wait = 0.0 if attempts < STALE_AT_ONCE else backoff(attempts - STALE_AT_ONCE, lots)
            return _told(aim, slots, due=_after(now, wait), words=words or "it shows another number by now")
        case Later(_, words, seconds, notes):
            wait = seconds or backoff(attempts, lots)
            learned = _learned(aim.listed.notes, notes)
            return _told(aim, _wanted(target), due=_after(now, wait), notes=learned, words=words)
        case Unsure(_, words):
            return _told(aim, _wanted(target), due=_after(now, backoff(attempts, lots)), words=words)


def _taken(aim: Aim, target: Target, said: Accepted) -> Told:
    stale, tokens, slots = aim.stale, said.tokens, target.slots
    if len(slots) == 1 and len(tokens) < 2:
        # As nearly always, and then no slot need be looked for.
        (slot,) = slots
        token = next(iter(tokens.values())) if tokens else None
        taken: tuple[SlotTold, ...] = (SlotTold(slot.location or "", slot.offer, slot.offer, None, token),)
    else:
        taken = tuple(
            [
                SlotTold(slot.location or "", slot.offer, slot.offer, None, _said(tokens, slot, target))
                for slot in slots
            ]
        )
    ids = _learned(aim.listed.ids, said.ids) if said.ids else None
    notes = _learned(aim.listed.notes, said.notes) if said.notes else None
    again = aim.listed.parked is not None
    return Told(stale.listing, stale.seq, stale.marks, aim.at, taken, None, True, None, ids, notes, again)


def unsent(aim: Aim) -> Told:
    """A listing that there is nothing to tell about: the channel does not let us set it, or nothing feeds
    it, or nobody has counted yet what does."""
    return _told(aim, ())


def _told(
    aim: Aim,
    slots: tuple[SlotTold, ...],
    *,
    due: int | None = None,
    parked: str | None = None,
    notes: Mapping[str, str] | None = None,
    words: str | None = None,
) -> Told:
    stale = aim.stale
    was_parked = aim.listed.parked is not None
    told = (stale.listing, stale.seq, stale.marks, aim.at, slots)
    return Told(*told, due, parked=parked, notes=notes, was_parked=was_parked, words=words)


def _wanted(target: Target) -> tuple[SlotTold, ...]:
    return tuple(SlotTold(slot.location or "", slot.offer) for slot in target.slots)


def _said(values: Mapping[str | None, T], slot: Slot, target: Target) -> T | None:
    """What was said of a slot. With one slot and one value there is no doubt, whatever it is called."""
    if len(values) == len(target.slots) == 1:
        return next(iter(values.values()))
    return values.get(slot.location)


def _after(now: int, seconds: float) -> int:
    return now + int(seconds * 1_000_000)


def _learned(old: Mapping[str, str], new: Mapping[str, str]) -> Mapping[str, str] | None:
    """What of ``new`` is new, or is now empty; None when nothing changes."""
    return {name: value for name, value in new.items() if value != old.get(name, "")} or None
