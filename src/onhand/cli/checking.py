"""The command that recomputes the ledger from its movements and says what does not agree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer
from sqlalchemy import Connection

from onhand.cli import frame, progress
from onhand.cli.frame import AccountName, AsJson, Db
from onhand.inventory import Inventory
from onhand.office import door, people
from onhand.settings import Settings
from onhand.store import catalog, lookup
from onhand.store import verify as ledger
from onhand.store.verify import Finding

app = typer.Typer()

_SENTENCE = "{kind}: {what} should be {expected} and is {found}"


@app.command("verify")
@frame.command
async def verify(account: AccountName = None, db: Db = None, as_json: AsJson = False) -> int:
    """Recompute every level from its movements and compare; all accounts, unless one is named.

    Exit code 3 when something does not agree. Oversold levels are shown; they are no fault.
    """
    return await examine(frame.load(db), account, as_json)


async def examine(settings: Settings, account: str | None, as_json: bool) -> int:
    """Verify, say what was found, and the exit code."""
    told = []
    async with door.reading(settings) as inventory:
        for number, name in await _accounts(inventory, account):
            told.append({"account": name, **await _one(inventory, number, name)})
            if not as_json:
                _show(told[-1])
    if not told:
        frame.complain("there is no account yet: nothing to verify")
    clean = all(one["clean"] for one in told)
    if as_json:
        frame.print_json({"clean": clean, "accounts": told})
    return frame.OK if clean else frame.FOUND


async def _accounts(inventory: Inventory, wanted: str | None) -> list[tuple[int, str]]:
    if wanted is not None:
        return [(await people.account_id(inventory, wanted), wanted)]
    return [(one["id"], one["name"]) for one in await people.list_accounts(inventory)]


async def _one(inventory: Inventory, account: int, name: str) -> dict[str, Any]:
    with progress.bar(f"verify {name}", len(ledger.CHECKS)) as step:

        def query(connection: Connection) -> dict[str, Any]:
            found: list[Finding] = []
            extent = ledger.extent(connection, account)
            for check in ledger.CHECKS:
                found += check.run(connection, account)
                step(1)
            rows = list(_rows(connection, account, found))
            faults = [row for row, one in zip(rows, found, strict=True) if one.fault]
            oversold = [row for row, one in zip(rows, found, strict=True) if not one.fault]
            return extent._asdict() | {"clean": not faults, "faults": faults, "oversold": oversold}

        return await inventory.read(account, query, long=True)


def _rows(connection: Connection, account: int, found: list[Finding]) -> Iterator[dict[str, Any]]:
    """Findings with the names that people know beside the ids."""
    skus = lookup.skus(connection, account, {one.item for one in found if one.item is not None})
    names = {one.id: one.name for one in catalog.locations(connection, account)}
    for one in found:
        sku = None if one.item is None else skus.get(one.item)
        place = None if one.location is None else names.get(one.location)
        yield one._asdict() | {"sku": sku, "location_name": place}


def _show(told: dict[str, Any]) -> None:
    for row in [*told["faults"], *told["oversold"]]:
        frame.say(f"{told['account']}: {_SENTENCE.format(**row)} ({_where(row)})")
    counts = f"{told['movements']} movements, {told['levels']} levels, {told['reservations']} reservations"
    state = "clean" if told["clean"] else f"{len(told['faults'])} FAULTS"
    frame.say(f"{told['account']}: {counts}: {state}, {len(told['oversold'])} oversold")


def _where(row: dict[str, Any]) -> str:
    known = {
        "sku": row["sku"],
        "item": row["item"] if row["sku"] is None else None,
        "at": row["location_name"],
        "movement": row["seq"],
        "reservation": row["reference"],
    }
    return ", ".join(f"{word} {value}" for word, value in known.items() if value is not None) or "account"
