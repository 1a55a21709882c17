"""The command that runs a file of real orders through the ledger and proves that nothing was lost."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import typer

from onhand.cli import frame, progress
from onhand.cli.frame import AccountName, AsJson, Db
from onhand.office import conservation, door, orderfile, people, sheets
from onhand.office.conservation import Proof, Run
from onhand.office.door import Door
from onhand.office.orderfile import Ask, Orders, What
from onhand.office.replay import CONFLICT, DONE, REFUSED, Told

app = typer.Typer()

CHUNK_ASKS = 200
CHUNK_LINES = 4_000
"""At most this much is asked for at a time: a chunk is soon done, and small enough for the hub."""
ITEMS_CHUNK = 1_000
SHOWN = 10


class Sent(NamedTuple):
    """What was asked and told, and whether Ctrl-C ended it early."""

    run: Run
    stopped: bool


@app.command()
@frame.command
async def replay(
    file: Annotated[Path, typer.Argument(help="CSV with InvoiceNo, StockCode, Quantity; may be gzipped.")],
    stock: Annotated[int | None, typer.Option(help="First give each SKU this many units.")] = None,
    location: Annotated[str | None, typer.Option(help="Where; else the account's default location.")] = None,
    account: AccountName = None,
    db: Db = None,
    as_json: AsJson = False,
) -> int:
    """Run a file of real orders through the ledger, once for ever, and prove that nothing was lost.

    Each invoice is reserved and shipped whole, or refused; lines of invoices that begin with C are
    returns, other negative lines are losses. Goods are codes that begin with five digits. Exit code
    3: the units do not add up, an invoice was replayed before with other lines, or a line could not be
    read: its invoice is done without it.
    """
    settings = frame.load(db)
    units = None if stock is None else orderfile.bounded(stock)
    orders = orderfile.read(file)
    digest = sheets.digest(file)
    async with door.reading(settings) as inventory:
        number = await people.account_id(inventory, account)
    began = time.monotonic()
    async with door.writing(settings) as way:
        place = await way.ask("find_location", account=number, name=location)
        with frame.going_on(progress.KEPT):
            sent = await _send(way, number, place["id"], orders, digest, units)
    seconds = time.monotonic() - began
    async with door.reading(settings) as inventory:
        now = inventory.now()
        proof = await inventory.read(
            number, lambda c: conservation.prove(c, number, sent.run, now), long=True
        )
    told = _table(orders, sent, proof)
    if as_json:
        where = {"file": str(file), "location": place["name"], "seconds": round(seconds, 3)}
        frame.print_json(where | told | _details(orders, sent, proof))
    else:
        _show(told, orders, sent, proof, seconds)
    if sent.stopped:
        return progress.INTERRUPTED
    return frame.FOUND if proof.faults or told["conflicts"] or orders.bad else frame.OK


# --- sending ------------------------------------------------------------------------------------------


async def _send(
    way: Door, account: int, location: int, orders: Orders, digest: str, units: int | None
) -> Sent:
    items: dict[str, int] = {}
    receipts: dict[str, Told] = {}
    answers: list[Told] = []
    run = Run(location, digest, items, receipts, orders.asks, answers)
    with progress.stoppable() as stopped:
        with progress.bar("stock", len(orders.skus)) as step:
            for skus in _pieces(orders.skus, ITEMS_CHUNK):
                if stopped():
                    return Sent(_seen(run), True)
                ids = await way.ask("ensure_items", account=account, skus=skus)
                items.update(zip(skus, ids, strict=True))
                if units is not None:
                    told = await way.ask(
                        "receive_stock",
                        account=account,
                        location=location,
                        digest=digest,
                        quantity=units,
                        items=list(zip(skus, ids, strict=True)),
                    )
                    receipts.update(zip(skus, msgspec.convert(told, list[Told]), strict=True))
                step(len(skus))
        with progress.bar("orders", len(orders.asks)) as step:
            for asks in _chunks(orders.asks):
                if stopped():
                    return Sent(run, True)
                wire = [_wire(ask, items) for ask in asks]
                told = await way.ask("replay_orders", account=account, location=location, asks=wire)
                answers += msgspec.convert(told, list[Told])
                step(len(asks))
    return Sent(run, False)


def _seen(run: Run) -> Run:
    """A run that ended before all its items were known: it has asked for nothing else."""
    return run._replace(asks=())


def _wire(ask: Ask, items: dict[str, int]) -> list[Any]:
    lines = [(items[sku], units) for sku, units in ask.lines]
    return [ask.what, ask.invoice, ask.number, lines, ask.digest]


def _pieces(values: Sequence[str], size: int) -> Iterator[list[str]]:
    rest = iter(values)
    while piece := list(islice(rest, size)):
        yield piece


def _chunks(asks: Sequence[Ask]) -> Iterator[list[Ask]]:
    chunk: list[Ask] = []
    lines = 0
    for ask in asks:
        if chunk and (len(chunk) == CHUNK_ASKS or lines + len(ask.lines) > CHUNK_LINES):
            yield chunk
            chunk, lines = [], 0
        chunk.append(ask)
        lines += len(ask.lines)
    if chunk:
        yield chunk


# --- telling --------------------------------------------------------------------------------------------


def _table(orders: Orders, sent: Sent, proof: Proof) -> dict[str, int]:
    """The numbers of the table: orders and lines from the answers, units from the ledger."""
    ends = Counter((ask.what, told.status) for ask, told in _answered(sent))
    done_before = sum(told.before for told in sent.run.answers)
    return {
        "orders": sum(ask.what is What.ORDER for ask in orders.asks),
        "lines": orders.lines,
        "orders_shipped": ends[What.ORDER, DONE],
        "units_shipped": proof.total("shipped"),
        "refused": ends[What.ORDER, REFUSED],
        "returned": proof.total("returned"),
        "returns_refused": ends[What.RETURN, REFUSED],
        "lost": proof.total("lost"),
        "losses_refused": ends[What.LOSS, REFUSED],
        "conflicts": sum(count for (_, status), count in ends.items() if status == CONFLICT)
        + sum(told.status == CONFLICT for told in sent.run.receipts.values()),
        "skipped": orders.not_goods + orders.empty,
        "bad_lines": len(orders.bad),
        "units_left": proof.total("closing"),
        "opening": proof.total("opening"),
        "received": proof.total("received"),
        "other": proof.total("other") + proof.total("endless"),
        "skus": len(proof.sums),
        "done_before": done_before,
    }


def _answered(sent: Sent) -> Iterator[tuple[Ask, Told]]:
    return zip(sent.run.asks, sent.run.answers, strict=False)


def _details(orders: Orders, sent: Sent, proof: Proof) -> dict[str, Any]:
    names = {item: sku for sku, item in sent.run.items.items()}
    refused = [
        {"invoice": ask.invoice, "what": ask.what, "why": _why(told, names)}
        for ask, told in _answered(sent)
        if told.status != DONE
    ]
    return {
        "conserved": not proof.faults,
        "faults": proof.faults,
        "interrupted": sent.stopped,
        "bad": [one._asdict() for one in orders.bad],
        "not_done": refused,
    }


def _why(told: Told, names: dict[int, str]) -> str:
    if told.status == CONFLICT:
        return "replayed before with other lines or at another location"
    found = told.refusal or {"type": "the reason is no longer kept"}
    words = ", ".join(f"{name} {value}" for name, value in found.items() if name not in ("type", "item"))
    sku = f" of {names.get(found['item'], found['item'])}" if "item" in found else ""
    if found["type"] == "Insufficient":
        return f"{found['wanted']}{sku} asked for, {found['available']} available"
    return f"{found['type']}{sku}" + (f": {words}" if words else "")


def _show(told: dict[str, int], orders: Orders, sent: Sent, proof: Proof, seconds: float) -> None:
    rows = [(name.replace("_", " "), count) for name, count in told.items() if count or name in _ALWAYS]
    frame.print_table(["", ""], rows[: _upto(rows)])
    sums = "{opening} opening + {received} received - {units_shipped} shipped + {returned} returned"
    other = " + {other} by others" if told["other"] else ""
    frame.say(f"\n{(sums + ' - {lost} lost' + other).format(**told)} = {told['units_left']} left")
    if proof.faults:
        frame.say(f"THIS DOES NOT HOLD: {len(proof.faults)} faults")
        _some([*proof.faults], frame.complain)
    else:
        frame.say(f"holds for each of {told['skus']} SKUs, counted from the ledger's movements")
    _some([f"line {one.line}: {one.why}" for one in orders.bad], frame.complain)
    conflicts = [ask.invoice for ask, one in _answered(sent) if one.status == CONFLICT]
    _some(
        [f"invoice {name} was replayed before with other lines or at another location" for name in conflicts],
        frame.complain,
    )
    if any(one.status == CONFLICT for one in sent.run.receipts.values()):
        frame.complain("this file's SKUs were given another number of units before; none were given now")
    if sent.stopped:
        frame.complain("interrupted; run the same command again to go on from here")
    new = len(sent.run.answers) - told["done_before"]
    frame.say(f"{new} new, {told['done_before']} done before, in {seconds:.1f} s")


_ALWAYS = ("orders", "lines", "units_shipped", "refused", "returned", "lost", "skipped", "units_left")


def _upto(rows: list[tuple[str, int]]) -> int:
    """The table ends with the units left; what follows is in the sum below it."""
    return [name for name, _ in rows].index("units left") + 1


def _some(words: Sequence[str], say: Callable[[str], None]) -> None:
    for one in words[:SHOWN]:
        say(one)
    if len(words) > SHOWN:
        say(f"... and {len(words) - SHOWN} more; --json has them all")
