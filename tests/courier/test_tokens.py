"""Tokens: fetched once for many that wait, stored before they are used, and adopted from others."""

import asyncio
import json
from typing import Any

import pytest

from courier import bazaar
from courier.town import Like, PlainSeals, Town, play, until
from onhand.connectors.auth import Wire


def secrets(town: Town) -> Any:
    return json.loads(town.sql("SELECT secrets FROM connections WHERE id = 1")[0][0])[1]


FAR = 4_000_000_000_000_000


def test_an_expired_token_is_refreshed_once_for_many(town: Town) -> None:
    async def story(town: Town) -> None:
        town.stall.token, town.stall.latency = "another", 0.02
        for item in range(1, 9):
            await town.stock(item, item)
        async with town.driven(Like(batch=1)):
            await town.calm()
        assert town.stall.refreshed == 1
        assert len(town.stall.said) == 8
        assert secrets(town)["token"] == "t1"
        assert secrets(town)["expires_at"] > 0

    play(town, story)


def test_a_rotated_pair_is_stored_before_it_is_used(town: Town) -> None:
    async def story(town: Town) -> None:
        stored: list[str] = []

        async def looks(wire: Wire) -> None:
            if wire.headers.get("Authorization") == "Bearer t1":
                stored.append(secrets(town)["refresh"])

        town.stall.token, town.stall.during = "another", looks
        async with town.driven():
            await town.stock(1, 1)
            await town.calm()
        assert stored == ["r1"]

    play(town, story)


def test_a_token_is_not_used_to_its_last_second(town: Town) -> None:
    async def story(town: Town) -> None:
        soon = town.inventory.now() + 5_000_000
        sealed = PlainSeals().seal(1, 1, {"token": "t0", "refresh": "r0", "expires_at": soon})
        await town.change("connections", 1, secrets=sealed)
        async with town.driven():
            await town.stock(1, 1)
            await town.calm()
        assert town.stall.calls == ["POST /token", "POST /stock"]

    play(town, story)


def test_tokens_that_another_process_got_are_adopted(town: Town) -> None:
    async def story(town: Town) -> None:
        courier = town.courier()
        session = await courier.session(1, 1)
        town.stall.token, town.stall.refresh = "t9", "r9"
        sealed = PlainSeals().seal(1, 1, {"token": "t9", "refresh": "r9"})
        await town.change("connections", 1, secrets=sealed)
        assert await session.run(bazaar.check) == "stall"
        assert town.stall.refreshed == 0

    play(town, story)


@pytest.mark.parametrize("alone", [True, False])
def test_tokens_that_are_taken_up_while_they_are_stored_are_used(town: Town, alone: bool) -> None:
    """Whoever drives a connection looks at what is stored, and may see new tokens first; those that this
    session got itself, or another process's while its own pair was refused."""

    async def story(town: Town) -> None:
        courier = town.courier()
        session = await courier.session(1, 1)
        town.stall.token = "another"
        vault = session._vault
        assert vault is not None
        keep = vault.keep

        async def taken_up(values: Any, *rest: Any) -> None:
            await keep(values, *rest)
            session._take(values)

        async def elsewhere(wire: Wire) -> None:
            if not wire.url.endswith("/token"):
                return
            town.stall.token, town.stall.refresh = "t9", "r9"
            sealed = PlainSeals().seal(1, 1, {"token": "t9", "refresh": "r9"})
            await town.change("connections", 1, secrets=sealed)
            session._take({"token": "t9", "refresh": "r9"})

        if alone:
            vault.keep = taken_up  # type: ignore[assignment]
        else:
            town.stall.during = elsewhere
        assert await session.run(bazaar.check) == "stall"
        assert town.stall.refreshed == (1 if alone else 0)

    play(town, story)


def test_credentials_that_are_void_open_the_circuit(town: Town) -> None:
    async def story(town: Town) -> None:
        town.stall.token, town.stall.refresh = "x", "y"
        async with town.driven():
            await town.stock(1, 1)
            await until(lambda: "no fresh token" in str(town.status().words))
        assert len(town.stall.calls) < 8
        assert town.waiting() == 1

    play(town, story)


def test_a_session_counts_many_waiting_as_one_refresh(town: Town) -> None:
    async def story(town: Town) -> None:
        town.stall.token, town.stall.latency = "another", 0.01
        session = await town.courier().session(1, 1)
        names = await asyncio.gather(*(session.run(bazaar.check) for _ in range(10)))
        assert names == ["stall"] * 10
        assert town.stall.refreshed == 1

    play(town, story)


def test_who_is_cut_off_while_a_pair_is_exchanged_keeps_the_new_one(town: Town) -> None:
    """The old one is void by then: nobody could get in with it any more."""

    async def story(town: Town) -> None:
        asked = asyncio.Event()

        async def under_way(wire: Wire) -> None:
            if wire.path == "/token":
                asked.set()
                await asyncio.sleep(0.05)

        town.stall.token, town.stall.after = "another", under_way
        session = await town.courier().session(1, 1)
        asking = asyncio.create_task(session.run(bazaar.check))
        await asked.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert (secrets(town)["token"], secrets(town)["refresh"]) == ("t1", "r1")
        assert await session.run(bazaar.check) == "stall"
        assert town.stall.refreshed == 1

    play(town, story)


@pytest.mark.parametrize(("moved", "stored"), [(True, "t0"), (False, "t1")])
def test_what_one_address_gave_is_not_kept_for_another(town: Town, moved: bool, stored: str) -> None:
    """Also when the connection is moved at the moment when tokens are fetched."""

    async def story(town: Town) -> None:
        async def meanwhile(wire: Wire) -> None:
            if wire.path == "/token":
                await town.change("connections", 1, settings={"expires_at": FAR if moved else FAR - 1})

        module = Like(base_url=lambda one: f"https://{'other' if one.expires_at == FAR else 'bazaar'}.test")
        town.stall.token, town.stall.after = "another", meanwhile
        session = await town.courier(module).session(1, 1)
        assert await session.run(bazaar.check) == "stall"
        assert secrets(town)["token"] == stored

    play(town, story)


def test_who_is_cut_off_twice_waits_no_longer(town: Town) -> None:
    async def story(town: Town) -> None:
        asked, never = asyncio.Event(), asyncio.Event()

        async def under_way(wire: Wire) -> None:
            asked.set()
            await never.wait()

        town.stall.token, town.stall.after = "another", under_way
        session = await town.courier().session(1, 1)
        asking = asyncio.create_task(session._refresh(0))
        await asked.wait()
        for _ in range(2):
            asking.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(asking, 1)

    play(town, story)


def test_a_pair_that_somebody_else_has_just_exchanged_is_adopted(town: Town) -> None:
    async def story(town: Town) -> None:
        async def faster(wire: Wire) -> None:
            if wire.path == "/token" and not town.stall.refreshed:
                town.stall.refreshed += 1
                town.stall.token, town.stall.refresh = "t1", "r1"
                sealed = PlainSeals().seal(1, 1, {"token": "t1", "refresh": "r1"})
                await town.change("connections", 1, secrets=sealed)

        town.stall.token, town.stall.during = "another", faster
        session = await town.courier().session(1, 1)
        assert await session.run(bazaar.check) == "stall"
        assert town.stall.calls == ["GET /me", "POST /token", "GET /me"]

    play(town, story)
