"""Speaks to a WooCommerce shop: stock quantities of products and variations, in batches.

REST API wc/v3, https://woocommerce.github.io/woocommerce-rest-api-docs/; checked 2026-11-22 against that
document and the plugin's published controllers; not yet called live. A shop needs pretty permalinks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import floor
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

import msgspec

from onhand.connectors import woocommerce_hooks
from onhand.connectors.auth import Wire, basic, fingerprint, oauth1_signature, require_mac
from onhand.connectors.channel import (
    Channel,
    Limit,
    Secret,
)
from onhand.connectors.flow import (
    Accepted,
    Flow,
    Heard,
    Later,
    Page,
    Pairs,
    Rejected,
    Request,
    Response,
    Seen,
    Shown,
    Stale,
    Target,
    Unheard,
    Unsure,
    Verdict,
    expect,
    for_all,
    retry_after,
)
from onhand.connectors.reading import ask, at, need_rows, need_text, text, whole
from onhand.connectors.woocommerce_orders import MOST, orders, reread
from onhand.connectors.woocommerce_pages import PAGE, Spot, asked, following

__all__ = [
    "CHANNEL",
    "Settings",
    "base_url",
    "check",
    "hear",
    "look",
    "orders",
    "pace",
    "pull",
    "push",
    "reread",
    "sign",
]

BATCH = 50
"""Listings in one push. A batch call takes 100 objects at most, unless the shop's own filter says another
number; but a shop saves them one by one, within what time its PHP allows, and every product with variations
is a call of its own, for which the numbers have to wait."""
STOCKLESS = {"grouped", "external"}
PING = re.compile(rb"webhook_id=\d{1,18}")
UNDATED = {"order.updated", "order.deleted"}
"""What may have happened to an order without a new time of change, so that no poll finds it: its items were
edited, older shops refund in part, or it lies in the trash or nowhere any more. It is asked for by its id."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The shop's address and a key with read and write access. ``auth`` "query" is for servers that strip
    the Authorization header; an address without TLS is spoken to with signatures instead of the secret."""

    store: Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$")]
    consumer_key: Secret
    consumer_secret: Secret
    webhook_secret: Secret | None = None
    auth: Literal["basic", "query"] = "basic"


CHANNEL = Channel(
    name="woocommerce",
    title="WooCommerce",
    version="REST API wc/v3",
    document="https://woocommerce.github.io/woocommerce-rest-api-docs/",
    checked="2026-11-22",
    settings=Settings,
    shop=("store",),
    identity=("product", "variation"),
    auth="consumer key and secret; OAuth 1.0a where there is no TLS",
    batch=BATCH,
    limits=(Limit("default", calls=2, seconds=1, burst=4),),
    # The shop is the merchant's own machine.
    parallel=2,
    infinite=True,
    webhooks=True,
    cannot=(
        "It has no locations.",
        "It does not compare before it sets: a sale in between is healed by the next poll of orders.",
        "Units come back by a refund that restocks; old shops forget so where all of a line is refunded.",
        "A variation whose stock the parent keeps cannot be set by itself.",
        "Orders in a plugin's own status that are older than the connection are seen when they change.",
    ),
)


def base_url(settings: Settings) -> str:
    """The API below the shop's own address."""
    return settings.store.rstrip("/") + "/wp-json/wc/v3"


def sign(settings: Settings, wire: Wire, now: int, nonce: str) -> Wire:
    """With the key, as the shop's address and settings want it. Reads get a number that no page cache
    has seen, because a cached answer would show yesterday's stock."""
    if wire.method == "GET":
        wire = wire.add(query=(("_", str(now)),))
    key = settings.consumer_key.reveal()
    if settings.store.startswith("http://"):
        return _oauth(settings, key, wire, now, nonce)
    if settings.auth == "query":
        # The secret is in the query because nothing else reaches such a server.
        pair = (("consumer_key", key), ("consumer_secret", settings.consumer_secret.reveal()))
        return wire.add(query=pair)
    return wire.add(basic(key, settings.consumer_secret))


def _oauth(settings: Settings, key: str, wire: Wire, now: int, nonce: str) -> Wire:
    """OAuth 1.0a with one leg: neither token nor version, all fields in the query."""
    fields = {
        "oauth_consumer_key": key,
        "oauth_nonce": fingerprint(nonce),
        "oauth_signature_method": "HMAC-SHA256",
        "oauth_timestamp": str(now // 1_000_000),
    }
    signature = oauth1_signature(wire, fields, settings.consumer_secret, Secret(""), "sha256")
    return wire.add(query=(*fields.items(), ("oauth_signature", signature)))


def check(settings: Settings) -> Flow[str]:
    """How many products there are. An empty batch, which changes nothing, proves that we may write."""
    first = yield from ask(Request("GET", "/products", query=(("per_page", "1"),), repeatable=True))
    need_rows(expect(first))
    expect((yield from ask(Request("POST", "/products/batch", json={"update": []}, repeatable=True))))
    count = len((yield from woocommerce_hooks.asleep()))
    told = f"{first.headers.get('x-wp-total', 'some')} products at {settings.store}"
    return f"{told}; {count} webhooks are disabled" if count else told


# --- telling --------------------------------------------------------------------------------------------


class Job(NamedTuple):
    """A target at its place in the batch, with the row that says it."""

    place: int
    target: Target
    row: dict[str, Any]


Verdicts: TypeAlias = dict[int, Verdict]


def push(settings: Settings, targets: Sequence[Target]) -> Flow[list[Verdict]]:
    """Products in one batch, variations in a batch per parent, because only those calls take many. When the
    shop is away the rest is not sent."""
    verdicts: Verdicts = {}
    groups: dict[str, list[Job]] = {}
    taken: dict[tuple[str, int], dict[str, Any]] = {}
    for place, target in enumerate(targets):
        if words := _fault(target):
            verdicts[place] = Rejected(target, words)
            continue
        path, row = _path(target), _row(target)
        if taken.setdefault((path, row["id"]), row) != row:
            verdicts[place] = Rejected(target, "another listing sets another number for the same product")
        else:
            groups.setdefault(path, []).append(Job(place, target, row))
    away: Response | None = None
    for path, jobs in groups.items():
        if away is None:
            away = yield from _say(path, jobs, verdicts)
        else:
            seconds = retry_after(away)
            words = f"not sent: {away.words}"
            verdicts |= {job.place: Later(job.target, words, seconds) for job in jobs}
    return [verdicts[place] for place in range(len(targets))]


def _fault(target: Target) -> str:
    product, variation = target.ids.get("product", ""), target.ids.get("variation")
    if not _is_id(product) or (variation is not None and not _is_id(variation)):
        return "the listing has no product id"
    if len(target.slots) != 1:
        return "the listing has not one number; WooCommerce has no locations"
    return ""


def _is_id(name: str) -> bool:
    return name.isascii() and name.isdigit() and len(name) < 19


def _path(target: Target) -> str:
    inner = f"/{target.ids['product']}/variations" if "variation" in target.ids else ""
    return f"/products{inner}/batch"


def _row(target: Target) -> dict[str, Any]:
    """Without ``manage_stock`` a quantity is wiped, or for a variation answered and not stored."""
    name, slot = int(target.ids.get("variation", target.ids["product"])), target.slots[0]
    if slot.infinite:
        return {"id": name, "manage_stock": False, "stock_status": "instock"}
    return {"id": name, "manage_stock": True, "stock_quantity": min(slot.offer, CHANNEL.largest)}


def _say(path: str, jobs: Sequence[Job], verdicts: Verdicts) -> Flow[Response | None]:
    """One batch into ``verdicts``; in halves when the shop allows fewer. The answer, if the shop is away."""
    waiting = [list(jobs)]
    while waiting:
        some = waiting.pop(0)
        rows = list({job.row["id"]: job.row for job in some}.values())
        answer = yield from ask(Request("POST", path, json={"update": rows}, repeatable=True))
        if answer.status == 413 and len(some) > 1:
            half = len(some) // 2
            waiting[:0] = [some[:half], some[half:]]
            continue
        verdicts |= zip((job.place for job in some), _judged(some, answer), strict=True)
        if answer.silent or answer.status in (401, 403, 429) or answer.status >= 500:
            words, seconds = f"not sent: {answer.words}", retry_after(answer)
            unsent = [job for group in waiting for job in group]
            verdicts |= {job.place: Later(job.target, words, seconds) for job in unsent}
            return answer
    return None


def _judged(jobs: Sequence[Job], answer: Response) -> list[Verdict]:
    """Verdicts by the ids in the answer; a row that is missing says nothing."""
    targets = [job.target for job in jobs]
    found = answer.json()
    if not answer.ok:
        if text(found, "code") == "rest_no_route":
            return [Later(target, answer.words) for target in targets]
        return for_all(targets, answer)
    listed = at(found, "update")
    rows = {whole(row, "id"): row for row in listed} if isinstance(listed, list) else {}
    return [_verdict(job, rows.get(job.row["id"]), answer) for job in jobs]


def _verdict(job: Job, row: Any, answer: Response) -> Verdict:
    target, slot = job.target, job.target.slots[0]
    if row is None:
        return Unsure(target, f"the answer does not name it: {answer.words}")
    if error := at(row, "error"):
        words = f"{text(error, 'code') or ''} {text(error, 'message') or ''}".strip() or "refused"
        passing = (whole(error, "data", "status") or 0) >= 500
        return Later(target, words) if passing else Rejected(target, words, text(error, "code") or "")
    managed, quantity = at(row, "manage_stock"), _kept(row)
    if managed == "parent":
        return Rejected(target, "the parent product keeps this variation's stock", "parent")
    if slot.infinite:
        return Accepted(target) if managed is False else Stale(target, words="the shop still counts it")
    if managed is not True or quantity is None:
        return Rejected(target, "the shop does not keep stock of this product", "unmanaged")
    if quantity != job.row["stock_quantity"]:
        # A plugin that thinks itself the owner of the stock has set it back, or it was sold meanwhile.
        return Stale(target, {slot.location: quantity}, f"the shop kept {quantity}")
    return Accepted(target)


def _kept(row: Any) -> int | None:
    """The number of a product, in whole units: with a plugin a shop keeps parts of one."""
    found = at(row, "stock_quantity")
    return floor(found) if isinstance(found, float) and abs(found) < MOST else whole(row, "stock_quantity")


# --- looking --------------------------------------------------------------------------------------------


def pull(settings: Settings, cursor: str | None) -> Flow[Page]:
    """A page of products with all variations of those that have any. The cursor is ``offset|last``. With the
    first page, webhooks that the shop has turned off are turned on again."""
    if cursor is None:
        yield from woocommerce_hooks.wake()
    told = [whole(part) for part in (cursor or "").split("|")]
    spot = Spot(told[0] or 0, told[1] or 0) if len(told) == len(Spot()) else Spot()
    call = Request("GET", "/products", (*asked(spot), ("status", "any")), repeatable=True)
    answer = yield from ask(call)
    products = need_rows(expect(answer))
    after = following(spot, products, answer)
    # What is read again is told once.
    again = after is not None and after.offset < spot.offset
    new = [row for row in products if not again and (whole(row, "id") or 0) > spot.last]
    return Page(tuple((yield from _stocked(new))), None if after is None else "|".join(map(str, after)))


def look(settings: Settings, names: Sequence[str]) -> Flow[list[Seen]]:
    """The products of these ids, with all their variations; a variation is named after its product's id."""
    wanted = list(dict.fromkeys(name.partition("/")[0] for name in names))
    seen: list[Seen] = []
    for start in range(0, len(wanted), PAGE):
        include = ("include", ",".join(wanted[start : start + PAGE]))
        found = yield from _all("/products", (("status", "any"), include))
        seen += yield from _stocked(found)
    return seen


def _stocked(products: Sequence[Mapping[str, Any]]) -> Flow[list[Seen]]:
    seen: list[Seen] = []
    for row in products:
        # Plugins have types of their own ("variable-subscription") that name their variations all the same.
        variable = text(row, "type") == "variable" or bool(at(row, "variations", 0))
        if not variable or row.get("manage_stock") is True:
            seen.append(_seen(row, {"product": need_text(row, "id")}))
        if variable:
            found = yield from _all(f"/products/{need_text(row, 'id')}/variations")
            seen += [_variation(row, each) for each in found]
    return seen


def _all(path: str, more: Pairs = ()) -> Flow[list[Mapping[str, Any]]]:
    """Every row of a list, each once."""
    found: dict[str, Mapping[str, Any]] = {}
    spot: Spot | None = Spot()
    while spot is not None:
        answer = yield from ask(Request("GET", path, (*asked(spot), *more), repeatable=True))
        listed = need_rows(expect(answer))
        found |= {need_text(row, "id"): row for row in listed}
        spot = following(spot, listed, answer)
    return list(found.values())


def _seen(row: Mapping[str, Any], ids: dict[str, str]) -> Seen:
    kind, managed = text(row, "type"), row.get("manage_stock")
    why = ""
    if kind in STOCKLESS:
        why = f"a product of type {kind} has no stock of its own"
    elif managed == "parent":
        why = "the parent product keeps its stock: let the variation manage its own, or list the parent"
    return Seen(
        ids,
        text(row, "sku"),
        # The number of a parent is no number of the variation, and an unmanaged one means nothing.
        (Shown(_kept(row) if managed is True else None),),
        title=text(row, "name") or "",
        active=text(row, "status") == "publish",
        writable=not why,
        why=why,
    )


def _variation(parent: Mapping[str, Any], row: Mapping[str, Any]) -> Seen:
    seen = _seen(row, {"product": need_text(parent, "id"), "variation": need_text(row, "id")})
    title = " ".join(part for part in (text(parent, "name"), seen.title) if part)
    live = seen.active and text(parent, "status") == "publish"
    return msgspec.structs.replace(seen, title=title, active=live)


# --- hearing --------------------------------------------------------------------------------------------


def hear(settings: Settings, headers: Mapping[str, str], body: bytes, now: int) -> Heard:
    """A webhook, as a hint to look. Raises Unheard. A new webhook is tried out by a ping that is not signed:
    it is answered, else WooCommerce gives the webhook up, and has no other effect."""
    given = headers.get("x-wc-webhook-signature", "")
    if not given and PING.fullmatch(body):
        # One name for all: anybody can send one, and what is noted of it is kept.
        return Heard("ping", "ping")
    if settings.webhook_secret is None:
        raise Unheard("no secret is set to verify webhooks with")
    require_mac(settings.webhook_secret, body, given)
    topic = headers.get("x-wc-webhook-topic", "")
    name = headers.get("x-wc-webhook-delivery-id") or fingerprint(f"{topic} {body.hex()}")
    said = Response(200, body=body).json()
    if topic in UNDATED:
        order = text(said, "id")
        return Heard(name, topic, poll_orders=True, reread=(order,) if order else ())
    if not topic.startswith("product."):
        return Heard(name, topic, poll_orders=topic.startswith("order."))
    parts = (text(said, "parent_id"), text(said, "id"))
    product = "/".join(part for part in parts if part and part != "0")
    return Heard(name, topic, look_at=(product,) if product else ())


def pace(response: Response) -> float | None:
    """WooCommerce itself has no limit; what stands before it may say Retry-After."""
    return retry_after(response)
