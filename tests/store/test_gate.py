"""Callers as they are remembered, and the gate: it lets nobody in who may not come in any more."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from memories import SECONDS, name_it, play
from onhand import auth, memory
from onhand.api.rendered import Renderings
from onhand.inventory import Inventory
from onhand.store import keys
from shops import START, Shop, running, second


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MEMORY_SECONDS", SECONDS)


def test_a_revoked_key_is_refused(shop: Shop) -> None:
    """At once where it was revoked; a second later by whoever has remembered it."""
    other = shop if shop.store.sqlite else second(shop)
    lookup = auth.digest("secret")
    new = keys.Stored("native", lookup, None, 1, "key", "me", "read", None, None, "", START, None, None)

    async def story(inventory: Inventory) -> None:
        await inventory.write(1, lambda c: keys.add(c, [new]))
        async with running(other) as elsewhere:
            for one in (inventory, elsewhere):
                for _ in range(3):
                    caller = await auth.identify(one, "native", lookup)
                    assert caller is not None
                    assert caller.account == 1
            await inventory.write(1, lambda c: keys.revoke(c, 1, "me", START))
            assert await auth.identify(inventory, "native", lookup) is None
            await asyncio.sleep(SECONDS * 1.2)
            if not shop.store.sqlite:
                assert await auth.identify(elsewhere, "native", lookup) is None

    play(shop, story)
    with shop.writing() as connection:
        keys.drop(connection, [("native", lookup)])
    if other is not shop:
        other.close()


def test_who_is_known_at_the_gate(shop: Shop) -> None:
    """As long as nothing has changed of the account: and what they said is not kept."""
    secret, said = "onhand_secret", b"Bearer onhand_secret"
    lookup = auth.digest(secret)
    until = START + 10
    new = keys.Stored("native", lookup, None, 1, "key", "me", "read", None, None, "", START, until, None)

    async def story(inventory: Inventory) -> None:
        await inventory.write(1, lambda c: keys.add(c, [new]))
        gate = auth.Gate(inventory, "native")
        assert gate.at_once(said) is None
        for _ in range(3):
            caller = await gate.identify(said, lookup)
        assert caller is not None
        assert gate.at_once(said) == caller
        inventory.now = lambda: until
        assert gate.at_once(said) is None
        inventory.now = lambda: START
        assert gate.at_once(b"Bearer onhand_Secret") is None
        assert secret not in str(gate._kept)
        assert await auth.Gate(inventory, "treet").identify(said, lookup) is None
        if shop.store.sqlite:  # elsewhere what others change counts a second later
            await inventory.write(1, name_it("second"))
        else:
            await asyncio.sleep(SECONDS * 1.2)
        assert gate.at_once(said) is None
        for _ in range(3):
            assert await gate.identify(said, lookup) == caller
        assert gate.at_once(said) == caller
        await inventory.write(1, lambda c: keys.revoke(c, 1, "me", START))
        assert gate.at_once(said) is None
        for _ in range(3):
            assert await gate.identify(said, lookup) is None
        assert gate.at_once(said) is None

    play(shop, story)
    with shop.writing() as connection:
        keys.drop(connection, [("native", lookup)])


class Thing:
    """What can be looked after."""


def test_what_was_forgotten_is_kept_by_nobody(shop: Shop) -> None:
    """Neither the gate nor levels as they were answered hold on to what they were found in."""
    lookup = auth.digest("onhand_secret")
    new = keys.Stored("native", lookup, None, 1, "key", "me", "read", None, None, "", START, None, None)

    async def story(inventory: Inventory) -> None:
        await inventory.write(1, lambda c: keys.add(c, [new]))
        gate, rendered = auth.Gate(inventory, "native"), Renderings(inventory)
        for _ in range(3):
            await gate.identify(b"Bearer onhand_secret", lookup)
        assert gate.at_once(b"Bearer onhand_secret") is not None
        rendered.of(1)
        thing = Thing()
        seen = weakref.ref(thing)

        async def keep(one: Thing) -> None:
            await inventory.recall(1, "thing", lambda _: one)

        await keep(thing)
        del thing
        gc.collect()
        assert seen() is not None, "it is remembered"
        await inventory.write(1, name_it("gone"))
        gc.collect()
        assert seen() is None

    play(shop, story)
    with shop.writing() as connection:
        keys.drop(connection, [("native", lookup)])


def test_the_gate_knows_credentials_of_two_parts(shop: Shop) -> None:
    """By both: the same first part with another second one is a stranger."""
    old = keys.Stored(
        "treet", "client", auth.digest("old"), 1, "key", "me", "read", None, None, "", START, None, None
    )

    async def story(inventory: Inventory) -> None:
        await inventory.write(1, lambda c: keys.add(c, [old]))
        gate = auth.Gate(inventory, "treet")
        for _ in range(3):
            assert await gate.identify(b"client new", "client", "new") is None
            caller = await gate.identify(b"client old", "client", "old")
        assert caller is not None
        assert gate.at_once(b"client old") == caller
        assert gate.at_once(b"client new") is None
        known = inventory.memory(1)
        assert known is not None
        name = ("key", "treet", "client")
        known.single[name] = known.single[name]._replace(secret_hash=auth.digest("new"))
        fresh = auth.Gate(inventory, "treet")
        assert await fresh.identify(b"client old", "client", "old") is None
        assert fresh.at_once(b"client old") is None
        assert await fresh.identify(b"client new", "client", "new") == caller
        assert fresh.at_once(b"client new") == caller

    play(shop, story)
    with shop.writing() as connection:
        keys.drop(connection, [("treet", "client")])
