"""The commands that look at channels: what each can do, connections, listings, drift, what is parked, why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import msgspec
import typer
from sqlalchemy import Connection

from onhand import connectors
from onhand.cli import frame
from onhand.cli.frame import AccountName, AsJson, Db
from onhand.connectors.channel import Channel
from onhand.inventory import clock
from onhand.office import channels, door, people
from onhand.office.people import BadAsk
from onhand.outward import explaining, needs, telling, watching
from onhand.outward.equipment import Refusal
from onhand.outward.telling import moment
from onhand.store import linking, showing

app = typer.Typer()

T = TypeVar("T")

SHOWN = 200
WHICH = typer.Option("--connection", help="Only this connection: its id, its name, or its channel.")
LIMIT = typer.Option(min=1, help="Show at most this many.")


# --- what channels can do -----------------------------------------------------------------------------


@app.command("channels")
@frame.command
async def show_channels(
    name: Annotated[str | None, typer.Argument(help="One of them, with all that is to be known.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="The documentation's table.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what each channel can do, from its connector's own word."""
    found = [module.CHANNEL for module in connectors.ALL if name in (None, module.CHANNEL.name)]
    if not found:
        raise BadAsk(f"there is no channel {name!r}: {', '.join(one.CHANNEL.name for one in connectors.ALL)}")
    if as_json:
        frame.print_json([telling.told(one) for one in found])
    elif markdown:
        frame.say(telling.markdown(found).rstrip())
    elif name is None:
        frame.print_table(("name", *telling.COLUMNS), [(one.name, *telling.row(one)) for one in found])
        frame.say("\n'onhand channels NAME' shows what it cannot do, and what it needs to be connected")
    else:
        _one(found[0])


def _one(channel: Channel) -> None:
    facts = dict(zip(telling.COLUMNS, telling.row(channel), strict=True))
    facts |= {"credentials": channel.auth, "quantity": str(channel.meaning), "document": channel.document}
    frame.print_table(("", ""), facts.items())
    frame.say("\nsettings")
    settings = [
        (one.name, "yes" if one.required else "", "yes" if one.secret else "", " or ".join(one.choices))
        for one in needs.needs(channel)
        if not one.ours
    ]
    frame.print_table(("name", "required", "secret", "one of"), settings)
    frame.say(f"\n{needs.words(channel)}")
    if channel.cannot:
        frame.say("\nlimits\n" + "\n".join(f"- {one}" for one in channel.cannot))


# --- how it goes --------------------------------------------------------------------------------------


@app.command("connections")
@frame.command
async def show_connections(account: AccountName = None, db: Db = None, as_json: AsJson = False) -> None:
    """Show the connections: how far behind they are, what is parked, what drifts, the last look."""

    def query(connection: Connection, number: int) -> list[dict[str, Any]]:
        return [telling.connection_told(one) for one in watching.connections(connection, number)]

    found = await _read(db, account, query)
    if as_json:
        frame.print_json(found)
        return
    columns = (
        "id",
        "channel",
        "name",
        "state",
        "backlog",
        "parked",
        "drift",
        "p50",
        "p99",
        "last look",
        "words",
    )
    frame.print_table(columns, [_connection_row(one) for one in found])
    for one in found:
        if one["unfinished"]:
            again = f"'onhand connect {one['channel']} --again {one['id']}'"
            words = f"{again} goes on with it, 'onhand disconnect {one['id']}' removes it"
            frame.complain(f"connection {one['id']} was begun and not finished: {words}")


def _connection_row(one: dict[str, Any]) -> list[object]:
    status = one["status"]
    paused = "unfinished" if one["unfinished"] else "paused"
    state = paused if one["paused"] else "down" if status["open_until"] else "ok"
    lag = [_seconds(status["stats"].get(name)) for name in ("p50", "p99")]
    words = status["words"] or status["stats"].get("trouble") or ""
    looked = (status["swept_at"] or "never")[:19].replace("T", " ")
    counts = [status[name] for name in ("backlog", "parked", "drifting")]
    return [one["id"], one["channel"], one["name"], state, *counts, *lag, looked, words[:120]]


def _seconds(micros: object) -> str:
    return f"{micros / 1e6:.2f} s" if isinstance(micros, (int, float)) else ""


# --- listings -----------------------------------------------------------------------------------------


@app.command("listings")
@frame.command
async def show_listings(
    which: Annotated[str | None, WHICH] = None,
    stale: Annotated[bool, typer.Option("--stale", help="Only those that are to be told.")] = False,
    limit: Annotated[int, LIMIT] = SHOWN,
    account: AccountName = None,
    db: Db = None,
    as_json: AsJson = False,
) -> None:
    """Show listings: for each place what is wanted, what the channel acknowledged, and what it showed."""
    found = await _read(db, account, lambda c, n: _listings(c, n, which, limit, stale=stale))
    frame.say_cut(found, limit)
    if as_json:
        frame.print_json(found)
        return
    columns = ("id", "connection", "sku", "place", "wanted", "acknowledged", "observed", "state")
    rows = [
        [one["id"], one["connection"], one["sku"], slot["place"], *_units(slot["numbers"]), one["state"]]
        for one in found
        for slot in one["slots"] or [{"place": None, "numbers": {}}]
    ]
    frame.print_table(columns, rows)


@app.command("parked")
@frame.command
async def show_parked(
    which: Annotated[str | None, WHICH] = None,
    limit: Annotated[int, LIMIT] = SHOWN,
    account: AccountName = None,
    db: Db = None,
    as_json: AsJson = False,
) -> None:
    """Show listings that a channel will not take, in its own words; 'onhand release' tells one again."""
    found = await _read(db, account, lambda c, n: _listings(c, n, which, limit, parked=True))
    frame.say_cut(found, limit)
    if as_json:
        frame.print_json(found)
        return
    rows = [[one["id"], one["connection"], one["sku"], one["parked"]] for one in found]
    frame.print_table(("id", "connection", "sku", "the channel says"), rows)


def _listings(
    connection: Connection,
    account: int,
    which: str | None,
    limit: int,
    *,
    stale: bool = False,
    parked: bool = False,
) -> list[dict[str, Any]]:
    link = 0 if which is None else channels.connection_named(connection, account, which)
    rows = linking.page(connection, account, link, limit=limit, stale=stale, parked=parked)
    drifting = showing.drifting(connection, account, [one.id for one in rows])
    return [telling.listing_told(one, drifting=one.id in drifting) for one in rows]


def _units(numbers: dict[str, Any]) -> list[object]:
    return [numbers.get(name, {}).get("units") for name in ("wanted", "acknowledged", "observed")]


@app.command("drift")
@frame.command
async def show_drift(
    which: Annotated[str | None, WHICH] = None,
    ended: Annotated[bool, typer.Option("--all", help="Those that are healed, too.")] = False,
    limit: Annotated[int, LIMIT] = SHOWN,
    account: AccountName = None,
    db: Db = None,
    as_json: AsJson = False,
) -> None:
    """Show where a channel showed another number than it should, and why."""

    def query(connection: Connection, number: int) -> list[dict[str, Any]]:
        link = 0 if which is None else channels.connection_named(connection, number, which)
        rows = showing.drifts(connection, number, link, 0, limit, ended=ended)
        return [telling.drift_told(one) for one in rows]

    found = await _read(db, account, query)
    frame.say_cut(found, limit)
    if as_json:
        frame.print_json(found)
        return
    columns = (
        "listing",
        "connection",
        "sku",
        "place",
        "cause",
        "wanted",
        "acknowledged",
        "observed",
        "found_at",
    )
    frame.print_table((*columns, "healed_at"), [[one[n] for n in (*columns, "healed_at")] for one in found])


# --- explain ------------------------------------------------------------------------------------------


@app.command("explain")
@frame.command
async def explain(
    listing: Annotated[str, typer.Argument(help="Its id ('onhand listings'), or an item's SKU.")],
    account: AccountName = None,
    db: Db = None,
    as_json: AsJson = False,
) -> None:
    """Show why a listing shows its number: every rule and term, down to movements and reservations."""
    now = clock()

    def query(connection: Connection, number: int) -> list[dict[str, Any]]:
        rows = watching.listings(connection, number, listing)
        return [explaining.explain(connection, number, row, now) for row in rows]

    found = await _read(db, account, query)
    if as_json:
        told = [telling.explained(one) for one in found]
        frame.print_json(told[0] if watching.is_id(listing) else told)
        return
    for at, one in enumerate(found):
        if at:
            frame.say()
        _explained(one)


def _explained(found: dict[str, Any]) -> None:
    one: linking.Numbers = found["listing"]
    link = found["connection"]
    frame.say(f"listing {one.id}: {one.sku or one.item_sku} on {link['name']} (connection {link['id']})")
    frame.say(f"state: {found['state']}" + (f": {one.parked}" if one.parked else ""))
    if found["waiting"]:
        since = f"to be told since {moment(one.marked_at)}" if one.marked_at else "not told"
        frame.say(f"{since}: {found['waiting']}")
    for rule in found["rules"]:
        value, other = (msgspec.json.encode(rule[name]).decode() for name in ("value", "instead_of"))
        instead = "" if rule["instead_of"] is None else f", instead of the connection's {other}"
        frame.say(f"rule: {rule['rule']} = {value} (of the {rule['from']}{instead})")
    for slot in found["slots"]:
        _slot(slot, "offers" if one.writable else "would offer")


def _slot(slot: dict[str, Any], offers: str) -> None:
    frame.say()
    at = f"at {slot['place']}: " if slot["place"] else ""
    frame.say(f"{at}{offers} {slot['offer']}" + (" (stands for unlimited)" if slot["infinite"] else ""))
    terms = [
        (one["name"], one["location_name"], f"{one['change']:+}", one["after"], one["why"])
        for one in slot["terms"]
    ]
    frame.print_table(("term", "location", "change", "makes", "because"), terms)
    told = [
        f"{name} {one['units']} ({moment(one['at']) or 'never'})" for name, one in slot["numbers"].items()
    ]
    frame.say("numbers: " + ", ".join(told))
    for source in slot["sources"]:
        for part in source["parts"]:
            _part(source["location_name"], part)


def _part(where: str | None, part: dict[str, Any]) -> None:
    figures = f"{part['on_hand']} on hand, {part['reserved']} reserved"
    frame.say(f"{part['sku'] or part['item']} at {where}: {figures}")
    for one in part["movements"]:
        words = " ".join(word for word in (one.reason, one.reference, one.caller) if word)
        change = f"on hand {one.on_hand:+}, reserved {one.reserved:+}"
        frame.say(f"  movement {one.seq} {moment(one.recorded_at)} {one.kind}: {change} ({words})")
    if part["earlier"]["movements"]:
        say = "  earlier movements ({movements}): on hand {on_hand:+}, reserved {reserved:+}"
        frame.say(say.format(**part["earlier"]))
    if part["lapsed"]["held"]:
        say = "  reservations that have run out ({reservations}), still to be written: reserved -{held}"
        frame.say(say.format(**part["lapsed"]))
    for hold in part["reservations"]:
        until = f" until {moment(hold.expires_at)}" if hold.expires_at else ""
        frame.say(f"  reserved {hold.held} for {hold.reference}{until}")
    if part["more"]["held"]:
        frame.say("  reserved {held} for more reservations ({reservations})".format(**part["more"]))


async def _read(db: str | None, account: str | None, query: Callable[[Connection, int], T]) -> T:
    """Run a query on an account's snapshot; a refusal is said in words."""
    async with door.reading(frame.load(db)) as inventory:
        number = await people.account_id(inventory, account)
        try:
            return await inventory.read(number, lambda c: query(c, number), long=True)
        except Refusal as refusal:
            raise BadAsk(str(refusal)) from refusal
