"""The sandbox's protocol, version 1: what each request does and how it is answered, without I/O.

It is described in docs/sandbox.md. `Protocol.answer` takes a request and gives what is to be said, and for
how long the saying is to be put off; so a server and a test can both stand in front of it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from onhand.sandbox.model import Faults, Order, Product, Variant
from onhand.sandbox.shop import LARGEST, Refused, Shop
from onhand.wire import BadBody, decode, encode, is_int

VERSION = "1"
BATCH = 50
PAGE, PAGE_LIMIT = 50, 200
KEYS_KEPT = 1_000
KEY_LENGTH = 200
TOKENS_KEPT = 50
DIGITS = 16
SECOND = 1_000_000


class Call(NamedTuple):
    """A request; header names are in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


class Answer(NamedTuple):
    """What is said after ``delay`` seconds. ``lost`` ones come too late for anybody to wait for."""

    status: int
    body: bytes
    headers: Mapping[str, str] = {}
    delay: float = 0.0
    lost: bool = False


def say(status: int, value: object, headers: Mapping[str, str] = {}) -> Answer:
    """An answer with a JSON body."""
    return Answer(status, encode(value), {"content-type": "application/json", **headers})


def problem(status: int, code: str, words: str, headers: Mapping[str, str] = {}) -> Answer:
    """A refusal in the protocol's shape."""
    return say(status, {"error": {"code": code, "message": words}}, headers)


class Counts:
    """What a channel has seen in this life: requests of its protocol, those of them that it turned away for
    being too many, and numbers that it has set."""

    __slots__ = ("numbers", "requests", "throttled")

    def __init__(self) -> None:
        self.requests = self.throttled = self.numbers = 0


class Gate:
    """The published rate limit: a bucket of ``burst`` calls that fills at ``rate`` a second."""

    def __init__(self) -> None:
        self._full_at = 0.0

    def enter(self, faults: Faults, now: float) -> float:
        """Seconds until a call is let in; 0 when this one is."""
        if faults.rate <= 0:
            return 0.0
        gap = 1.0 / faults.rate
        start = max(self._full_at, now)
        early = start - now - gap * max(0, faults.burst - 1)
        if early > 1e-9:
            return early
        self._full_at = start + gap
        return 0.0


class Protocol:
    """A shop's protocol side. ``now`` gives microseconds UTC; ``token`` makes texts nobody can guess."""

    def __init__(
        self, shop: Shop, now: Callable[[], int], token: Callable[[], str] = lambda: secrets.token_urlsafe(24)
    ) -> None:
        self.shop = shop
        self._now, self._token = now, token
        self.counts = Counts()
        self._gate = Gate()
        self._said: OrderedDict[str, tuple[str, dict[int, dict[str, Any]]]] = OrderedDict()

    def answer(self, call: Call) -> Answer:
        """What is said to a request, faults included."""
        faults = self.shop.state.faults
        answer = (self._fault(faults) or self._served(call, faults))._replace(delay=faults.delay)
        self.counts.requests += 1
        self.counts.throttled += answer.status == 429
        return answer

    def _served(self, call: Call, faults: Faults) -> Answer:
        try:
            found = self._route(call)
        except Refused as refused:
            return problem(refused.status, refused.code, refused.words)
        except BadBody as bad:
            return problem(400, "bad_body", bad.message)
        if faults.lose and call.method == "POST" and call.path == "/v1/stock" and found.status == 200:
            faults.lose -= 1
            return found._replace(lost=True)
        return found

    def _fault(self, faults: Faults) -> Answer | None:
        if faults.throttle:
            faults.throttle -= 1
            return _throttled(faults.retry_after)
        if faults.fail:
            faults.fail -= 1
            return Answer(503, b"<html>Service Unavailable</html>", {"content-type": "text/html"})
        early = self._gate.enter(faults, self._now() / SECOND)
        return _throttled(early) if early else None

    def _route(self, call: Call) -> Answer:
        if not call.path.startswith("/v1/"):
            raise Refused(404, "unknown_path", "there is nothing here")
        if (call.method, call.path) == ("POST", "/v1/token"):
            return self._login(_object(call.body))
        self._require_token(call)
        match call.method, call.path:
            case "GET", "/v1/shop":
                return say(200, {"name": "Sandbox", "products": len(self.shop.state.products)})
            case "GET", "/v1/locations":
                return say(200, {"locations": self.shop.state.places})
            case "GET", "/v1/products":
                return self._products(call.query)
            case "GET", "/v1/orders":
                return self._orders(call.query)
            case "POST", "/v1/stock":
                return self._stock(call)
            case _:
                raise Refused(404, "unknown_path", "there is nothing here")

    # --- tokens -----------------------------------------------------------------------------------------

    def _login(self, body: Mapping[str, Any]) -> Answer:
        """Tokens from the client's secret, or the next pair for a refresh token, which is then void."""
        keys, state = self.shop.state.keys, self.shop.state
        _only(body, "client_id", "client_secret", "refresh_token")
        given = [body.get("client_id", ""), body.get("client_secret", "")]
        wanted = (keys.client_id, keys.client_secret)
        if not all(isinstance(one, str) and _same(one, two) for one, two in zip(given, wanted, strict=True)):
            raise Refused(401, "bad_client", "the client's id or secret is wrong")
        if "refresh_token" in body:
            if body["refresh_token"] not in state.refresh:
                raise Refused(400, "bad_refresh_token", "the refresh token is unknown or was used")
            state.refresh.remove(body["refresh_token"])
        access, refresh = self._token(), self._token()
        seconds = state.faults.token_seconds
        state.access[access] = self._now() + seconds * SECOND
        state.refresh.append(refresh)
        for old in list(state.access)[:-TOKENS_KEPT]:
            del state.access[old]
        del state.refresh[:-TOKENS_KEPT]
        return say(200, {"access_token": access, "refresh_token": refresh, "expires_in": seconds})

    def _require_token(self, call: Call) -> None:
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        ends = self.shop.state.access.get(token) if scheme.lower() == "bearer" else None
        if ends is None:
            raise Refused(401, "bad_token", "the token is missing or unknown")
        if ends <= self._now():
            raise Refused(401, "token_expired", "the token has expired")

    # --- reading ----------------------------------------------------------------------------------------

    def _products(self, query: Mapping[str, str]) -> Answer:
        cursor, limit = _paged(query)
        if cursor and _place(cursor) is None:
            raise Refused(400, "bad_cursor", "the cursor is none of ours")
        found, following = self.shop.products(_place(cursor) or 0, limit)
        rows = [_product(self.shop, one) for one in found]
        return say(200, {"products": rows, "next": None if following is None else str(following)})

    def _orders(self, query: Mapping[str, str]) -> Answer:
        """Without a cursor: those that are open. A cursor of an earlier life of the channel starts anew."""
        cursor, limit = _paged(query)
        epoch, place, began = [*cursor.split(".", 2), "", ""][:3]
        since = _place(place) if epoch == self.shop.state.epoch else None
        begin = self.shop.state.seq if not cursor else None if since is None else _place(began)
        found, last, more = self.shop.changed(since or 0, limit, only_open=begin is not None)
        mark = f"{self.shop.state.epoch}.{last}"
        if begin is not None:
            # What left the open ones while they were read is told next: it was among them at first.
            mark = f"{mark}.{begin}" if more else f"{self.shop.state.epoch}.{begin}"
        return say(200, {"orders": [order(one) for one in found], "cursor": mark, "more": more})

    # --- writing ----------------------------------------------------------------------------------------

    def _stock(self, call: Call) -> Answer:
        """Set up to fifty numbers, each for itself. Said again under the same key, those that were set are
        answered as before and not set again; those that were refused are tried again."""
        key = call.headers.get("idempotency-key", "")
        if len(key) > KEY_LENGTH:
            raise Refused(400, "bad_key", "the idempotency key is too long")
        digest = hashlib.sha256(call.body).hexdigest()
        before, done = self._said.get(key, (digest, {}))
        if before != digest:
            raise Refused(422, "key_reused", "the idempotency key was used for something else")
        body = _object(call.body)
        _only(body, "items")
        items = body.get("items")
        if not isinstance(items, list) or not 0 < len(items) <= BATCH:
            raise Refused(422, "bad_batch", f"items is a list of 1 to {BATCH}")
        rows = [_item(one) for one in items]
        results = [done.get(place) or self._set(one) for place, one in enumerate(rows)]
        if key:
            self._said[key] = (digest, {n: one for n, one in enumerate(results) if one["status"] == "ok"})
            while len(self._said) > KEYS_KEPT:
                self._said.popitem(last=False)
        return say(200, {"results": results}, {"idempotent-replay": "true"} if done else {})

    def _set(self, item: Mapping[str, Any]) -> dict[str, Any]:
        faults = self.shop.state.faults
        named = {"variant": item["variant"], "location": item.get("location") or self.shop.default}
        if faults.errors:
            faults.errors -= 1
            return named | _error(faults.error_code, "it was asked to refuse")
        try:
            variant = self.shop.variant(item["variant"])
            level = self.shop.level(variant, item.get("location"))
        except Refused as refused:
            return named | _error(refused.code, refused.words)
        named["location"] = self.shop.where(variant, item.get("location"))
        if self.shop.own(named["location"]):
            return named | _error("not_yours", "this stock lies in the channel's own warehouse")
        if item.get("revision") not in (None, level.revision):
            return named | {"status": "conflict"} | _level(level)
        self.shop.put(variant, item.get("location"), None if item.get("unlimited") else item["quantity"])
        self.counts.numbers += 1
        return named | {"status": "ok"} | _level(level)


# --- shapes ---------------------------------------------------------------------------------------------


def _error(code: str, words: str) -> dict[str, Any]:
    return {"status": "error", "code": code, "message": words}


def _level(level: Any) -> dict[str, Any]:
    return {"quantity": level.quantity, "unlimited": level.unlimited, "revision": level.revision}


def _product(shop: Shop, one: Product) -> dict[str, Any]:
    rows = [_variant(shop, variant) for variant in one.variants]
    return {"id": one.id, "title": one.title, "active": one.active, "kit": one.kit, "variants": rows}


def _variant(shop: Shop, one: Variant) -> dict[str, Any]:
    levels = [{"location": place} | _level(level) for place, level in one.levels.items()]
    return {"id": one.id, "sku": one.sku, "title": one.title, "owned": shop.owned(one), "levels": levels}


def order(one: Order) -> dict[str, Any]:
    """An order as the protocol shows it; times are microseconds since 1970 UTC."""
    lines = [
        {
            "id": line.id,
            "variant": line.variant,
            "sku": line.sku,
            "location": line.location,
            "ordered": line.ordered,
            "cancelled": line.cancelled,
            "shipped": line.shipped,
            "returned": line.returned,
        }
        for line in one.lines
    ]
    return {
        "id": one.id,
        "placed_at": one.placed_at,
        "updated_at": one.updated_at,
        "sent_at": one.sent_at,
        "paid": one.paid,
        "test": one.test,
        "lines": lines,
    }


def _throttled(seconds: float | None) -> Answer:
    headers = {} if seconds is None else {"retry-after": f"{seconds:.3f}"}
    return problem(429, "too_many_requests", "too many requests: wait a little", headers)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode())


def _object(raw: bytes) -> Mapping[str, Any]:
    found = decode(raw)
    if not isinstance(found, dict):
        raise Refused(400, "bad_body", "the body is no object")
    return found


def _only(value: Mapping[str, Any], *known: str) -> None:
    if strange := sorted(set(value) - set(known)):
        raise Refused(422, "unknown_field", f"there is no field {strange[0]!r}")


def _item(value: Any) -> Mapping[str, Any]:
    """An item of a batch, checked. Raises Refused: a malformed one refuses the whole batch."""
    if not isinstance(value, dict):
        raise Refused(422, "bad_item", "an item is an object")
    _only(value, "variant", "location", "quantity", "unlimited", "revision")
    if not isinstance(value.get("variant"), str):
        raise Refused(422, "bad_item", "variant is a text")
    if not isinstance(value.get("location"), str | None):
        raise Refused(422, "bad_item", "location is a text")
    revision, quantity, unlimited = (value.get(name) for name in ("revision", "quantity", "unlimited"))
    if revision is not None and not is_int(revision):
        raise Refused(422, "bad_item", "revision is a whole number")
    if not isinstance(unlimited, bool | None) or (unlimited is True) == (quantity is not None):
        raise Refused(422, "bad_item", "an item has a quantity, or unlimited: true")
    if quantity is not None and not (is_int(quantity) and 0 <= quantity <= LARGEST):
        raise Refused(422, "bad_item", f"quantity is a whole number from 0 to {LARGEST}")
    return value


def _place(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < DIGITS else None


def _paged(query: Mapping[str, str]) -> tuple[str, int]:
    """Cursor and limit. Raises Refused."""
    _only(query, "cursor", "limit")
    limit = query.get("limit", str(PAGE))
    size = _place(limit)
    if size is None or not 0 < size <= PAGE_LIMIT:
        raise Refused(400, "bad_limit", f"limit is a number from 1 to {PAGE_LIMIT}")
    return query.get("cursor", ""), size
