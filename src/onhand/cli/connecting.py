"""The commands that connect a channel and have it told and looked at: connect, push, pull, courier."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from onhand import connectors
from onhand.cli import asking, frame, progress
from onhand.cli.frame import AccountName, AsJson, Db
from onhand.connectors.channel import Channel
from onhand.office import door
from onhand.office.door import Door
from onhand.office.people import BadAsk, BadWords
from onhand.outward.connecting import Began, Finished, Imported, Unmatched

app = typer.Typer()

UNMATCHED_SHOWN = 20
LOOK_SECONDS = 0.2
WAIT_SECONDS = 60
HEALED = "'onhand drift --all': what was put right"
GOES_ON = "not all is imported: the same command goes on from here"
CONNECTION = typer.Argument(help="The connection's id, its name, or its channel.")
WAIT = typer.Option(min=0, help="Wait at most so many seconds for the channel; 0: do not wait.")
SET = typer.Option("--set", help="name=value, name=@FILE; may be given again.")


# --- connect ------------------------------------------------------------------------------------------


@app.command("connect")
@frame.command
async def connect(
    channel: Annotated[str, typer.Argument(help="Which ('onhand channels').")],
    settings: Annotated[Path | None, typer.Option(help="A JSON file with the settings.")] = None,
    given: Annotated[list[str] | None, SET] = None,
    name: Annotated[str, typer.Option(help="What to call it.")] = "",
    feed: Annotated[
        list[str] | None, typer.Option(help="ours=theirs: our location feeds theirs; may be given again.")
    ] = None,
    rule: Annotated[list[str] | None, typer.Option(help="As buffer=2 or cap=50: see 'rules'.")] = None,
    paused: Annotated[bool, typer.Option("--paused", help="Tell it nothing until 'onhand resume'.")] = False,
    again: Annotated[
        str | None, typer.Option("--again", help="Only import what is new on this connection.")
    ] = None,
    account: AccountName = None,
    db: Db = None,
    as_json: AsJson = False,
) -> int:
    """Connect a channel: ask for what it needs, test it, import its places and listings, match them by SKU.

    Exit code 3 when listings were not matched.
    """
    kind = connectors.by_name(channel)
    if kind is None:
        known = ", ".join(one.CHANNEL.name for one in connectors.ALL)
        raise BadWords(f"there is no channel {channel!r}: {known}")
    async with door.writing(frame.load(db)) as way:
        number = await way.ask("account_id", name=account)
        began = None
        if again is None:
            values = asking.values(kind.CHANNEL, settings, given or [])
            wanted = {
                "channel": channel,
                "values": values,
                "name": name,
                "rules": asking.rules(rule or []) or None,
                "feeds": asking.feeds(feed or []) or None,
            }
            with _saying():
                asked = await way.ask("connect_begin", account=number, **wanted)
            began = msgspec.convert(asked, Began)
            link = began.connection
            if not as_json:
                _began(kind.CHANNEL, began)
        else:
            link = await named(way, number, again)
        with _saying(), frame.going_on(GOES_ON):
            found = await _import(way, number, link, began is None or began.pulls)
            answer = await way.ask("connect_finish", account=number, link=link, paused=paused)
            done = msgspec.convert(answer, Finished)
    if as_json:
        told: dict[str, Any] = msgspec.to_builtins(began) if began else {"connection": link}
        frame.print_json(told | _totals(found) | msgspec.to_builtins(done))
    else:
        _imported(found)
        begins = "when 'onhand serve' runs" if way.alone else "from now on"
        stays = f"is paused: 'onhand resume {link}' begins to tell it"
        goes_on = f"is told {begins}; {done.backlog} listings wait to be told"
        frame.say(f"connection {link} {stays if done.paused else goes_on}")
    return frame.FOUND if found[1] else frame.OK


def _began(channel: Channel, began: Began) -> None:
    frame.say(f"{channel.title} answers: {began.who}")
    if began.resumed:
        frame.say(f"connection {began.connection} was begun before and not finished: it is gone on with")
    for place, ours in began.feeds.items():
        frame.say(f"{place or 'its number'} is fed by {', '.join(ours) or 'nothing'}")
    for one in began.unfed:
        frame.say(f"{one} feeds nothing there (--feed {one}=THEIRS)")
    for one in began.mirrored:
        frame.say(f"{one} is filled by the channel: shown, never written")
    for words in began.notes:
        frame.complain(words)


@contextlib.contextmanager
def _saying() -> Iterator[None]:
    """When Ctrl-C ends the block: say how it is gone on with."""
    try:
        yield
    except asyncio.CancelledError:
        frame.complain(GOES_ON)
        raise


async def _import(way: Door, account: int, link: int, pulls: bool) -> tuple[list[Imported], list[Unmatched]]:
    """Every page of listings; each is kept before the next is asked for."""
    pages: list[Imported] = []
    unmatched: list[Unmatched] = []
    cursor: str | None = None
    with progress.bar("listings", None) as step:
        while pulls:
            answer = await way.ask("connect_page", account=account, link=link, cursor=cursor)
            one = msgspec.convert(answer, Imported)
            pages.append(one)
            unmatched += one.unmatched
            step(one.seen)
            cursor = one.cursor
            pulls = cursor is not None
    return pages, unmatched


def _totals(found: tuple[list[Imported], list[Unmatched]]) -> dict[str, Any]:
    pages, unmatched = found
    counts = {name: sum(getattr(one, name) for one in pages) for name in ("seen", "created", "known")}
    return counts | {"unmatched": msgspec.to_builtins(unmatched)}


def _imported(found: tuple[list[Imported], list[Unmatched]]) -> None:
    counts = _totals(found)
    unmatched = found[1]
    for one in unmatched[:UNMATCHED_SHOWN]:
        frame.complain(f"not matched: {one.sku or '(no SKU)'} {one.title[:60]!r}: {one.why}")
    if len(unmatched) > UNMATCHED_SHOWN:
        frame.complain(f"and {len(unmatched) - UNMATCHED_SHOWN} more (--json shows all)")
    words = f"{counts['seen']} listings: {counts['created']} matched, {counts['known']} known before"
    frame.say(f"{words}, {len(unmatched)} of no item of ours")


async def named(way: Door, account: int, name: str) -> int:
    """The connection of this id, name or channel. Raises BadAsk."""
    found: int = await way.ask("connection_id", account=account, name=name)
    return found


# --- telling and looking ------------------------------------------------------------------------------


@app.command("push")
@frame.command
async def push(
    listing: Annotated[int | None, typer.Argument(help="The listing's id ('onhand listings').")] = None,
    everything: Annotated[
        str | None, typer.Option("--all", help="All listings of this connection (id, name or channel).")
    ] = None,
    wait: Annotated[int, WAIT] = WAIT_SECONDS,
    account: AccountName = None,
    db: Db = None,
    as_json: AsJson = False,
) -> int:
    """Have a listing, or all of a connection, told its number anew. Exit code 3: not all could be told."""
    if (listing is None) == (everything is None):
        raise typer.BadParameter("say which listing, or --all CONNECTION")
    async with door.writing(frame.load(db)) as way:
        number = await way.ask("account_id", name=account)
        if everything is not None:
            link = await named(way, number, everything)
            count = await _all(way, number, link)
        else:
            link, count = await way.ask("push_listing", account=number, listing=listing), 1
        state = await _told(way, number, link, wait)
    if as_json:
        told = {name: state[name] for name in ("backlog", "parked", "words")}
        frame.print_json({"connection": link, "marked": count, "paused": bool(state["paused"]), **told})
    else:
        waiting, parked = state["backlog"], state["parked"]
        frame.say(f"{count} listings marked, {waiting} wait to be told, {parked} are parked")
    if state["paused"]:
        frame.complain("the connection is paused: 'onhand resume' begins to tell it")
    if state["open_until"]:
        frame.complain(f"the channel is taken for down: {state['words']}")
    return frame.FOUND if state["backlog"] or state["parked"] else frame.OK


async def _all(way: Door, account: int, link: int) -> int:
    count: int = 0
    after = 0
    with progress.bar("mark", None) as step:
        while True:
            some, then = await way.ask("push_all", account=account, link=link, after=after)
            count += some
            step(some)
            if then is None:
                break
            after = then
    return count


async def _told(way: Door, account: int, link: int, wait: int) -> dict[str, Any]:
    """Wait until a connection has no listing left that could be told now; how it stands."""
    ends = time.monotonic() + wait
    state: dict[str, Any] = await way.ask("going", account=account, link=link)
    if wait and not state["paused"]:
        async with way.courier():
            with progress.bar("told", state["backlog"]) as step:
                while state["backlog"] and time.monotonic() < ends and not state["open_until"]:
                    await asyncio.sleep(LOOK_SECONDS)
                    before = state["backlog"]
                    state = await way.ask("going", account=account, link=link)
                    step(max(0, before - state["backlog"]))
    return state


@app.command("pull")
@frame.command
async def pull(
    connection: Annotated[str, CONNECTION],
    wait: Annotated[int, WAIT] = WAIT_SECONDS,
    account: AccountName = None,
    db: Db = None,
    as_json: AsJson = False,
) -> int:
    """Look now at all that a channel shows; what differs is drift ('onhand drift'), and exit code 3."""
    async with door.writing(frame.load(db)) as way:
        number = await way.ask("account_id", name=account)
        link = await named(way, number, connection)
        asked = await way.ask("sweep_connection", account=number, link=link)
        ends = time.monotonic() + wait
        async with way.courier():
            with progress.bar("look", None):
                state = await way.ask("going", account=number, link=link)
                while (state["swept_at"] or 0) < asked and time.monotonic() < ends:
                    await asyncio.sleep(LOOK_SECONDS)
                    state = await way.ask("going", account=number, link=link)
    looked = (state["swept_at"] or 0) >= asked
    trouble = "" if looked else state["stats"].get("trouble") or state["words"]
    if as_json:
        told = {"looked": looked, "drifting": state["drifting"], "words": trouble}
        frame.print_json({"connection": link, **told})
    elif looked:
        frame.say(f"looked: {state['drifting']} listings show another number ({HEALED})")
    else:
        frame.say("asked for; not done yet" + (f": {trouble}" if trouble else ""))
    return frame.OK if looked and not state["drifting"] else frame.FOUND


# --- a courier of its own -----------------------------------------------------------------------------


@app.command("courier")
@frame.command
async def courier(db: Db = None) -> None:
    """Tell the channels from a process of its own, until Ctrl-C; any number of them on PostgreSQL."""
    settings = frame.load(db)
    if not door.several(settings):
        raise BadAsk("on SQLite channels are told by 'onhand serve' itself; a courier apart needs PostgreSQL")
    async with door.writing(settings) as way, way.courier():
        frame.say("telling channels. Press Ctrl-C to stop.")
        with progress.stoppable(also_terminate=True) as stopped:
            while not stopped():  # noqa: ASYNC110 - a signal sets it, outside of the loop
                await asyncio.sleep(LOOK_SECONDS)
    frame.say("stopped")
