"""The commands that steer what is connected: release, pause, resume, reconnect, disconnect, rules."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from onhand.cli import asking, frame, progress
from onhand.cli.connecting import CONNECTION, SET, named
from onhand.cli.frame import AccountName, AsJson, Db
from onhand.office import channels, door, people
from onhand.office.people import BadAsk
from onhand.outward import leaving
from onhand.outward.equipment import Refusal
from onhand.outward.leaving import Left

app = typer.Typer()


@app.command("release")
@frame.command
async def release(
    listing: Annotated[int, typer.Argument(help="The listing's id ('onhand parked').")],
    account: AccountName = None,
    db: Db = None,
    as_json: AsJson = False,
) -> None:
    """Have a parked listing told again."""
    async with door.writing(frame.load(db)) as way:
        number = await way.ask("account_id", name=account)
        words = await way.ask("release_listing", account=number, listing=listing)
    if as_json:
        frame.print_json({"listing": listing, "words": words})
    else:
        frame.say(f"released; the channel had said: {words}")


@app.command("pause")
@frame.command
async def pause(
    connection: Annotated[str, CONNECTION],
    account: AccountName = None,
    db: Db = None,
    as_json: AsJson = False,
) -> None:
    """Tell a connection nothing more, nor ask for its orders, until it is resumed."""
    changed = await _change(db, account, connection, paused=True)
    _say(changed | {"paused": True}, "paused {name}; its orders come when it is resumed", as_json)


@app.command("resume")
@frame.command
async def resume(
    connection: Annotated[str, CONNECTION],
    account: AccountName = None,
    db: Db = None,
    as_json: AsJson = False,
) -> None:
    """Tell a connection again, and all that has changed meanwhile."""
    changed = await _change(db, account, connection, paused=False)
    _say(changed | {"paused": False}, "resumed {name}", as_json)


@app.command("reconnect")
@frame.command
async def reconnect(
    connection: Annotated[str, CONNECTION],
    given: Annotated[list[str] | None, SET] = None,
    same_shop: Annotated[
        bool, typer.Option("--same-shop", help="It is the same shop, under another address or name.")
    ] = False,
    account: AccountName = None,
    db: Db = None,
    as_json: AsJson = False,
) -> None:
    """Change settings of a connection, as a new token; those that are not named stay. Where it is to call
    another address, its secrets are given again in the same command."""
    values = asking.pairs(given or [], plain=True)
    if not values:
        raise typer.BadParameter("say what is to be changed: --set name=value")
    changed = await _change(db, account, connection, settings=values, same_shop=same_shop)
    _say(changed, "changed {name}", as_json)


async def _change(db: str | None, account: str | None, connection: str, **values: Any) -> dict[str, Any]:
    async with door.writing(frame.load(db)) as way:
        number = await way.ask("account_id", name=account)
        link = await named(way, number, connection)
        name: str = await way.ask("change_connection", account=number, link=link, **values)
    return {"connection": link, "name": name}


def _say(changed: dict[str, Any], words: str, as_json: bool) -> None:
    if as_json:
        frame.print_json(changed)
    else:
        frame.say(words.format(**changed))


@app.command("disconnect")
@frame.command
async def disconnect(
    connection: Annotated[str, CONNECTION],
    orders: Annotated[
        str | None,
        typer.Option(help="What becomes of units that its orders hold: 'release' them or 'keep' them held."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    account: AccountName = None,
    db: Db = None,
    as_json: AsJson = False,
) -> None:
    """Forget a connection with its listings, orders and secrets; the channel keeps its last numbers."""
    async with door.writing(frame.load(db)) as way:
        number = await way.ask("account_id", name=account)
        link = await named(way, number, connection)
        if not yes:
            asking.agree(f"Forget connection {link} with all its listings and orders?", "--yes")
        done = Left(link, "")
        with progress.bar("forget", None) as step:
            while not done.done:
                answer = await way.ask("disconnect", account=number, link=link, orders=orders)
                one = msgspec.convert(answer, Left)
                step(one.listings + one.orders + one.released)
                done = leaving.together(done, one)
    if as_json:
        frame.print_json(done)
        return
    frame.say(f"forgot {done.name}: {done.listings} listings, {done.orders} orders; {done.released} released")
    frame.say("the channel goes on showing its last numbers")


@app.command("rules")
@frame.command
async def rules(
    connection: Annotated[str | None, typer.Argument(help="The connection's id, name or channel.")] = None,
    listing: Annotated[int | None, typer.Option(help="The rules of this listing instead.")] = None,
    given: Annotated[list[str] | None, typer.Option("--set", help="buffer=2, percent=10, cap=50 ...")] = None,
    unset: Annotated[list[str] | None, typer.Option("--unset", help="A rule to drop.")] = None,
    account: AccountName = None,
    db: Db = None,
    as_json: Annotated[bool, typer.Option("--json", help="They are JSON, with or without it.")] = False,
) -> None:
    """Show or change the rules that make numbers of stock: buffer, percent, minimum, cap, locations,
    places, mirrored; and of a connection heal, sweep, poll."""
    if (connection is None) == (listing is None):
        raise typer.BadParameter("say which connection, or --listing ID")
    changed = asking.rules(given or [], unset or [])
    settings = frame.load(db)
    async with door.reading(settings) as inventory:
        number = await people.account_id(inventory, account)
        try:
            link, old = await inventory.read(
                number, lambda c: channels.rules_of(c, number, connection, listing)
            )
        except Refusal as refusal:
            raise BadAsk(str(refusal)) from refusal
    values = dict.fromkeys(unset or []) | changed
    if any(old.get(name) != value for name, value in values.items()) or unset:
        async with door.writing(settings) as way:
            # Only what was said: what else there is may have been changed since it was read.
            old = await way.ask("change_rules", account=number, link=link, listing=listing, values=values)
    frame.print_json(old)
