"""Levels as they are set and forgotten one by one, with a version to compare."""

from __future__ import annotations

import re

from starlette.responses import Response

from onhand import wire
from onhand.api import told
from onhand.api.calls import Call
from onhand.api.problems import Problem, bad_header, fault, invalid
from onhand.api.replies import Reply, refusal
from onhand.api.schema import Body, Count, Text
from onhand.stock import model
from onhand.stock.ledger import Refused
from onhand.stock.model import Place, Stale
from onhand.work import Accepted, Group, Recorded

_ETAG = re.compile(r'"(\d{1,18})"', re.ASCII)


class Put(Body, frozen=True, kw_only=True):
    """What a level shall be: one of on_hand, available and infinite."""

    on_hand: Count | None = None
    available: Count | None = None
    expected: Count | None = None
    infinite: bool | None = None
    reason: Text | None = None
    reference: Text | None = None


async def put(call: Call) -> Response:
    """PUT /levels/{item}/{location}: with If-Match only if the level still has that version."""
    call.params()
    asked = call.body(Put)
    version = _if_match(call)
    place = await call.placed()
    labels = await call.called(place)
    group = Group((_command(asked, place),), expect=() if version is None else ((place, version),))

    def made(recorded: Recorded) -> Reply:
        refused = _refused(recorded, place, version)
        if refused is not None:
            return refused
        level = recorded.levels[place]
        outcome = recorded.outcomes[0]
        moved = isinstance(outcome, Accepted) and bool(outcome.entries)
        seq = outcome.seq if isinstance(outcome, Accepted) and moved else None
        seen = {"as_of_seq": recorded.seq, "token": told.token(recorded.seq)}
        body = told.level_and(place, level, labels, seq=seq, **seen)
        return Reply(200, body, {"ETag": told.etag(level.version)})

    return await call.record((group,), made, watch=(place,))


async def forgotten(call: Call) -> Response:
    """DELETE /levels/{item}/{location}: there is no level any more, which differs from 0."""
    call.params()
    version = _if_match(call)
    place = await call.placed()
    group = Group((model.Forget(*place),), expect=() if version is None else ((place, version),))

    def made(recorded: Recorded) -> Reply:
        return _refused(recorded, place, version) or Reply(204)

    return await call.record((group,), made)


def _command(asked: Put, place: Place) -> model.AnyCommand:
    given = [one for one in (asked.on_hand, asked.available, asked.infinite) if one is not None]
    if len(given) != 1:
        raise invalid("", "Say one of on_hand, available and infinite")
    if asked.expected is not None and asked.available is None:
        raise invalid("/expected", "Only available is compared with what is expected")
    why = (asked.reason, asked.reference)
    if asked.on_hand is not None:
        return model.SetOnHand(*place, asked.on_hand, *why)
    if asked.available is not None:
        return model.SetAvailable(*place, asked.available, asked.expected, *why)
    return model.SetInfinite(*place, bool(asked.infinite), *why)


def _if_match(call: Call) -> int | None:
    # Whoever writes only where nothing is must not have it done all the same.
    if b"if-none-match" in call.headers:
        raise bad_header("If-None-Match", "a write compares with If-Match alone")
    given = wire.every(call.request.scope["headers"], b"if-match")
    if not given:
        return None
    found = _ETAG.fullmatch(given[0].strip())
    if len(given) > 1 or not found:
        raise bad_header("If-Match", 'expected the ETag of this level, like "7"')
    return int(found[1])


def _refused(recorded: Recorded, place: Place, version: int | None) -> Reply | None:
    outcome = recorded.outcomes[0]
    if not isinstance(outcome, Refused):
        return None
    found = outcome.refusal
    actual = recorded.levels[place].version if place in recorded.levels else 0
    if isinstance(found, Stale) and version is not None and actual != version:
        words = f"The level is at version {actual}, not {version}"
        entry = fault("version_mismatch", words, expected_version=version, version=actual)
        return refusal(Problem("version_mismatch", words, [entry | {"header": "If-Match"}]))
    return refusal(told.refused(found))
