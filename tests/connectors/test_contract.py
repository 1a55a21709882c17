"""One contract for all connectors: whatever a channel answers, a target has its verdict and no secret leaks.

It runs over every module that has a CHANNEL. A new channel needs `EXAMPLE` in its fake and nothing here.
"""

from __future__ import annotations

import importlib
import itertools
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any, get_args

import msgspec
import pytest

import onhand.connectors
from connectors.driver import NOW, run, wire
from connectors.hostile import ANSWERS, NOT_JSON, storm
from fakes.common import Example
from onhand.connectors.channel import (
    Secret,
    plain_settings,
    read_settings,
)
from onhand.connectors.flow import (
    Accepted,
    Failed,
    Later,
    Orders,
    Page,
    Place,
    Rejected,
    Request,
    Reread,
    Response,
    Slot,
    Target,
    Unheard,
    Verdict,
)
from onhand.connectors.kind import external_id

FEW = 5
SHORTEST_SECRET = 8


def found() -> Iterator[ModuleType]:
    """The registered connectors; until there are any, the modules that lie there."""
    if listed := getattr(onhand.connectors, "ALL", None):
        yield from listed
        return
    for info in pkgutil.iter_modules(onhand.connectors.__path__):
        module = importlib.import_module(f"onhand.connectors.{info.name}")
        if hasattr(module, "CHANNEL"):
            yield module


CONNECTORS = tuple(found())
every = pytest.mark.parametrize(
    "connector", CONNECTORS, ids=lambda module: module.__name__.rsplit(".", 1)[-1]
)


def example(connector: ModuleType) -> Example:
    fake = importlib.import_module(f"fakes.{connector.CHANNEL.name}")
    given: Example = fake.EXAMPLE
    return given


def settings_of(connector: ModuleType) -> Any:
    return read_settings(connector.Settings, example(connector).settings)


def secrets_of(settings: Any) -> list[str]:
    values = (getattr(settings, name) for name in settings.__struct_fields__)
    return [value.reveal() for value in values if isinstance(value, Secret)]


def targets_of(connector: ModuleType, count: int) -> list[Target]:
    """Targets of every kind: first numbers, changes, unlimited ones, with reasons, with huge numbers."""
    known = example(connector)
    slots = itertools.cycle(
        (
            Slot(3, known.location),
            Slot(0, known.location, acknowledged=4, observed=4, token="7"),
            Slot(999, known.location, infinite=True, acknowledged=1),
            Slot(10**12, known.location, committed=2),
        )
    )
    reasons = itertools.cycle((None, None, "damaged"))
    return [
        Target(n, known.ids(n), (slot,), f"key-{n}", sku=f"SKU {n}/ä", reason=reason)
        for n, slot, reason in zip(range(1, count + 1), slots, reasons, strict=False)
    ]


def leaks(settings: Any, *shown: object) -> list[str]:
    """The secrets that can be read in what would be logged."""
    text = " ".join(repr(value) for value in shown)
    return [secret for secret in secrets_of(settings) if secret in text]


def examined(connector: ModuleType, settings: Any, requests: list[Request]) -> None:
    """Requests are well formed, drawn on a known limit, signed without a fault, and show no secret."""
    for request in requests:
        limit = connector.CHANNEL.limit(request.limit)
        assert 0 <= request.cost <= max(limit.burst, limit.calls), request
        assert sum(part is not None for part in (request.json, request.form, request.body)) <= 1, request
        assert request.method.isupper()
        assert request.url.startswith(("/", "https://", "http://")), request
        out = wire(connector, settings, request)
        assert all(value.isascii() and value.isprintable() for value in out.headers.values()), request
        assert not leaks(settings, request, out, out.url)


def judged(connector: ModuleType, settings: Any, targets: list[Target], answers: Any) -> list[Verdict]:
    """The verdicts of a push, after what must hold for all of them."""
    requests, verdicts = run(connector.push(settings, targets), answers)
    examined(connector, settings, requests)
    assert len(verdicts) == len(targets)
    for verdict, target in zip(verdicts, targets, strict=True):
        assert isinstance(verdict, get_args(Verdict))
        assert verdict.target is target
        assert isinstance(verdict, Accepted) or isinstance(getattr(verdict, "words", ""), str)
        if isinstance(verdict, Later) and verdict.seconds is not None:
            assert 0 <= verdict.seconds < 1e6
    assert not leaks(settings, verdicts)
    result: list[Verdict] = verdicts
    return result


def test_there_are_connectors() -> None:
    assert CONNECTORS
    names = [connector.CHANNEL.name for connector in CONNECTORS]
    assert len(set(names)) == len(names)


@every
def test_a_verdict_a_target_whatever_comes_back(connector: ModuleType) -> None:
    settings, targets = settings_of(connector), targets_of(connector, min(FEW, connector.CHANNEL.batch))
    for answer in ANSWERS:
        verdicts = judged(connector, settings, targets, lambda _, said=answer: said)
        if answer.status == 0 or answer.status >= 400:
            accepted = [verdict for verdict in verdicts if isinstance(verdict, Accepted)]
            assert not accepted, f"accepted on {answer.words}"


@every
@pytest.mark.parametrize("seed", range(20))
def test_a_verdict_a_target_in_a_storm(connector: ModuleType, seed: int) -> None:
    settings, targets = settings_of(connector), targets_of(connector, min(FEW, connector.CHANNEL.batch))
    answers = itertools.cycle(storm(seed))
    judged(connector, settings, targets, lambda _: next(answers))


@every
def test_a_whole_batch_and_an_empty_one(connector: ModuleType) -> None:
    settings, channel = settings_of(connector), connector.CHANNEL
    assert channel.batch >= 1
    assert run(connector.push(settings, []), lambda _: Response(500))[1] == []
    for answer in (Response(0), Response(500), Response(429, {"retry-after": "3"}), Response(401)):
        verdicts = judged(connector, settings, targets_of(connector, channel.batch), lambda _, a=answer: a)
        # What was never sent may be refused by us; for the rest a channel that is away is no verdict on them.
        sent = [verdict for verdict in verdicts if not isinstance(verdict, Rejected)]
        assert sent
        assert all(not isinstance(verdict, Accepted) for verdict in sent)


@every
def test_targets_without_ids_or_slots_are_refused_in_words(connector: ModuleType) -> None:
    settings = settings_of(connector)
    slot = Slot(3, example(connector).location)
    bare = [Target(1, {}, (slot,), "key-1"), Target(2, example(connector).ids(2), (), "key-2")]
    targets = bare[: connector.CHANNEL.batch]
    for verdict in judged(connector, settings, targets, lambda _: Response(500)):
        assert not isinstance(verdict, Accepted) or not verdict.target.slots


FLOWS = (
    ("pull", Page),
    ("orders", Orders),
    ("reread", Reread),
    ("places", list),
    ("check", str),
    ("tokens", dict),
)
GIVEN: dict[str, tuple[Any, ...]] = {"pull": (None,), "orders": (None,), "reread": (("1", "gone"),)}


@every
@pytest.mark.parametrize(("name", "kind"), FLOWS, ids=[name for name, _ in FLOWS])
def test_other_flows_return_their_kind_or_fail_in_words(
    connector: ModuleType, name: str, kind: type[Any]
) -> None:
    flow = getattr(connector, name, None)
    if flow is None:
        assert name in ("pull", "orders", "reread", "places", "check", "tokens")
        return
    settings = settings_of(connector)
    given = (settings, *GIVEN.get(name, ()))
    for answer in ANSWERS:
        asked: list[Request] = []

        def say(request: Request, said: Response = answer, asked: list[Request] = asked) -> Response:
            asked.append(request)
            return said

        try:
            result = run(flow(*given), say)[1]
        except Failed as failed:
            assert failed.words
            assert failed.seconds is None or 0 <= failed.seconds < 1e6
            assert not leaks(settings, failed, failed.words)
        else:
            assert isinstance(result, kind)
            assert not isinstance(result, Reread) or not result.gone, f"gone on {answer.words}"
            assert not asked or answer.body not in NOT_JSON or answer.status != 200, (
                f"believed {answer.words}"
            )
            assert not asked or answer.status not in (0, 401, 403, 500), f"believed {answer.words}"
            if isinstance(result, list):
                assert all(isinstance(place, Place) for place in result)
        examined(connector, settings, asked)


@every
def test_what_it_declares_is_what_it_has(connector: ModuleType) -> None:
    channel = connector.CHANNEL
    declared = {
        "pull": channel.pulls,
        "places": channel.locations,
        "orders": channel.takes_orders,
        "hear": channel.webhooks,
        "tokens": channel.refreshes,
    }
    for name, can in declared.items():
        assert hasattr(connector, name) == can, f"{name} is declared {can}"
    for name in ("Settings", "base_url", "sign", "push", "pace", "check"):
        assert hasattr(connector, name), name
    assert channel.settings is connector.Settings
    assert channel.limits
    assert channel.largest > 0
    assert all(sentence.endswith(".") for sentence in channel.cannot)


@every
def test_a_listing_has_a_name_of_its_own(connector: ModuleType) -> None:
    names = {external_id(connector.CHANNEL, example(connector).ids(n)) for n in range(1, 6)}
    assert len(names) == 5
    assert all(names)


@every
def test_its_docstring_names_version_document_and_day(connector: ModuleType) -> None:
    told = " ".join((connector.__doc__ or "").split())
    channel = connector.CHANNEL
    for part in (channel.version, channel.document, channel.checked):
        assert part, "empty"
        assert " ".join(part.split()) in told


@every
def test_settings_go_round_and_hide_their_secrets(connector: ModuleType) -> None:
    given = dict(example(connector).settings)
    settings = read_settings(connector.Settings, given)
    again = read_settings(connector.Settings, plain_settings(settings))
    assert again == settings
    assert {name: plain_settings(settings)[name] for name in given} == given
    assert secrets_of(settings)
    assert all(len(secret) >= SHORTEST_SECRET for secret in secrets_of(settings))
    assert not leaks(settings, settings)
    with pytest.raises(msgspec.ValidationError):
        read_settings(connector.Settings, {**given, "unheard_of": 1})
    for name, value in given.items():
        if isinstance(getattr(settings, name), Secret):
            for bad in ([value], {value: value}, 3, ""):
                with pytest.raises(msgspec.ValidationError) as raised:
                    read_settings(connector.Settings, {**given, name: bad})
                assert value not in str(raised.value)


@every
def test_a_webhook_that_is_not_signed_is_not_heard(connector: ModuleType) -> None:
    if not hasattr(connector, "hear"):
        assert not connector.CHANNEL.webhooks
        return
    settings = settings_of(connector)
    for body in (b"", b"{}", b"\xff", b"[]"):
        for headers in ({}, {"content-type": "application/json"}):
            with pytest.raises(Unheard) as raised:
                connector.hear(settings, headers, body, NOW)
            assert 400 <= raised.value.status < 500
            assert not leaks(settings, raised.value)


@every
def test_pace_is_seconds_or_nothing(connector: ModuleType) -> None:
    for answer in ANSWERS:
        seconds = connector.pace(answer)
        assert seconds is None or 0 <= seconds < 1e6, answer
