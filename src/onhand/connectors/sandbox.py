"""Speaks to the sandbox, our own channel to try things on: numbers by variant and location, with revisions.

Sandbox protocol 1, docs/sandbox.md; checked 2026-11-22 against the server that comes with onhand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

from onhand.connectors.auth import Wire, bearer, fingerprint, mac, require_fresh, same
from onhand.connectors.channel import Channel, Guard, Limit, Secret, Value
from onhand.connectors.flow import (
    Accepted,
    Failed,
    Flow,
    Heard,
    Later,
    Order,
    OrderLine,
    Orders,
    Page,
    Place,
    Rejected,
    Request,
    Response,
    Seen,
    Shown,
    Slot,
    Stale,
    Target,
    Unheard,
    Unsure,
    Verdict,
    expect,
    for_all,
    retry_after,
)
from onhand.connectors.reading import ask, at, need_rows, need_text, text, units, whole

BATCH = 50
LARGEST = 1_000_000
PAGE = (("limit", "200"),)
RATE, BURST = 100, 50
"""Requests in a second, and so many at once, where a connection's settings say nothing."""
BUSY = "busy"
"""The code of an item that may be said again later; every other refusal is about the item."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the sandbox is, and a client's id and secret; tokens are got with them. ``rate`` requests in a
    second are allowed there, ``burst`` of them at once; 0 is no limit."""

    url: Annotated[str, msgspec.Meta(pattern=r"^https?://[!-~]{1,300}$")]
    client_id: str
    client_secret: Secret
    access_token: Secret | None = None
    refresh_token: Secret | None = None
    webhook_secret: Secret | None = None
    expires_at: int = 0
    rate: Annotated[float, msgspec.Meta(ge=0, le=1_000_000)] = RATE
    burst: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = BURST


CHANNEL = Channel(
    name="sandbox",
    title="Sandbox",
    version="Sandbox protocol 1",
    document="docs/sandbox.md",
    checked="2026-11-22",
    settings=Settings,
    shop=("url", "client_id"),
    identity=("variant",),
    auth="a client's id and secret, tokens that end, and a rotating refresh token",
    batch=BATCH,
    limits=(Limit("default", calls=RATE, seconds=1, burst=BURST),),
    guard=Guard.REVISION,
    idempotent=True,
    infinite=True,
    largest=LARGEST,
    locations=True,
    webhooks=True,
    refreshes=True,
)


def base_url(settings: Settings) -> str:
    """Wherever the sandbox runs."""
    return settings.url


def limits(settings: Settings) -> tuple[Limit, ...]:
    """What the connection says of its sandbox."""
    if not settings.rate:
        return ()
    return (Limit("default", calls=settings.rate, seconds=1, burst=settings.burst),)


def sign(settings: Settings, wire: Wire, now: int, nonce: str) -> Wire:
    """With the access token, once there is one."""
    return wire.add(bearer(settings.access_token)) if settings.access_token else wire


def tokens(settings: Settings) -> Flow[dict[str, Any]]:
    """The next pair. A sandbox that has forgotten the refresh token gives one for the client's secret."""
    body: dict[str, Any] = {"client_id": settings.client_id, "client_secret": settings.client_secret}
    answer = Response(400)
    if settings.refresh_token is not None:
        answer = yield from _login(body | {"refresh_token": settings.refresh_token})
    if answer.status == 400:
        answer = yield from _login(body)
    found = expect(answer)
    fresh: dict[str, Any] = {name: need_text(found, name) for name in ("access_token", "refresh_token")}
    if seconds := whole(found, "expires_in"):
        fresh["expires_in"] = seconds
    return fresh


def _login(body: Mapping[str, Any]) -> Flow[Response]:
    return (yield from ask(Request("POST", "/v1/token", json=body, signed=False)))


def check(settings: Settings) -> Flow[str]:
    """The shop's name and how many products it has."""
    found = expect((yield from ask(Request("GET", "/v1/shop", repeatable=True))))
    return f"{need_text(found, 'name')}, {units(found, 'products')} products"


# --- telling --------------------------------------------------------------------------------------------


class Row(Value, frozen=True):
    """One number of a target, and where it stands among the targets."""

    place: int
    slot: Slot
    item: Mapping[str, Any]


def push(settings: Settings, targets: Sequence[Target]) -> Flow[list[Verdict]]:
    """Set every number with the revision that we know of; up to fifty numbers in a request."""
    rows = _rows(targets)
    said: list[list[tuple[Slot, Verdict]]] = [[] for _ in targets]
    away: Response | None = None
    for start in range(0, len(rows), BATCH):
        some = rows[start : start + BATCH]
        about = [targets[row.place] for row in some]
        if away is not None:
            told: list[Verdict] = [Later(one, f"not sent: {away.words}", retry_after(away)) for one in about]
        else:
            said_here = msgspec.json.encode([(targets[row.place].key, row.item) for row in some])
            key = fingerprint(said_here.decode())
            answer = yield from ask(_request(some, key))
            told = _judged(about, some, answer)
            away = None if answer.ok else answer
        for row, verdict in zip(some, told, strict=True):
            said[row.place].append((row.slot, verdict))
    return [_together(target, mine) for target, mine in zip(targets, said, strict=True)]


def _rows(targets: Sequence[Target]) -> list[Row]:
    found = []
    for place, target in enumerate(targets):
        if variant := target.ids.get("variant"):
            for slot in target.slots:
                found.append(Row(place, slot, _item(variant, slot)))
    return found


def _item(variant: str, slot: Slot) -> dict[str, Any]:
    item: dict[str, Any] = {"variant": variant}
    if slot.location is not None:
        item["location"] = slot.location
    if slot.token is not None and slot.token.isdecimal():
        item["revision"] = int(slot.token)
    if slot.infinite:
        item["unlimited"] = True
    else:
        item["quantity"] = slot.offer if slot.offer < LARGEST else LARGEST
    return item


def _request(rows: Sequence[Row], key: str) -> Request:
    body = {"items": [row.item for row in rows]}
    return Request("POST", "/v1/stock", json=body, headers=(("Idempotency-Key", key),), repeatable=True)


class Result(msgspec.Struct, frozen=True):
    """What became of one number, as far as the answer said it."""

    variant: str | None = None
    status: str | None = None
    quantity: int | None = None
    revision: int | None = None
    code: str | None = None
    message: str | None = None


class Results(msgspec.Struct, frozen=True):
    """The answer to a batch."""

    results: list[Result]


_results = msgspec.json.Decoder(Results)
_NOTHING = Result()


def _judged(targets: Sequence[Target], rows: Sequence[Row], answer: Response) -> list[Verdict]:
    """A verdict a row; results come in the order of the items and name the variant."""
    if not answer.ok:
        return for_all(targets, answer)
    found = _read(answer)
    found += [_NOTHING] * (len(rows) - len(found))
    return [
        _verdict(target, row, result, answer)
        for target, row, result in zip(targets, rows, found, strict=False)
    ]


def _read(answer: Response) -> list[Result]:
    """The results of an answer; of one that is not as documented, what can be made out."""
    try:
        return _results.decode(answer.body).results
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = at(answer.json(), "results")
    words = ("variant", "code", "message")
    return [
        Result(
            status=status if isinstance(status := at(one, "status"), str) else None,
            quantity=whole(one, "quantity"),
            revision=whole(one, "revision"),
            **{name: text(one, name) for name in words},
        )
        for one in (found if isinstance(found, list) else ())
    ]


def _verdict(target: Target, row: Row, result: Result, answer: Response) -> Verdict:
    place = row.slot.location
    if result.variant != row.item["variant"]:
        return Unsure(target, f"the answer does not name it: {answer.words}")
    tokens = {} if result.revision is None else {place: str(result.revision)}
    match result.status:
        case "ok":
            return Accepted(target, tokens)
        case "conflict":
            shown = {} if result.quantity is None else {place: result.quantity}
            return Stale(target, shown, "the number has changed there", tokens)
        case "error" if result.code == BUSY:
            return Later(target, result.message or BUSY)
        case "error":
            code = result.code or ""
            return Rejected(target, result.message or code or "refused", code)
        case _:
            return Unsure(target, f"the answer is not as documented: {answer.words}")


RANKS: dict[type[Verdict], int] = {Rejected: 1, Unsure: 2, Later: 3, Stale: 4, Accepted: 5}
"""Which of the verdicts on a listing's numbers is the listing's: the lowest."""


def _together(target: Target, said: Sequence[tuple[Slot, Verdict]]) -> Verdict:
    """One verdict of a target's numbers: the worst of them, with all revisions that were told."""
    if not said:
        words = "the listing has no variant" if target.slots else "the listing has no number"
        return Rejected(target, words)
    if len(said) == 1:
        return said[0][1]
    worst = min((verdict for _, verdict in said), key=_rank)
    tokens: dict[str | None, str] = {}
    shown: dict[str | None, int] = {}
    for slot, verdict in said:
        if isinstance(verdict, Accepted | Stale):
            tokens |= verdict.tokens
        if isinstance(verdict, Accepted):
            shown[slot.location] = slot.offer
        elif isinstance(verdict, Stale):
            shown |= verdict.observed
    match worst:
        case Accepted():
            return Accepted(target, tokens)
        case Stale():
            return Stale(target, shown, worst.words, tokens)
        case _:
            return worst


def _rank(verdict: Verdict) -> int:
    return RANKS.get(type(verdict), 0)


# --- looking --------------------------------------------------------------------------------------------


def places(settings: Settings) -> Flow[list[Place]]:
    """All locations; the channel's own warehouse is not ours."""
    found = expect((yield from ask(Request("GET", "/v1/locations", repeatable=True))))
    return [_place(row) for row in need_rows(found, "locations")]


def _place(row: Mapping[str, Any]) -> Place:
    ours, default = row.get("owned") is not True, row.get("default") is True
    return Place(need_text(row, "id"), text(row, "name") or "", ours, default)


def pull(settings: Settings, cursor: str | None) -> Flow[Page]:
    """A page of products with all their variants; the cursor is the sandbox's own."""
    found = expect((yield from ask(_page("/v1/products", cursor))))
    seen = tuple(
        _seen(product, variant)
        for product in need_rows(found, "products")
        for variant in need_rows(product, "variants")
    )
    return Page(seen, text(found, "next"))


def _page(path: str, cursor: str | None) -> Request:
    return Request("GET", path, query=(*PAGE, ("cursor", cursor)) if cursor else PAGE, repeatable=True)


def _seen(product: Mapping[str, Any], variant: Mapping[str, Any]) -> Seen:
    owned = variant.get("owned") is True
    return Seen(
        {"product": need_text(product, "id"), "variant": need_text(variant, "id")},
        text(variant, "sku"),
        tuple(_shown(level) for level in need_rows(variant, "levels")),
        title=text(variant, "title") or text(product, "title") or "",
        active=product.get("active") is not False,
        writable=not owned,
        why="it lies in the channel's own warehouse" if owned else "",
    )


def _shown(level: Mapping[str, Any]) -> Shown:
    quantity = None if level.get("unlimited") is True else whole(level, "quantity")
    return Shown(quantity, need_text(level, "location"), text(level, "revision"))


def orders(settings: Settings, cursor: str | None) -> Flow[Orders]:
    """Orders that changed, by the sandbox's own cursor; without one those that are open."""
    found = expect((yield from ask(_page("/v1/orders", cursor))))
    seen = tuple(_order(row) for row in need_rows(found, "orders"))
    return Orders(seen, need_text(found, "cursor"), more=at(found, "more") is True)


def _order(row: Any) -> Order:
    updated = whole(row, "updated_at")
    if updated is None:
        raise Failed("the channel's answer is not as documented: an order has no time", retry=True)
    lines = tuple(
        OrderLine(
            need_text(line, "id"),
            {"variant": need_text(line, "variant")},
            text(line, "sku"),
            units(line, "ordered"),
            units(line, "cancelled"),
            units(line, "shipped"),
            units(line, "returned"),
            text(line, "location"),
        )
        for line in need_rows(row, "lines")
    )
    name = need_text(row, "id")
    holds, test = at(row, "paid") is True, at(row, "test") is True
    return Order(name, updated, lines, name=name, holds=holds, test=test, sent=whole(row, "sent_at"))


# --- hearing --------------------------------------------------------------------------------------------


def hear(settings: Settings, headers: Mapping[str, str], body: bytes, now: int) -> Heard:
    """A webhook: its time and body are under the signature, and an order comes whole. Raises Unheard."""
    stamp = headers.get("sandbox-time", "")
    if settings.webhook_secret is None or not (stamp.isascii() and stamp.isdecimal() and len(stamp) < 16):
        raise Unheard("the message is not signed, or no secret is set to verify it with")
    proof = mac(settings.webhook_secret.reveal().encode(), stamp.encode() + b"." + body).hex()
    if not same(proof.encode(), headers.get("sandbox-signature", "").encode("utf-8", "replace")):
        raise Unheard("the signature is wrong")
    require_fresh(int(stamp), now)
    said = Response(200, body=body).json()
    name, topic = text(said, "id"), text(said, "topic") or ""
    if name is None:
        raise Unheard("the message has no id", 400)
    carried = at(said, "order")
    try:
        told = (_order(carried),) if carried is not None else ()
    except Failed as failed:
        raise Unheard(failed.words, 400) from failed
    variant = text(said, "variant")
    return Heard(name, topic, told, look_at=(variant,) if variant else ())


def pace(response: Response) -> float | None:
    """Nothing is told beside Retry-After."""
    return None
