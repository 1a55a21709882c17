"""Levels as they are read: now or as of a moment, one, many, or all in pages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any, NamedTuple

from msgspec import Meta
from sqlalchemy import Connection
from starlette.responses import Response

from onhand import wire
from onhand.api import params, told
from onhand.api.asked import Sellable
from onhand.api.calls import Call
from onhand.api.meaning import Names, Wanted, item_of, location_of
from onhand.api.problems import Problem, bad_parameter, invalid
from onhand.api.rendered import Asked, Filters, Page, Rendered
from onhand.api.replies import Reply, response
from onhand.api.schema import Body, Position, Where, cursor, moment, position
from onhand.api.schema import shown as time_shown
from onhand.api.told import Labels
from onhand.stock.model import Level, Place
from onhand.store import levels, lookup, past
from onhand.store.levels import Standing

NAMED_LIMIT = 100
"""SKUs, and ids, in the query of GET /levels."""

FEW = 0.25
"""Which part of a remembered page is read level by level at most: beyond it the whole page is read."""

PLACES_LIMIT = 1000
"""Places in one POST /levels/query."""

_NUMBER = re.compile(r"[1-9][0-9]{0,18}")


class Moment(NamedTuple):
    """What a read looks at: now (``at`` and ``seq`` None), or a moment of the past."""

    at: int | None
    seq: int | None

    @property
    def past(self) -> bool:
        """Whether it is not now."""
        return self.at is not None or self.seq is not None


class QueryPlace(Sellable, frozen=True, kw_only=True):
    """A place to look at."""

    location: Where


class Query(Body, frozen=True, kw_only=True):
    """What POST /levels/query takes."""

    places: Annotated[list[QueryPlace], Meta(min_length=1, max_length=PLACES_LIMIT)]
    at: str | None = None
    seq: Position | None = None


# --- reading --------------------------------------------------------------------------------------------


async def listed(call: Call) -> Response:
    """GET /levels: in pages, of some items or a location if asked."""
    known = call.rendered.of(call.account)
    if known is not None and call.caller.seller is None:
        asked = known.asked.get(call.request.scope["query_string"])
        if asked is not None:
            return await _remembered(call, known, asked)
    found = call.params("item", "sku", "location", "at", "seq", "cursor", "limit")
    ids = params.numbers(found, "item", NAMED_LIMIT)
    skus = found.get("sku", [])
    if len(skus) > NAMED_LIMIT:
        raise bad_parameter("sku", f"expected at most {NAMED_LIMIT} times")
    at = _moment(call, params.one(found, "at"), params.number(found, "seq", 0))
    limit = params.limit(found)
    where = params.one(found, "location")
    filters = (ids, skus, where, at.at, at.seq)
    text = params.one(found, "cursor")
    after: Place = (0, 0) if text is None else position(text, "levels", filters, tuple[Position, Position])
    if not (ids or skus or at.past):
        return await _standing(call, known, (where, after, limit))

    def query(connection: Connection) -> dict[str, Any]:
        seq, at_seq = _seqs(connection, call, at)
        location = None if where is None else _location(connection, call, where)
        items = None
        if ids or skus:
            items = {*ids, *lookup.items(connection, call.account, skus).values()}
        bounds = (location, after, limit + 1)
        if at.past:
            places = _ever(connection, call, items, *bounds)
            rows = _at(connection, call, places[:limit], at, at_seq)
        else:
            current = levels.of_items(connection, call.account, items or (), call.now)
            places = _cut(current, *bounds)
            rows = {place: current[place] for place in _visible(connection, call, places[:limit])}
        more = cursor("levels", filters, *places[limit - 1]) if len(places) > limit else None
        return told.page(_bodies(connection, call.account, rows), more, seq)

    return response(Reply(200, await call.read(query)))


def _filters(asked: Asked) -> Filters:
    """Of a page of all that is there."""
    return [], [], asked[0], None, None


async def _standing(call: Call, known: Rendered | None, asked: Asked) -> Response:
    """A page of all that is there now, or of all at one location."""
    allowed = await call.seen()
    if known is None or allowed is not None or not known.again(asked):
        return await _once(call, asked, allowed)
    known.ask(call.request.scope["query_string"], asked)
    return await _remembered(call, known, asked)


async def _remembered(call: Call, known: Rendered, asked: Asked) -> Response:
    """The same where it was asked for before, and all may be seen."""
    last = call.inventory.settled(call.account)
    if last is not None and known.untouched(last, call.now):
        answer = known.answered(asked)
        if answer is not None:
            return wire.respond(200, answer)
    altered = call.inventory.altered()
    last = call.inventory.settled(call.account)
    old = known.pages.get(asked)
    if old is not None and last is not None and known.seq == last[0]:
        known.take_in(altered, call.now)
        known.rest(last, altered)
        whole = known.whole(old)
        if whole is not None:
            return _paged(call, known, asked, told.whole(whole, old.onward, last[0]), last)
    seq, page, texts, rows = await call.read(lambda c: _looked(call, c, known, asked))
    if last is not None:
        known.rest(last, altered)
    labels = await call.labels({row[0] for row in rows}, {row[1] for row in rows})
    read = told.apart(told.standing(rows, labels))
    fresh = iter(read)
    shown = [next(fresh) if text is None else text for text in texts] if texts else read
    expiries = [(row[:2], row[6]) for row in rows if row[3] and row[6] is not None]
    known.keep(seq, zip(page.places, shown, strict=True), expiries, call.now)
    call.rendered.grown(len(read) + len(page.places))
    return _paged(call, known, asked, told.whole(told.joined(shown), page.onward, seq), last)


def _paged(call: Call, known: Rendered, asked: Asked, body: bytes, last: tuple[int, int] | None) -> Response:
    if last is not None:
        known.answer(asked, body, last)
        call.rendered.grown(asked[2])
    return wire.respond(200, body)


async def _once(call: Call, asked: Asked, allowed: frozenset[int] | None) -> Response:
    """A page of which nothing is remembered: it was not asked for before, or is shown in part."""
    where, after, limit = asked

    def query(connection: Connection) -> tuple[int, list[Standing]]:
        seq = levels.last_seq(connection, call.account)
        location = None if where is None else _location(connection, call, where)
        return seq, levels.standing(connection, call.account, after, limit + 1, call.now, location)

    seq, rows = await call.read(query)
    more = cursor("levels", _filters(asked), *rows[limit - 1][:2]) if len(rows) > limit else None
    shown = [row for row in rows[:limit] if allowed is None or row[1] in allowed]
    labels = await call.labels({row[0] for row in shown}, {row[1] for row in shown})
    return wire.respond(200, told.page(told.standing(shown, labels), more, seq))


class Looked(NamedTuple):
    """A page on a snapshot: what it has seen, what was remembered of the levels that are shown, and in order
    the rows of the others; without texts these are all."""

    seq: int
    page: Page
    texts: list[bytes | None]
    rows: list[Standing]


def _looked(call: Call, connection: Connection, known: Rendered, asked: Asked) -> Looked:
    account, now = call.account, call.now
    seq = known.follow(connection)
    known.take_in(call.inventory.altered(), now)
    page = known.pages.get(asked)
    if page is not None:
        places = page.places
        texts = known.texts(places)
        missing = [place for place, text in zip(places, texts, strict=True) if text is None]
        if len(missing) <= len(places) * FEW:
            rows = levels.standing_of(connection, account, missing, now) if missing else []
            if len(rows) == len(missing):
                return Looked(seq, page, texts, rows)
    where, after, limit = asked
    location = None if where is None else _location(connection, call, where)
    rows = levels.standing(connection, account, after, limit + 1, now, location)
    return Looked(seq, known.cut(asked, _filters(asked), location, rows), [], rows[:limit])


async def queried(call: Call) -> Response:
    """POST /levels/query: an answer for each place, in order; null where there is no level."""
    call.key = None  # it changes nothing, so it is answered anew whatever key it comes with
    call.params()
    asked = call.body(Query)
    at = _moment(call, asked.at, asked.seq, lambda name, words: invalid(f"/{name}", words))
    wanted = Wanted(set(), set(), set())
    for one in asked.places:
        wanted.sellable(one)
        wanted.places(one.location)

    def query(connection: Connection) -> dict[str, Any]:
        seq, at_seq = _seqs(connection, call, at)
        names = call.names(connection, wanted)
        places = [_named(one, names, f"/places/{n}") for n, one in enumerate(asked.places)]
        rows = _at(connection, call, places, at, at_seq)
        bodies = dict(zip(rows, _bodies(connection, call.account, rows), strict=True))
        return told.page([bodies.get(place) for place in places], None, seq)

    return response(Reply(200, await call.read(query)))


def _named(one: QueryPlace, names: Names, at: str) -> Place:
    return item_of(one, names, at), location_of(one.location, names, f"{at}/location")


async def shown(call: Call) -> Response:
    """GET /levels/{item}/{location}."""
    found = call.params("at", "seq")
    if found:
        at = _moment(call, params.one(found, "at"), params.number(found, "seq", 0))
        return await _shown_past(call, at)
    known = call.rendered.of(call.account)
    path = call.request.scope["path_params"]
    names = path["item"], path["location"]
    place = None if known is None or call.caller.seller is not None else known.named.get(names)
    named = place is not None
    if place is None:
        place = await call.placed()
    text: bytes | None = None
    seq: int | None = None
    if known is not None:
        last = call.inventory.settled(call.account)
        if last is not None and (known.untouched(last, call.now) or await _caught_up(call, known)):
            text, seq = known.rows.get(place), known.seq
    if text is None or seq is None:
        text, seq = await _looked_up(call, known, place)
    if not named and known is not None and call.caller.seller is None:
        known.named[names] = place
        call.rendered.grown(1)
    tag, given = told.tag(text), call.headers.get(b"if-none-match")
    if given is not None and _known_already(given, tag):
        return wire.respond(304, None, headers={"ETag": tag.decode()})
    return wire.tagged(told.after(text, seq), tag)


def _known_already(given: bytes, tag: bytes) -> bool:
    """Whether one of the tags in If-None-Match is ``tag``, or means any; weak ones count (RFC 9110)."""
    tags = [one.strip(b" \t").removeprefix(b"W/") for one in given.split(b",")]
    return tag in tags or tags == [b"*"]


async def _looked_up(call: Call, known: Rendered | None, place: Place) -> tuple[bytes, int]:
    """A level as it is answered, and what that has seen, from the database."""
    seq, level = await _now(call, place)
    if level is None:
        raise Problem("unknown_level", "There is no level of this item at this location")
    text = wire.encode(told.level(place, level, await call.called(place)))
    if known is not None:
        end = level.next_expiry if level.reserved else None
        known.keep(seq, [(place, text)], [] if end is None else [(place, end)], call.inventory.now())
        call.rendered.grown(1)
    return text, seq


async def _caught_up(call: Call, known: Rendered) -> bool:
    """Take in what was changed since; not while a commit is under way."""
    altered = call.inventory.altered()
    last = call.inventory.settled(call.account)
    if last is None:
        return False
    if known.seq != last[0]:
        await call.read(known.follow, alone=True)
    known.take_in(call.inventory.altered(), call.now)
    known.rest(last, altered)
    return True


async def _now(call: Call, place: Place) -> tuple[int, Level | None]:
    """What the answer has seen, and the level if there is one."""
    inventory, account = call.inventory, call.account

    def query(connection: Connection, places: list[Place]) -> dict[Place, tuple[int, Level | None]]:
        if len(places) == 1:
            return {places[0]: levels.one(connection, account, places[0], inventory.now())}
        seq = levels.last_seq(connection, account)
        found = levels.at(connection, account, places, inventory.now())
        return {place: (seq, found.get(place)) for place in places}

    return (await inventory.look_up(account, "levels", [place], query, alone=True))[place]


async def _shown_past(call: Call, at: Moment) -> Response:
    def query(connection: Connection) -> told.Seen:
        seq, at_seq = _seqs(connection, call, at)
        place = call.place(connection)
        rows = _at(connection, call, [place], at, at_seq)
        if place not in rows:
            raise Problem("unknown_level", "There is no level of this item at this location")
        labels = labels_of(connection, call.account, rows)
        return told.level_seen(place, rows[place], labels, seq)

    return wire.respond(200, await call.read(query))


def _moment(
    call: Call, at: str | None, seq: int | None, wrong: Callable[[str, str], Problem] = bad_parameter
) -> Moment:
    if at is None:
        return Moment(None, seq)
    found = moment(at)
    if found is None:
        hint = " (in a URL, + is written %2B)" if " " in at else ""
        raise wrong("at", f"expected a time as in RFC 3339, like 2026-03-01T12:00:00Z{hint}")
    if seq is not None:
        raise wrong("seq", "there are two moments: leave out at or seq")
    if found > call.now:
        raise Problem("moment_out_of_range", f"The time must not be later than {time_shown(call.now)}")
    return Moment(found, None)


def _seqs(connection: Connection, call: Call, at: Moment) -> tuple[int, int]:
    """(what the answer says it saw, the movement to look back to)."""
    last = levels.last_seq(connection, call.account)
    if at.at is not None:
        seq = levels.seq_at(connection, call.account, at.at)
        return seq, seq
    if at.seq is not None and at.seq > last:
        raise Problem("moment_out_of_range", f"The last movement is {last}")
    seq = last if at.seq is None else at.seq
    return seq, seq


def _location(connection: Connection, call: Call, text: str) -> int:
    named: Where = text[5:]
    if not text.startswith("name:"):
        if not _NUMBER.fullmatch(text):
            raise bad_parameter("location", "expected an id, or a name behind name:")
        named = params.whole(text) or 0
    wanted = Wanted(set(), set(), set())
    wanted.places(named)
    try:
        return location_of(named, call.names(connection, wanted), "")
    except Problem:
        return 0  # a list of what is not there is empty


def _ever(
    connection: Connection, call: Call, items: set[int] | None, location: int | None, after: Place, limit: int
) -> list[Place]:
    """A page of what was ever there."""
    if items is None:
        return past.page(connection, call.account, after, limit, location)
    return _cut(past.of_items(connection, call.account, items), location, after, limit)


def _cut(found: Iterable[Place], location: int | None, after: Place, limit: int) -> list[Place]:
    return [place for place in sorted(found) if place > after and location in (None, place[1])][:limit]


def _visible(connection: Connection, call: Call, places: Iterable[Place]) -> list[Place]:
    """Those of some places that this caller may see."""
    allowed = call.allowed(connection)
    return [place for place in places if allowed is None or place[1] in allowed]


def _at(
    connection: Connection, call: Call, places: Iterable[Place], at: Moment, seq: int
) -> dict[Place, Level]:
    seen = _visible(connection, call, places)
    if at.past:
        return past.levels(connection, call.account, seen, seq, at.at)
    return levels.at(connection, call.account, seen, call.now)


def _bodies(connection: Connection, account: int, rows: dict[Place, Level]) -> list[told.Shown]:
    labels = labels_of(connection, account, rows)
    return [told.level(place, level, labels) for place, level in rows.items()]


def labels_of(connection: Connection, account: int, places: Iterable[Place]) -> Labels:
    """What the items and locations of some places are called."""
    places = list(places)
    skus = lookup.skus(connection, account, {place[0] for place in places})
    return Labels(skus, lookup.names(connection, account, {place[1] for place in places}))
