"""The commands that take a whole database to another engine, and the old one out of service."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from onhand import seals
from onhand.cli import frame, progress
from onhand.cli.frame import AsJson, Db
from onhand.office import moving
from onhand.office.moving import Moved, Wish
from onhand.settings import Settings
from onhand.store.engine import shown

app = typer.Typer()


class _Stopped(Exception):
    """Ctrl-C was heard."""


@app.command("copy")
@frame.command
async def copy(
    to: Annotated[str, typer.Option("--to", help="SQLite file or postgresql:// URL, with nothing in it.")],
    while_serving: Annotated[
        bool,
        typer.Option(
            "--while-serving", help="Although a hub may be writing: what comes later is not in the copy."
        ),
    ] = False,
    retire: Annotated[
        bool, typer.Option("--retire", help="No hub starts on the old database again; it can be read.")
    ] = False,
    db: Db = None,
    as_json: AsJson = False,
) -> int:
    """Copy a whole database into an empty one, of the same engine or the other, and verify the copy.

    Exit code 1: nothing was copied; 3: it was, and a ledger does not agree with itself, there as here.
    """
    if while_serving and retire:
        raise typer.BadParameter("a database that is served cannot be retired: stop its hub first")
    source, target = frame.load(db), frame.load(to)
    with progress.stoppable() as stopped, progress.bar("copy", None) as bar:

        def step(rows: int) -> None:
            if stopped():
                raise _Stopped
            bar(rows)

        watch = moving.Watch(bar.total, step)
        try:
            done = await asyncio.to_thread(moving.move, source, target, Wish(while_serving, retire), watch)
        except _Stopped:
            frame.complain("stopped: nothing was copied")
            return progress.INTERRUPTED
    if as_json:
        frame.print_json(_told(source, target, done))
    else:
        _show(source, target, done)
    if not done.equal:
        frame.complain(f"the copy was not what {shown(source.db)} is: nothing was kept in {shown(target.db)}")
        return frame.FAILED
    if retire and not done.retired:
        frame.complain(f"{shown(source.db)} is not retired: its ledger does not agree with itself")
    return frame.OK if done.clean else frame.FOUND


def _told(source: Settings, target: Settings, done: Moved) -> dict[str, object]:
    flags = {"equal": done.equal, "clean": done.clean, "retired": done.retired}
    tables = [one._asdict() for one in done.tables]
    ledgers = [one._asdict() for one in done.accounts]
    ends = {"from": shown(source.db), "to": shown(target.db)}
    return {**ends, **flags, "tables": tables, "accounts": ledgers, "sealed": done.sealed}


def _show(source: Settings, target: Settings, done: Moved) -> None:
    words = {True: "the same", False: "DIFFERENT"}
    rows = [(one.table, one.rows, one.found, words[one.equal]) for one in done.tables]
    frame.print_table(("table", "rows", "copied", ""), rows)
    if not done.equal:
        return
    for one in done.accounts:
        state = "clean" if not one.faults else f"{one.faults} FAULTS"
        frame.say(f"{one.account}: {one.movements} movements, {one.levels} levels: {state}")
    frame.say(f"copied {shown(source.db)} to {shown(target.db)}")
    if done.sealed:
        frame.say(_key(source, done.sealed))
    if done.retired:
        frame.say(f"{shown(source.db)} is retired: no hub starts on it again")


def _key(source: Settings, count: int) -> str:
    """Which key the new hub needs."""
    file = seals.key_file(source)
    where = f"ONHAND_SECRET_KEY_FILE={file.absolute()}" if file else "the same ONHAND_SECRET_KEY"
    return f"the secrets of {count} connections are sealed: serve the copy with {where}"


@app.command("retire")
@frame.command
async def retire(
    lift: Annotated[bool, typer.Option("--lift", help="Let it serve again.")] = False,
    db: Db = None,
    as_json: AsJson = False,
) -> None:
    """Take a database out of service: no hub starts on it and no command writes to it; it can be read."""
    settings = frame.load(db)
    await asyncio.to_thread(moving.retire, settings, lift=lift)
    if as_json:
        frame.print_json({"database": shown(settings.db), "retired": not lift})
    else:
        frame.say(f"{shown(settings.db)} " + ("can serve again" if lift else "is retired"))
