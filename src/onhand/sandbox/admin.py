"""The operator's side of the sandbox: sell, pay, cancel, ship and refund, edit numbers, switch faults on."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from onhand.sandbox import catalogue, protocol
from onhand.sandbox.model import Faults, State
from onhand.sandbox.protocol import Answer, Call, Counts, say
from onhand.sandbox.shop import LARGEST, Refused, Shop
from onhand.wire import BadBody, decode

PATH = "/admin/"
LINES_LIMIT = 200
SIZE_LIMIT = 200_000

T = TypeVar("T")


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line that somebody buys; ``sku`` may be a variant's id."""

    sku: str
    units: int = 1
    location: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.units <= LARGEST:
            raise ValueError(f"units is a number from 1 to {LARGEST}")


class Placing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order to be placed, and paid unless ``pay`` is false."""

    lines: list[Wanted]
    pay: bool = True
    test: bool = False

    def __post_init__(self) -> None:
        if not 0 < len(self.lines) <= LINES_LIMIT:
            raise ValueError(f"an order has 1 to {LINES_LIMIT} lines")


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """So many units of a line; without them all that the step allows."""

    line: str | None = None
    units: int | None = None


class Edit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A number that is set behind the hub's back."""

    sku: str
    quantity: int
    location: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.quantity <= LARGEST:
            raise ValueError(f"quantity is a number from 0 to {LARGEST}")


class Hook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where webhooks go; "" stops them."""

    url: str = ""

    def __post_init__(self) -> None:
        if self.url and not self.url.startswith(("http://", "https://")):
            raise ValueError("url is an http:// or https:// address")


class Anew(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new assortment, without orders and faults."""

    seed: int = 1
    size: int = catalogue.SIZE

    def __post_init__(self) -> None:
        if not 1 <= self.size <= SIZE_LIMIT:
            raise ValueError(f"size is a number from 1 to {SIZE_LIMIT}")


class Admin:
    """Answers what begins with `PATH`. ``renew`` puts another state in place of the present one, ``counts``
    says what the protocol has seen."""

    def __init__(
        self, shop: Callable[[], Shop], renew: Callable[[State], None], counts: Callable[[], Counts]
    ) -> None:
        self._shop, self._renew, self._counts = shop, renew, counts

    def answer(self, call: Call) -> Answer:
        """What is said to a request; its key comes as a bearer token."""
        try:
            self._require_key(call)
            return say(200, self._done(call))
        except Refused as refused:
            return protocol.problem(refused.status, refused.code, refused.words)
        except BadBody as bad:
            return protocol.problem(400, "bad_body", bad.message)
        except msgspec.ValidationError as error:
            return protocol.problem(422, "bad_field", str(error))

    def _require_key(self, call: Call) -> None:
        given = call.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode("utf-8", "replace"), self._state.keys.admin_key.encode()):
            raise Refused(401, "bad_key", "the operator's key is missing or wrong")

    @property
    def _state(self) -> State:
        return self._shop().state

    def _done(self, call: Call) -> object:
        parts = call.path.removeprefix(PATH).split("/")
        match call.method, parts:
            case "GET", ["state"]:
                return self._shown()
            case "GET", ["orders"]:
                return {"orders": [protocol.order(one) for one in self._state.orders.values()]}
            case "GET", ["faults"]:
                return self._state.faults
            case "POST", ["sell"]:
                return self._sell(Placing([_read(call.body, Wanted)]))
            case "POST", ["orders"]:
                return self._sell(_read(call.body, Placing))
            case "POST", ["orders", name, step]:
                return self._step(name, step, call.body)
            case "POST", ["edit"]:
                edit = _read(call.body, Edit)
                return self._shop().edit(edit.sku, edit.location, edit.quantity)
            case "POST", ["faults"]:
                return self._fault(_fields(call.body))
            case "POST", ["hook"]:
                self._state.keys.hook_url = _read(call.body, Hook).url
                return {"url": self._state.keys.hook_url}
            case "POST", ["expire"]:
                self._state.access.update(dict.fromkeys(self._state.access, 0))
                return {"expired": len(self._state.access)}
            case "POST", ["reset"]:
                return self._reset(_read(call.body, Anew))
            case _:
                raise Refused(404, "unknown_path", "there is nothing here")

    def _shown(self) -> dict[str, Any]:
        state = self._state
        return {
            "epoch": state.epoch,
            "products": len(state.products),
            "orders": len(state.orders),
            "hook_url": state.keys.hook_url,
            "faults": state.faults,
            "counts": {name: getattr(self._counts(), name) for name in Counts.__slots__},
        }

    def _sell(self, wanted: Placing) -> object:
        order = self._shop().place(
            [(one.sku, one.units, one.location) for one in wanted.lines], test=wanted.test
        )
        if wanted.pay:
            self._shop().pay(order)
        return protocol.order(order)

    def _step(self, name: str, step: str, body: bytes) -> object:
        order, part = self._shop().order(name), _read(body or b"{}", Part)
        match step:
            case "pay":
                self._shop().pay(order)
            case "cancel":
                self._shop().cancel(order, part.line, part.units)
            case "ship":
                self._shop().ship(order, part.line, part.units)
            case "refund":
                self._shop().refund(order, part.line, part.units)
            case _:
                raise Refused(404, "unknown_path", f"an order cannot {step!r}")
        return protocol.order(order)

    def _fault(self, fields: Mapping[str, Any]) -> Faults:
        """Only what is named changes."""
        faults = msgspec.convert(msgspec.to_builtins(self._state.faults) | dict(fields), Faults)
        numbers = (value for value in msgspec.structs.astuple(faults) if isinstance(value, int | float))
        if any(not 0 <= value < 1e9 for value in numbers):
            raise Refused(422, "bad_field", "counts and seconds are not below 0, and below a billion")
        self._state.faults = faults
        return faults

    def _reset(self, anew: Anew) -> dict[str, Any]:
        old = self._state
        epoch, _, life = old.epoch.partition("x")
        self._renew(
            State(
                epoch=f"{epoch}x{int(life or 0) + 1}",
                keys=old.keys,
                products=catalogue.assortment(anew.seed, anew.size),
                places=catalogue.PLACES,
                clock=old.clock,
                access=old.access,
                refresh=old.refresh,
            )
        )
        return self._shown()


def _fields(raw: bytes) -> Mapping[str, Any]:
    found = decode(raw)
    if not isinstance(found, dict):
        raise Refused(422, "bad_field", "the body is no object")
    return found


def _read(raw: bytes, kind: type[T]) -> T:
    return msgspec.convert(_fields(raw), kind)
