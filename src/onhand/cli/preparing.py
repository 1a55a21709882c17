"""The commands that prepare a database, and copy it: init, with roles and distribution, and backup."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from onhand.cli import checking, frame, progress
from onhand.cli.frame import AsJson, Db
from onhand.office import door
from onhand.office.people import BadAsk
from onhand.settings import Settings
from onhand.store import backup as copying
from onhand.store import engine, preparing
from onhand.store.roles import Roles

app = typer.Typer()

DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be done; change nothing.")]


@app.command()
@frame.command
async def init(
    db: Db = None,
    roles: Annotated[
        bool, typer.Option("--roles", help="PostgreSQL: one role owns the tables, another one serves.")
    ] = False,
    owner: Annotated[str, typer.Option(help="With --roles: who owns the tables.")] = Roles().owner,
    runtime: Annotated[str, typer.Option(help="With --roles: who serves.")] = Roles().runtime,
    schema: Annotated[str, typer.Option(help="With --roles: where the tables are.")] = Roles().schema,
    distribute: Annotated[
        bool, typer.Option("--distribute", help="Spread the accounts over the nodes of a Citus.")
    ] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> int:
    """Create the database, or bring its tables to this version."""
    settings = frame.load(db)
    if roles and distribute:
        raise typer.BadParameter("--roles and --distribute are two steps: one after the other")
    if roles:
        return _roles(settings, Roles(owner, runtime, schema), dry_run, as_json)
    if distribute:
        return _distribute(settings, dry_run, as_json)
    if dry_run:
        with door.opened(settings) as store:
            engine.refuse_unknown(now := engine.revision(store))
        _say(settings, as_json, _ahead(now), schema=now, needed=engine.head())
        return frame.OK
    async with door.writing(settings, create=True):
        _say(settings, as_json, f"is at schema {engine.head()}", schema=engine.head(), needed=engine.head())
    return frame.OK


def _say(settings: Settings, as_json: bool, words: str, **facts: object) -> None:
    """What is so of the database now, to a person or a program."""
    if as_json:
        frame.print_json({"database": engine.shown(settings.db)} | facts)
    else:
        frame.say(f"{engine.shown(settings.db)} {words}")


def _ahead(now: str | None) -> str:
    """What `init` would do with a database at this revision."""
    if now == engine.head():
        return f"is at schema {now}: there is nothing to do"
    return f"has {now or 'nothing'}, and would be brought to {engine.head()}"


def _roles(settings: Settings, wanted: Roles, dry_run: bool, as_json: bool) -> int:
    with door.opened(settings) as store:
        steps = preparing.set_up_roles(store, wanted, dry_run=dry_run)
    if as_json:
        frame.print_json(steps._asdict())
        return frame.OK
    if not steps.done:
        frame.say(f"-- As an administrator of {engine.shown(settings.db)}:")
        _print(steps.before or ("-- nothing: all of it is there",))
        frame.say(f"-- As {wanted.owner}: the tables ('onhand init'), and then:")
        _print(steps.after)
        return frame.OK
    frame.say(f"{engine.shown(settings.db)} is at schema {engine.head()}, in {wanted.schema}")
    frame.say(f"{wanted.owner} owns the tables: use it for 'onhand init' when a version brings new ones")
    frame.say(f"{wanted.runtime} serves: ONHAND_DB=postgresql://{wanted.runtime}@…")
    frame.say("Give both a password, or another way to log in: psql's \\password sets one.")
    return frame.OK


def _distribute(settings: Settings, dry_run: bool, as_json: bool) -> int:
    with door.opened(settings) as store:
        steps = preparing.distribute(store, dry_run=dry_run)
    if as_json:
        frame.print_json(steps._asdict())
    else:
        _print(steps.after or ("-- nothing: all tables are distributed",))
    if steps.done and not as_json:
        frame.say(f"{engine.shown(settings.db)} is distributed by account")
    if steps.done or dry_run:
        return frame.OK
    frame.complain("nothing was done: the citus extension is not in this database")
    return frame.FAILED


def _print(statements: tuple[str, ...]) -> None:
    for statement in statements:
        frame.say(statement if statement.startswith("--") else f"{statement};")


@app.command()
@frame.command
async def backup(
    file: Annotated[Path, typer.Argument(help="A new file; it is written whole or not at all.")],
    verify: Annotated[bool, typer.Option(help="Recompute the copy's ledger, too.")] = True,
    db: Db = None,
    as_json: AsJson = False,
) -> int:
    """Copy a SQLite database to FILE while it is written to, and verify the copy.

    Exit code 3 when the copy does not agree with itself; it is kept.
    """
    settings = frame.load(db)
    if door.several(settings):
        raise BadAsk("a PostgreSQL is copied with its own tools: see docs/how-to/back-up-and-restore.md")
    with door.opened(settings) as store:  # in words, if it is no database of ours
        now = (engine.revision(store) or "").removeprefix(engine.RETIRED)
        if not now:
            raise BadAsk(f"{settings.db} is empty: there is nothing to copy")
    with progress.bar("backup", None) as step:
        await asyncio.to_thread(copying.copy, Path(settings.db), file, lambda left, pages: step(1))
    if not as_json:
        frame.say(f"wrote {file}")
    if verify and now == engine.head():
        return await checking.examine(frame.load(str(file)), None, as_json)
    if verify:  # as when it is made before an upgrade, by the new program
        frame.complain(
            f"{file} is whole, and not verified: its tables are of version {now}, not {engine.head()}"
        )
    if as_json:
        frame.print_json({"clean": None, "accounts": []})
    return frame.OK
