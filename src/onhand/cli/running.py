"""The commands that start and prepare a hub: serve, demo, init, doctor."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from onhand import __version__, demo_channel, frontdoor, hub, log, seals
from onhand.cli import frame
from onhand.cli.frame import AsJson, Db
from onhand.demo_channel import DemoChannel
from onhand.faces import FACES
from onhand.lock import holder
from onhand.office import door, trial
from onhand.office.people import BadAsk
from onhand.outward.equipment import Equipment, Refusal
from onhand.sandbox import card
from onhand.seals import BadKey
from onhand.settings import Settings
from onhand.store import accounts, engine, integrity, roles
from onhand.store.accounts import Account

app = typer.Typer()

PORT = "Port to listen on (else ONHAND_PORT, else 8080)."
CLOSED_SHOWN = 5
"""Connections that are named when their secrets do not open."""


@app.command()
@frame.command
async def serve(
    db: Db = None,
    port: Annotated[int | None, typer.Option(min=0, max=65_535, help=PORT)] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Make a demo account if there is none.")] = False,
    demo_json: Annotated[
        Path | None, typer.Option(help="Where to write what a client needs to drive the demo.")
    ] = None,
) -> None:
    """Run the hub in the foreground until Ctrl-C."""
    changes = {name: value for name, value in (("port", port), ("host", host)) if value is not None}
    settings = frame.load(db, **changes)
    log.configure(as_json=settings.log_json)
    if demo:
        _require_place(demo_json)

    channel = DemoChannel(settings) if demo else None
    made: dict[str, Any] = {}

    async def before(equipment: Equipment, url: str) -> None:
        # Who waits for the first answer may read the file then.
        if channel is not None:
            made.update(await trial.create(equipment.inventory, base_url=url, kept=_kept(demo_json)))
            if demo_json is not None:
                _write(demo_json, made)

    async def ready(equipment: Equipment, url: str) -> None:
        frame.say(f"onhand {__version__} is ready on {url}  (data in {engine.shown(settings.db)})")
        frame.say(f"  documentation  {url}/")
        if channel is not None:
            await _demo(equipment, url, demo_json, channel, made)
        frame.say("Press Ctrl-C to stop.")

    if channel is None:
        await hub.serve(settings, ready)
    else:
        beside = {demo_channel.PREFIX: channel.sandbox}
        async with channel.running():
            await hub.serve(settings, ready, before=before, beside=beside, transport=channel.transport)
    frame.say("stopped")


async def _demo(
    equipment: Equipment, url: str, file: Path | None, channel: DemoChannel, made: dict[str, Any]
) -> None:
    if file is not None:
        frame.say(f"  credentials    {file}")
    shown = await _channel(equipment, url, file, channel, made)
    frame.say("\nTry one of these:")
    for face in FACES:
        frame.say(f"\n# {face.title}\n{face.setup.curl(made[face.name], made[face.name]['base_url'])}")
    for title, line in shown:
        frame.say(f"\n# {title}\n{line}")
    frame.say()


async def _channel(
    equipment: Equipment, url: str, file: Path | None, channel: DemoChannel, made: dict[str, Any]
) -> list[tuple[str, str]]:
    """Connect the demo's own sales channel; the lines to try it with. Without one the demo goes on."""
    try:
        found = await channel.connect(equipment, url)
    except (Refusal, ValueError, BadKey) as error:
        frame.complain(f"the demo has no sales channel: {error}")
        return []
    if file is not None:
        card.write(found, file.with_name(card.FILE.name))
    frame.say(f"  sales channel  {found.url}/")
    return demo_channel.lines(found, made["native"])


def _kept(file: Path | None) -> dict[str, Any] | None:
    try:
        kept = json.loads(file.read_text(encoding="utf-8")) if file is not None and file.is_file() else None
    except (OSError, ValueError):
        return None
    return kept if isinstance(kept, dict) else None


def _require_place(file: Path | None) -> None:
    """Refuse a file that cannot be written, before anything is made. Raises BadAsk."""
    if file is None or (file.exists() and not file.is_file() and not file.is_dir()):
        return  # a device or a pipe is written to as it is
    if file.is_dir():
        raise BadAsk(f"{file} is a folder, not a file for credentials")
    if not (folder := file.resolve().parent).is_dir():
        raise BadAsk(f"cannot write {file}: there is no folder {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise BadAsk(f"cannot write {file}: this user may not write into its folder")


def _write(file: Path, made: dict[str, Any]) -> None:
    """Write the credentials so that only their owner can read them, and never half."""
    text = json.dumps(made, indent=2, ensure_ascii=False) + "\n"
    if file.exists() and not file.is_file():  # a device or a pipe is written to, and never replaced
        file.write_text(text, encoding="utf-8")
        return
    file = file.resolve()  # a link stays a link
    draft = file.with_name(file.name + ".new")
    draft.unlink(missing_ok=True)  # one that an earlier run left may be open to others
    draft.touch(mode=0o600)
    draft.write_text(text, encoding="utf-8")
    draft.replace(file)


@app.command()
@frame.command
async def demo(
    db: Db = None,
    file: Annotated[Path | None, typer.Option("--json", help="Write it there; else to the screen.")] = None,
    url: Annotated[
        str | None, typer.Option(help="The hub's address, if it is not running or not on this machine.")
    ] = None,
) -> None:
    """Make the demo account if it is not there, and write what a client needs to drive it."""
    settings = frame.load(db)
    _require_place(file)
    base = url or _address(settings.db) or frontdoor.address(settings.host, settings.port)
    async with door.writing(settings, create=True) as way:
        made = await way.ask("demo", base_url=base, kept=_kept(file))
    if file is None:
        frame.print_json(made)
    else:
        _write(file, made)
        frame.say(f"wrote {file}")


def _address(db: str) -> str | None:
    found = None if engine.is_postgresql(db) else holder(Path(db).absolute())
    return found.url if found else None


@app.command()
@frame.command
async def doctor(db: Db = None, as_json: AsJson = False) -> int:
    """Check that this machine and this database can keep what onhand promises."""
    settings = frame.load(db)
    facts: dict[str, object] = {
        "onhand": __version__,
        "python": platform.python_version(),
        "sqlite": engine.sqlite_version(),
        "database": engine.shown(settings.db),
    }
    faults: list[str] = [] if sys.flags.optimize == 0 else ["python runs with -O: assertions are off"]
    try:
        store = engine.open_store(
            settings.db,
            create=False,
            reads_only=True,
            answer_seconds=settings.db_seconds,
            prepares=settings.db_prepare,
        )
    except engine.StoreError as error:
        faults.append(str(error))
    else:
        try:
            faults += _examine(store, facts, settings)
        except engine.DatabaseFailed as error:
            faults.append(f"the database failed: {engine.reason(error)}")
        finally:
            store.close()
    if as_json:
        frame.print_json(facts | {"faults": faults})
    else:
        frame.print_table(["", ""], facts.items())
        frame.say("\n".join(f"fault: {fault}" for fault in faults) or "no faults")
    return frame.FOUND if faults else frame.OK


def _examine(store: engine.Store, facts: dict[str, object], settings: Settings) -> list[str]:
    now = engine.revision(store)
    facts["schema"] = now or "none"
    found = integrity.examine(store)
    facts["integrity"] = found.words
    faults = [*engine.durability_faults(store), *integrity.room(store), *found.faults]
    try:
        engine.refuse_unknown(now)
    except engine.StoreError as error:
        return [*faults, str(error)]
    if now != engine.head():
        return [*faults, f"the schema is {now or 'empty'}, this version needs {engine.head()}: 'onhand init'"]
    with engine.reading(store) as connection:
        if lacking := roles.missing(connection):
            return [*faults, *(f"this role has no right to {right}" for right in lacking)]
        faults += engine.shape_faults(connection)
        everyone = accounts.accounts(connection)
        facts["accounts"] = len(everyone)
        if roles.passes_walls(connection):
            facts["walls"] = "none: this role is not held by row-level security, use an ordinary one"
    faults += _closed(store, settings, everyone)
    if store.sqlite:  # of a PostgreSQL nobody keeps which hubs serve it
        held = holder(store.path.absolute())
        facts["served by"] = f"process {held.pid} on {held.url}" if held and _alive(held.pid) else "nobody"
    return faults


def _closed(store: engine.Store, settings: Settings, everyone: Sequence[Account]) -> list[str]:
    """Secrets that this machine's key does not open: their channels are told nothing."""
    try:
        with_ = seals.only_looking(settings)
    except BadKey as error:
        return [str(error)]
    found: list[str] = []
    for one in everyone:
        with engine.reading(store, one.id) as connection:
            closed = seals.closed(connection, with_, one.id)
        found += [f"connection {link} of {one.name} is not told: {why}" for link, why in closed.items()]
    rest = len(found) - CLOSED_SHOWN
    return found[:CLOSED_SHOWN] + ([f"and {rest} more connections are not told"] if rest > 0 else [])


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
