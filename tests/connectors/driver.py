"""Drives a connector's flow without a network: by hand against written answers, or against a fake."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Any, TypeVar

from onhand.connectors.auth import Wire, render
from onhand.connectors.channel import (
    read_settings,
)
from onhand.connectors.flow import (
    Flow,
    Request,
    Response,
    Slot,
    Target,
    Wait,
)

T = TypeVar("T")

NOW = 1_795_305_600_000_000
"""The fixed clock of the tests: 2026-11-22 00:00 UTC, in microseconds."""
NONCE = "nonce-0001"
STEPS = 10_000
"""A flow that asks more often than this is taken for endless."""


def answer(body: Any = b"", status: int = 200, **headers: str) -> Response:
    """What a channel says: bytes and text go as they are, anything else as JSON; ``retry_after="5"``
    is the header retry-after."""
    match body:
        case bytes():
            raw = body
        case str():
            raw = body.encode()
        case _:
            raw = json.dumps(body).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


SILENCE = Response(0)


def target(number: int, offer: int, ids: dict[str, str], location: str | None = None, **slot: Any) -> Target:
    """A target with one slot: listing ``number``, SKU ``SKU-number``, key ``key-number``."""
    return Target(number, ids, (Slot(offer, location, **slot),), f"key-{number}", sku=f"SKU-{number}")


def run(
    flow: Flow[T],
    answers: Iterable[Response] | Callable[[Request], Response],
    waits: list[float] | None = None,
) -> tuple[list[Request], T]:
    """Every request of the flow in order, and what it returned. ``answers`` are said one a request (all
    must be used) or are made by a function; the seconds of its waits are added to ``waits``."""
    requests: list[Request] = []
    said: Response | None = None
    script = None if callable(answers) else iter(answers)
    for _ in range(STEPS):
        try:
            step = flow.send(said)
        except StopIteration as end:
            assert script is None or not list(script), "answers were left over"
            return requests, end.value
        if isinstance(step, Wait):
            said = None
            if waits is not None:
                waits.append(step.seconds)
            continue
        requests.append(step)
        said = answers(step) if callable(answers) else _next(script, step)
    raise AssertionError("the flow does not end")


def _next(script: Iterator[Response] | None, request: Request) -> Response:
    said = next(script, None) if script is not None else None
    assert said is not None, f"no answer is written for {request.method} {request.url}"
    return said


def wire(module: ModuleType, settings: Any, request: Request, now: int = NOW, nonce: str = NONCE) -> Wire:
    """The request as it would go out, signed at a fixed clock with a fixed nonce."""
    plain = render(module.base_url(settings), request)
    signed: Wire = module.sign(settings, plain, now, nonce) if request.signed else plain
    return signed


def talk(
    flow: Flow[T], module: ModuleType, settings: Any, fake: Callable[[Wire], Response], now: int = NOW
) -> T:
    """What the flow returned after talking to a fake channel, every request signed with its own nonce."""
    requests: list[Request] = []

    def send(request: Request) -> Response:
        requests.append(request)
        return fake(wire(module, settings, request, now, f"nonce-{len(requests):04}"))

    return run(flow, send)[1]


def settings_of(module: ModuleType, **values: Any) -> Any:
    """Settings of a connector from plain values, as the hub reads them."""
    return read_settings(module.Settings, values)
