"""The commands of the sandbox channel: run one, sell on it, and make it misbehave."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
import typer

from onhand import frontdoor
from onhand.cli import frame
from onhand.cli.frame import AsJson
from onhand.office.people import BadAsk
from onhand.sandbox import card, catalogue
from onhand.sandbox.app import SEED, Sandbox, fresh, load
from onhand.sandbox.asking import Declined, ask
from onhand.sandbox.card import Card

PORT = 8081

app = typer.Typer(help="A sales channel of our own, to try the hub on.", invoke_without_command=True)

CardFile = Annotated[Path, typer.Option("--card", help="The file that says where the sandbox is.")]
Units = Annotated[int | None, typer.Argument(help="So many units; all that the step allows without it.")]
OrderId = Annotated[str, typer.Argument(help="The order's id.")]


@app.callback()
def run(
    context: typer.Context,
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = PORT,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    seed: Annotated[int, typer.Option(help="Of the assortment: the same seed makes the same.")] = SEED,
    size: Annotated[int, typer.Option(min=1, max=200_000, help="Products in it.")] = catalogue.SIZE,
    state: Annotated[Path | None, typer.Option(help="Keep everything in this file.")] = None,
    file: CardFile = card.FILE,
) -> None:
    """Run a sandbox channel in the foreground until Ctrl-C."""
    if context.invoked_subcommand is None:
        _serve(port, host, seed, size, state, file)


@frame.command
async def _serve(port: int, host: str, seed: int, size: int, state: Path | None, file: Path) -> None:
    try:
        kept = load(state) if state is not None else None
    except msgspec.DecodeError as error:
        raise BadAsk(f"{state} is no state of a sandbox: {error}") from error
    sandbox = Sandbox(kept or fresh(catalogue.assortment(seed, size)), state)
    sandbox.keep()

    def ready(real: int) -> None:
        made = card.card(sandbox.state, frontdoor.address(host, real))
        card.write(made, file)
        frame.say(f"a sandbox channel is ready on {made.url}  (its keys are in {file})")
        frame.say(f"Sell something: onhand sandbox sell {_first(sandbox)} 1")
        frame.say("Press Ctrl-C to stop.")

    async with sandbox.running():
        await frontdoor.serve(sandbox, host, port, bulk=lambda path: True, on_ready=ready)
    frame.say("stopped")


def _first(sandbox: Sandbox) -> str:
    variant = sandbox.state.products[0].variants[0]
    return variant.sku or variant.id


@app.command()
@frame.command
async def sell(
    sku: Annotated[str, typer.Argument(help="A SKU, or the id of a variant.")],
    units: Annotated[int, typer.Argument(min=1)] = 1,
    unpaid: Annotated[bool, typer.Option(help="Only place the order.")] = False,
    file: CardFile = card.FILE,
    as_json: AsJson = False,
) -> None:
    """Somebody buys: an order is placed and paid."""
    body = {"lines": [{"sku": sku, "units": units}], "pay": not unpaid}
    _told(await _ask(file, "orders", body), as_json)


@app.command()
@frame.command
async def pay(order: OrderId, file: CardFile = card.FILE, as_json: AsJson = False) -> None:
    """The buyer pays for an order that was only placed."""
    _told(await _step(file, order, "pay", None), as_json)


@app.command()
@frame.command
async def cancel(
    order: OrderId, units: Units = None, file: CardFile = card.FILE, as_json: AsJson = False
) -> None:
    """Units that were not shipped are called off."""
    _told(await _step(file, order, "cancel", units), as_json)


@app.command()
@frame.command
async def ship(
    order: OrderId, units: Units = None, file: CardFile = card.FILE, as_json: AsJson = False
) -> None:
    """Units leave the house."""
    _told(await _step(file, order, "ship", units), as_json)


@app.command()
@frame.command
async def refund(
    order: OrderId, units: Units = None, file: CardFile = card.FILE, as_json: AsJson = False
) -> None:
    """Units that were shipped come back."""
    _told(await _step(file, order, "refund", units), as_json)


@app.command()
@frame.command
async def edit(
    sku: Annotated[str, typer.Argument(help="A SKU, or the id of a variant.")],
    quantity: Annotated[int, typer.Argument(min=0)],
    location: Annotated[str | None, typer.Option(help="A location of the channel.")] = None,
    file: CardFile = card.FILE,
    as_json: AsJson = False,
) -> None:
    """Somebody sets a number on the channel by hand; nobody is told."""
    body = {"sku": sku, "quantity": quantity, "location": location}
    level = await _ask(file, "edit", body)
    if as_json:
        frame.print_json(level)
    else:
        frame.say(f"{sku} shows {level['quantity']}")


@app.command()
@frame.command
async def faults(
    changes: Annotated[list[str] | None, typer.Argument(help="As throttle=3 retry_after=2.")] = None,
    file: CardFile = card.FILE,
    as_json: AsJson = False,
) -> None:
    """Switch faults on and off, and show them."""
    fields = dict(_fault(one) for one in changes or [])
    found = await (_ask(file, "faults", fields) if fields else _ask(file, "faults", method="GET"))
    if as_json:
        frame.print_json(found)
    else:
        frame.print_table(["fault", "now"], found.items())


@app.command()
@frame.command
async def expire(file: CardFile = card.FILE, as_json: AsJson = False) -> None:
    """Every access token ends now."""
    ended = await _ask(file, "expire")
    if as_json:
        frame.print_json(ended)
    else:
        frame.say(f"{ended['expired']} tokens have ended")


def _fault(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    if not sign:
        raise BadAsk(f"{text!r} is not of the form name=value")
    try:
        return name, msgspec.json.decode(value)
    except msgspec.DecodeError:
        return name, value


async def _step(file: Path, order: str, step: str, units: int | None) -> Any:
    return await _ask(file, f"orders/{quote(order, safe='')}/{step}", {"units": units})


async def _ask(file: Path, path: str, value: object = None, *, method: str = "POST") -> Any:
    try:
        return await ask(_card(file), path, value, method=method)
    except Declined as error:
        raise BadAsk(str(error)) from error


def _card(file: Path) -> Card:
    try:
        return card.read(file)
    except FileNotFoundError:
        raise BadAsk(f"there is no {file}: 'onhand sandbox' and 'onhand serve --demo' write it") from None
    except (ValueError, msgspec.DecodeError) as error:
        raise BadAsk(f"{file} does not say where a sandbox is: {error}") from error


def _told(order: Any, as_json: bool) -> None:
    if as_json:
        frame.print_json(order)
        return
    names = ("ordered", "cancelled", "shipped", "returned")
    frame.say(f"order {order['id']} ({'paid' if order['paid'] else 'not paid'})")
    frame.print_table(
        ["line", "SKU", *names],
        [(one["id"], one["sku"] or one["variant"], *(one[name] for name in names)) for one in order["lines"]],
    )
