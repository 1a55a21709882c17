"""The background loops on both databases: holds expire, planned changes come due, old data goes."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import Connection

from onhand.stock.ledger import Refused
from onhand.stock.model import Adjust, Level, Line, Reserve, SetOnHand
from onhand.store import keys, levels, requests, verify, wakeups
from onhand.work import Answer, Group, Key, Plan, Recorded, Work
from ticking import SECOND, World, clock_of, counts, make, note, ticking, world

DAY = 86_400 * SECOND

# --- expiry -------------------------------------------------------------------------------------------


def test_due_holds_are_written_off_by_themselves(migrated_url: str) -> None:
    async def go() -> None:
        async with world(migrated_url) as here, ticking(here):
            due = here.inventory.now() + SECOND
            hold = Reserve("r", (Line(1, 3, (1,)),), expires_at=due)
            await here.record(SetOnHand(1, 1, 5), hold)
            assert (await here.level()).available == 2
            await asyncio.sleep(0.1)
            assert await here.kinds() == ["counted", "reserved"]
            clock_of(here).offset = 2 * SECOND

            async def written() -> bool:
                return await here.kinds() == ["counted", "reserved", "expired"]

            await here.until(written)
            last = (await here.inventory.read(here.account, lambda c: levels.movements(c, here.account)))[-1]
            assert (last.effective_at, last.caller) == (due, "onhand:clock")
            assert await here.level() == Level(5, 0, present=True, version=3)

    asyncio.run(go())


def test_a_lost_wake_up_heals(migrated_url: str) -> None:
    async def go() -> None:
        async with world(migrated_url) as here:
            hold = Reserve("r", (Line(1, 3, (1,)),), expires_at=here.inventory.now() + SECOND)
            await here.record(SetOnHand(1, 1, 5), hold)
            clock_of(here).offset = 2 * SECOND
            await here.inventory.write(0, lambda c: wakeups.take(c, here.inventory.now()))
            async with ticking(here):

                async def written() -> bool:
                    return "expired" in await here.kinds()

                await here.until(written)

    asyncio.run(go())


@pytest.mark.parametrize("jump", [DAY, -DAY, 365 * DAY], ids=["a day ahead", "a day back", "a year ahead"])
def test_a_clock_that_jumps_and_comes_back(migrated_url: str, jump: int) -> None:
    """A hold ends by the clock that the hub has now, and nothing is sold, done or forgotten twice."""

    async def hold(here: World, name: str, units: int, offset: int) -> Recorded:
        clock_of(here).offset = offset
        until = here.inventory.now() + 60 * SECOND
        return await here.record(Reserve(name, (Line(1, units, (1,)),), expires_at=until))

    async def go() -> None:
        async with world(migrated_url) as here, ticking(here):

            async def ends(name: str, offset: int) -> None:
                assert (await here.level()).available == 1
                refused = await hold(here, f"{name}, too", 2, offset)
                assert isinstance(refused.outcomes[0], Refused)
                clock_of(here).offset = offset + 61 * SECOND

                async def written() -> bool:
                    return (await here.kinds())[-1] == "expired"

                await here.until(written)
                assert (await here.level()).available == 5

            await here.record(SetOnHand(1, 1, 5))
            key = Key("me", "once", "print")
            for name, offset in (("before", 0), ("away", jump), ("back", 0), ("away again", jump)):
                await hold(here, name, 4, offset)
                await ends(name, offset)
                again = await here.record(Adjust(1, 1, 1), key=key, answer=lambda _: Answer(200, "{}"))
                assert (again.replay is None) == (name == "before")
                if name == "before":
                    await here.record(Adjust(1, 1, -1))
            found = await here.inventory.read(here.account, lambda c: list(verify.verify(c, here.account)))
            assert not found

            def times(connection: Connection) -> list[int]:
                return [one.recorded_at for one in levels.movements(connection, here.account)]

            told = await here.inventory.read(here.account, times)
            assert told == sorted(told)

    asyncio.run(go())


# --- planned changes ----------------------------------------------------------------------------------


def test_planned_changes_are_applied_when_due_in_order_and_once(migrated_url: str) -> None:
    async def go() -> None:
        async with world(migrated_url) as here:
            due = here.inventory.now() + SECOND
            plans = tuple(Plan(due + at, (Adjust(1, 1, step),)) for at, step in enumerate((10, -4, -6, 1)))
            await here.inventory.record(Work(here.account, (Group((), also=plans),), "planner"))
            async with ticking(here), ticking(here):
                await asyncio.sleep(0.1)
                assert await here.kinds() == []
                clock_of(here).offset = 2 * SECOND

                async def ended() -> bool:
                    found = await here.inventory.read(here.account, lambda c: requests.plans(c, here.account))
                    return [one.status for one in found] == ["applied"] * 4

                await here.until(ended)
            assert await here.kinds() == ["adjusted"] * 4
            assert (await here.level()).on_hand == 1

    asyncio.run(go())


def test_a_refused_plan_says_why_and_is_an_incident(migrated_url: str) -> None:
    async def go() -> None:
        async with world(migrated_url) as here, ticking(here):
            plan = Plan(here.inventory.now(), (Adjust(1, 1, -7),), context="autumn")
            await here.inventory.record(Work(here.account, (Group((), also=(plan,)),), "planner"))

            async def ended() -> bool:
                found = await here.inventory.read(
                    here.account, lambda c: requests.one_plan(c, here.account, 1)
                )
                return (
                    found is not None and found.status == "refused" and "7 of item 1" in (found.outcome or "")
                )

            await here.until(ended)
            [incident] = await here.incidents()
            assert incident.kind == "planned"
            assert incident.body["refusal"]["type"] == "Insufficient"
            assert (incident.body["caller"], incident.body["context"]) == ("planner", "autumn")

    asyncio.run(go())


def test_a_plan_that_cannot_be_read_is_given_up(sqlite_url: str) -> None:
    async def go() -> None:
        async with world(sqlite_url) as here:
            row = (here.account, 99, 1, '[{"type":"Nonsense"}]', "planner", None, 1)
            await here.inventory.write(here.account, lambda c: requests.plan(c, [row]))
            await here.inventory.record(
                Work(here.account, (Group((), also=(Plan(2, (SetOnHand(1, 1, 4),)),)),), "planner")
            )
            async with ticking(here):

                async def both() -> bool:
                    return (await here.level()).on_hand == 4 and len(await here.incidents()) == 1

                await here.until(both)

    asyncio.run(go())


# --- all of it ----------------------------------------------------------------------------------------


def test_old_bodies_and_tokens_go(migrated_url: str) -> None:
    async def go() -> None:
        async with world(migrated_url) as here:
            work = Work(here.account, (), "test", Key("s", "k", "f"), lambda _: Answer(200, "body"))
            await here.inventory.record(work)
            token = keys.Stored("d", "t", None, here.account, "token", "p", "", None, None, "", 1, 2, None)
            await here.inventory.write(0, lambda c: keys.add(c, [token]))
            clock_of(here).offset = requests.BODY_KEPT_US + 60 * SECOND
            async with ticking(here):

                async def gone() -> bool:
                    kept = await here.inventory.read(
                        here.account, lambda c: requests.look_up(c, (here.account, "s", "k"))
                    )
                    assert kept is not None
                    found = await here.inventory.read(0, lambda c: keys.find(c, "d", "t"))
                    return kept.body is None and found is None

                await here.until(gone)

    asyncio.run(go())


@pytest.mark.parametrize("faulty", ["prune", "scan"])
def test_an_account_that_fails_does_not_keep_the_others(
    faulty: str, migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, name = {"prune": (requests, "prune"), "scan": (wakeups, "ahead")}[faulty]
    good = getattr(where, name)

    def fails(connection: Connection, account: int, **more: int) -> object:
        if account == 1:
            raise OSError("its rows are damaged")
        return good(connection, account=account, **more)

    async def go() -> None:
        async with world(migrated_url) as here:
            assert here.account == 1
            here.account = await here.inventory.write(0, lambda c: make(c, "the other one"))
            work = Work(here.account, (), "test", Key("s", "k", "f"), lambda _: Answer(200, "body"))
            await here.inventory.record(work)
            hold = Reserve("r", (Line(1, 3, (1,)),), expires_at=here.inventory.now() + SECOND)
            await here.record(SetOnHand(1, 1, 5), hold)
            clock_of(here).offset = requests.BODY_KEPT_US + 60 * SECOND
            await here.inventory.write(0, lambda c: wakeups.take(c, here.inventory.now()))  # they are lost
            monkeypatch.setattr(where, name, fails)
            async with ticking(here):

                async def seen_to() -> bool:
                    kept = await here.inventory.read(
                        here.account, lambda c: requests.look_up(c, (here.account, "s", "k"))
                    )
                    assert kept is not None
                    return kept.body is None and "expired" in await here.kinds()

                await here.until(seen_to, 5.0)

    asyncio.run(go())


def test_a_failing_look_is_not_the_last(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def go() -> None:
        async with world(sqlite_url) as here:
            good = wakeups.accounts_due
            failures = iter(range(3))

            def faulty(connection: Connection, now: int) -> list[int]:
                if next(failures, None) is not None:
                    raise OSError("no luck today")
                return good(connection, now)

            monkeypatch.setattr(wakeups, "accounts_due", faulty)
            await here.accept(3)
            async with ticking(here, {"test": note}):
                await here.until(here.empty)

    asyncio.run(go())


def test_what_was_accepted_survives_and_stop_is_clean(sqlite_url: str) -> None:
    async def first() -> None:
        async with world(sqlite_url) as here:
            await here.accept(1, 2, 3)

    async def second() -> None:
        async with world(sqlite_url) as here, ticking(here, {"test": note}) as clockwork:
            await here.until(here.empty)
            await clockwork.stop()
            clockwork.nudge(here.account)
            await here.accept(4)
            await clockwork.start()
            await here.until(here.empty)
            assert await counts(here) == [1, 2, 3, 4]

    asyncio.run(first())
    asyncio.run(second())
