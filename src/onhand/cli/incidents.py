"""The commands about incidents: what went wrong where nobody waited for an answer."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from onhand.cli import frame
from onhand.cli.frame import AccountName, AsJson, Db
from onhand.office import door, people
from onhand.office import incidents as desk
from onhand.office.people import BadWords
from onhand.outward import telling
from onhand.store import incidents
from onhand.store.incidents import KINDS, OPEN

app = typer.Typer(help="What went wrong where nobody waited for an answer.", invoke_without_command=True)

SHOWN = 200
ALL = typer.Option("--all/--open", help="Those that are closed, too.")
KIND = typer.Option("--kind", help=f"Only this kind: {', '.join(KINDS)}.")
LIMIT = typer.Option(min=1, help="Show at most this many.")
NUMBER = typer.Argument(help="The incident's id.", min=1)


@app.callback()
def incidents_themselves(
    context: typer.Context,
    everything: Annotated[bool, ALL] = False,
    kind: Annotated[str | None, KIND] = None,
    account: AccountName = None,
    db: Db = None,
    as_json: AsJson = False,
) -> None:
    """Show incidents; without a command it is 'list'."""
    if context.invoked_subcommand is None:
        show_incidents(everything=everything, kind=kind, account=account, db=db, as_json=as_json)
    elif everything or as_json or any((kind, account, db)):
        raise typer.BadParameter(f"put the options behind '{context.invoked_subcommand}'")


@app.command("list")
@frame.command
async def show_incidents(
    everything: Annotated[bool, ALL] = False,
    kind: Annotated[str | None, KIND] = None,
    limit: Annotated[int, LIMIT] = SHOWN,
    account: AccountName = None,
    db: Db = None,
    as_json: AsJson = False,
) -> None:
    """List the incidents that are open, oldest first."""
    if kind is not None and kind not in KINDS:
        raise BadWords(f"there is no kind {kind!r}: {', '.join(KINDS)}")
    state = "" if everything else OPEN
    async with door.reading(frame.load(db)) as inventory:
        number = await people.account_id(inventory, account)
        rows = await inventory.read(
            number,
            lambda c: incidents.page(c, number, limit=limit, state=state, kind=kind or ""),
            long=True,
        )
    found = [telling.incident_told(one) for one in rows]
    frame.say_cut(found, limit)
    if as_json:
        frame.print_json(found)
        return
    columns = (
        ("id", "kind", "opened_at", "resolved_at", "why")
        if everything
        else ("id", "kind", "opened_at", "why")
    )
    frame.print_table(columns, [[one[name] for name in columns] for one in found])


@app.command("show")
@frame.command
async def show_incident(
    incident: Annotated[int, NUMBER], account: AccountName = None, db: Db = None, as_json: AsJson = False
) -> None:
    """Show all that is known of an incident."""
    async with door.reading(frame.load(db)) as inventory:
        number = await people.account_id(inventory, account)
        row = await inventory.read(number, lambda c: desk.one(c, number, incident))
    found = telling.incident_told(row)
    if as_json:
        frame.print_json(found)
    else:
        _shown(found)


def _shown(found: dict[str, Any]) -> None:
    frame.say(f"incident {found['id']} ({found['kind']}): {found['why']}")
    for time in (*found["earlier"], found):
        end = (
            "" if time["resolved_at"] is None else f", closed {time['resolved_at']} {_by(time['resolution'])}"
        )
        frame.say(f"opened {time['opened_at']}{end}")
    for name, value in found["details"].items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            frame.say(f"\n{name}")
            columns = list(dict.fromkeys(key for one in value for key in one))
            frame.print_table(columns, [[_cell(key, one.get(key)) for key in columns] for one in value])
        else:
            frame.say(f"{name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}")


def _cell(name: str, value: Any) -> Any:
    return f"{value / 1_000_000:.1f} s" if name == "lag" and isinstance(value, int) else value


def _by(resolution: dict[str, Any] | None) -> str:
    if resolution is None:
        return ""
    movement = resolution["movement"]
    if movement is None:
        return f"by {resolution['caller'] or 'the ledger'}" + (
            f": {resolution['note']}" if resolution["note"] else ""
        )
    figures = f"on hand {movement['on_hand']:+}, reserved {movement['reserved']:+}"
    words = [word for word in (movement["reason"], movement["reference"], movement["caller"]) if word]
    return f"by movement {movement['seq']} {movement['kind']}: {figures} ({' '.join(words)})"


@app.command("close")
@frame.command
async def close_incident(
    incident: Annotated[int, NUMBER],
    note: Annotated[str, typer.Option("--note", help="What was done about it.")] = "",
    account: AccountName = None,
    db: Db = None,
    as_json: AsJson = False,
) -> None:
    """Close an incident that was dealt with."""
    async with door.writing(frame.load(db)) as way:
        number = await way.ask("account_id", name=account)
        found = await way.ask("close_incident", account=number, incident=incident, note=note)
    if as_json:
        frame.print_json(found)
    else:
        frame.say(f"closed incident {incident}: {found['why']}")
