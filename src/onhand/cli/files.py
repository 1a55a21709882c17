"""The commands that bring stock in from a CSV file and take it out into one."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TextIO

import msgspec
import typer

from onhand.cli import frame, progress
from onhand.cli.frame import AccountName, AsJson, Db
from onhand.inventory import Inventory
from onhand.office import door, outgoing, people, replay, sheets, stockfile
from onhand.office.door import Door
from onhand.office.intake import Imported
from onhand.office.people import BadAsk
from onhand.office.sheets import Bad
from onhand.office.stockfile import Check, Count
from onhand.store import catalog
from onhand.store.drafts import draft

app = typer.Typer()

CHUNK = 500
"""Lines that are checked, and then applied, at a time."""


class Import(msgspec.Struct):
    """One import while it goes on: what the check found, and what has been applied, ``before`` of it by an
    earlier run that did not come to its end. ``torn`` is that somebody changed the file meanwhile."""

    file: Path
    account: int
    locations: dict[str, int]
    rows: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    before: int = 0
    bad: dict[int, str] = {}
    applied: bool = False
    stopped: bool = False
    torn: bool = False


@app.command("import")
@frame.command
async def import_stock(
    file: Annotated[Path, typer.Argument(help="CSV with sku, location, and on_hand or available.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and count; change nothing.")] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Apply the good lines all the same.")] = False,
    create: Annotated[bool, typer.Option("--create", help="Make an item of each unknown sku.")] = False,
    any_sku: Annotated[
        bool, typer.Option("--any-sku", help="With --create: of odd ones, too, as an export may have them.")
    ] = False,
    account: AccountName = None,
    db: Db = None,
    as_json: AsJson = False,
) -> int:
    """Set stock from a CSV file; a run that was killed goes on where it stopped.

    If any line is bad nothing at all is changed, unless --skip-bad. Exit code 1: it could not be done;
    nothing was changed, unless it is said that it failed in the middle. 3: the rest was done, or would be,
    and some lines were bad.
    """
    if any_sku and not create:
        raise typer.BadParameter("--any-sku says what items are made of: it goes with --create")
    settings = frame.load(db)
    digest = sheets.digest(file)
    async with door.reading(settings) as inventory:
        number = await people.account_id(inventory, account)
        done = await _check(inventory, number, file, create, any_sku)
    if not dry_run and (skip_bad or not done.bad):
        if sheets.digest(file) != digest:
            raise BadAsk(f"{file} was changed while it was read: nothing was done; import it again")
        async with door.writing(settings) as way:
            with frame.going_on(progress.KEPT):
                await _apply(way, done, digest, create)
    if as_json:
        frame.print_json(_told(done, dry_run))
    else:
        _show(done, dry_run)
    if done.stopped:
        return progress.INTERRUPTED
    if not done.bad and not done.torn:
        return frame.OK
    return frame.FOUND if done.applied or dry_run else frame.FAILED


async def _check(inventory: Inventory, account: int, file: Path, create: bool, any_sku: bool) -> Import:
    """Read the whole file and look every line up."""
    locations = await inventory.read(account, lambda c: catalog.locations(c, account))
    check = Check(account, locations, create=create, any_sku=any_sku)
    done = Import(file, account, {one.name: one.id for one in locations})
    with sheets.opened(file) as sheet, progress.bar("check", None) as step:
        rows = stockfile.counts(sheet)
        while piece := list(islice(rows, CHUNK)):
            found = await _page(inventory, account, check, piece)
            done.rows += len(piece)
            done.bad |= {one.line: one.why for one in found if isinstance(one, Bad)}
            step(len(piece))
    done.new, done.changed, done.unchanged = len(check.new), check.changed, check.unchanged
    return done


async def _page(
    inventory: Inventory, account: int, check: Check, piece: list[Count | Bad]
) -> list[Count | Bad]:
    now = inventory.now()
    return await inventory.read(account, lambda c: check.page(c, piece, now))


async def _apply(way: Door, done: Import, digest: str, create: bool) -> None:
    """Apply the good lines in chunks, each once in this run of the file."""
    asked = {"account": done.account, "digest": digest}
    done.changed = done.unchanged = done.new = 0
    done.applied = True
    refused: dict[int, str] = {}
    run = await way.ask("find_import", **asked)
    with progress.stoppable() as stopped, progress.bar("import", done.rows) as step:
        for chunk, lines, rows in _good(done):
            if stopped():
                done.stopped = True
                return
            if rows:
                wanted = {**asked, "run": run, "chunk": chunk, "rows": rows, "create": create}
                answer = await way.ask("import_chunk", **wanted)
                told = msgspec.convert(answer, Imported)
                done.changed += told.changed
                done.unchanged += told.unchanged
                done.new += told.new
                done.before += len(rows) if told.before else 0
                refused |= dict(told.refused)
            step(lines)
    done.bad |= refused
    if sheets.digest(done.file) != digest:
        done.torn = True
        return
    await way.ask("end_import", **asked, run=run)


def _good(done: Import) -> Iterator[tuple[int, int, list[Count]]]:
    """(chunk, its lines in the file, its good rows) of the file, which is read once more."""
    with sheets.opened(done.file) as sheet:
        rows = stockfile.counts(sheet)
        chunk = 0
        while piece := list(islice(rows, CHUNK)):
            chunk += 1
            good = [one for one in piece if isinstance(one, Count) and one.line not in done.bad]
            named = [(one, done.locations[one.place]) for one in good if one.place in done.locations]
            yield chunk, len(piece), [msgspec.structs.replace(one, location=at) for one, at in named]


def _told(done: Import, dry_run: bool) -> dict[str, Any]:
    return {
        "file": str(done.file),
        "dry_run": dry_run,
        "applied": done.applied,
        "interrupted": done.stopped,
        "file_changed": done.torn,
        "rows": done.rows,
        "changed": done.changed,
        "unchanged": done.unchanged,
        "done_before": done.before,
        "new_items": done.new,
        "bad": [{"line": line, "why": why} for line, why in sorted(done.bad.items())],
    }


def _show(done: Import, dry_run: bool) -> None:
    for line, why in sorted(done.bad.items()):
        frame.complain(f"line {line}: {why}")
    would = "" if done.applied else "would be "
    counts = f"{done.changed} {would}changed, {done.unchanged} unchanged, {done.new} new items"
    frame.say(f"{done.rows} lines: {counts}, {len(done.bad)} bad")
    if done.before:
        frame.say(f"{done.before} of them by an earlier run that was interrupted, and not again")
    if done.stopped:
        frame.complain("interrupted; run the same command again to go on from here")
    elif done.torn:
        frame.complain(f"{done.file} was changed while it was applied: import it again")
    elif dry_run:
        frame.say("nothing was changed: this was a dry run")
    elif not done.applied:
        frame.complain("nothing was changed; --skip-bad applies the good lines")


# --- export -------------------------------------------------------------------------------------------


@app.command("export")
@frame.command
async def export(
    file: Annotated[str, typer.Argument(help="Where to: a file (.gz compresses), - for standard output.")],
    location: Annotated[str | None, typer.Option(help="Only the levels at this location.")] = None,
    movements: Annotated[bool, typer.Option("--movements", help="The journal, not the levels.")] = False,
    after: Annotated[int, typer.Option(help="With --movements: only those behind this number.")] = 0,
    mirrored: Annotated[
        bool, typer.Option("--mirrored", help="Levels that only a channel writes, too: no import takes them.")
    ] = False,
    account: AccountName = None,
    db: Db = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines instead of CSV.")] = False,
) -> None:
    """Write all levels to a CSV file that can be imported again, or all movements."""
    if movements and location is not None:
        raise typer.BadParameter("the journal is written whole: --location does not go with --movements")
    if after and not movements:
        raise typer.BadParameter("--after is for the journal: it goes with --movements")
    settings = frame.load(db)
    async with door.reading(settings) as inventory:
        number = await people.account_id(inventory, account)
        place = None
        skipped = frozenset[str]()
        if location is not None:
            named = await inventory.read(number, lambda c: replay.location_named(c, number, location))
            place = named.id
        elif not (mirrored or movements):
            skipped = await inventory.read(number, lambda c: outgoing.mirrored_names(c, number))
        await inventory.read(number, lambda c: outgoing.not_ahead(c, number, after))
        now = inventory.now()
        columns = outgoing.MOVEMENT_COLUMNS if movements else outgoing.LEVEL_COLUMNS
        with _target(file) as stream:
            done = await inventory.read(
                number,
                lambda c: _write(
                    stream,
                    columns,
                    outgoing.all_movements(c, number, after)
                    if movements
                    else outgoing.all_levels(c, number, now, place),
                    as_json,
                    skipped,
                    whole=movements,
                ),
                long=True,
            )
    if file != "-":
        frame.say(f"wrote {done.rows} {'movements' if movements else 'levels'} to {file}")
    if done.without_sku:
        frame.complain(f"{done.without_sku} levels of items without a sku were left out")
    if done.skipped:
        frame.complain(f"{done.skipped} levels at mirrored locations were left out; --mirrored has them, too")


class Written(NamedTuple):
    """How many rows were written, and how many left out: their item has no sku, their location is skipped."""

    rows: int
    without_sku: int
    skipped: int


def _write(
    stream: TextIO,
    columns: tuple[str, ...],
    pages: Iterable[list[dict[str, Any]]],
    as_json: bool,
    skipped: frozenset[str],
    *,
    whole: bool,
) -> Written:
    """Write rows as they come, but for those at ``skipped`` locations; ``whole`` also those without a sku."""
    written = without_sku = passed = 0
    table = csv.DictWriter(_Unix(stream), columns)
    if not as_json:
        table.writeheader()
    for page in pages:
        for row in page:
            if row["location"] in skipped:
                passed += 1
                continue
            if row["sku"] is None and not whole:
                without_sku += 1
                continue
            if as_json:
                stream.write(json.dumps(row, ensure_ascii=False) + "\n")
            else:
                table.writerow({name: _cell(value) for name, value in row.items()})
            written += 1
    stream.flush()
    return Written(written, without_sku, passed)


class _Unix:
    """Takes rows that end as CSV's standard says, and has them end in a line feed. Told to end them so
    itself, the writer of Python 3.11 puts no quotes around a cell that has a bare carriage return in it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, row: str) -> int:
        return self._stream.write(row.removesuffix("\r\n") + "\n")


def _cell(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value


@contextlib.contextmanager
def _target(file: str) -> Iterator[TextIO]:
    """Where to write: a file is there whole or not at all."""
    if file == "-":
        yield sys.stdout
        return
    path = Path(file)
    if path.is_dir() or not path.parent.is_dir():
        raise BadAsk(f"cannot write {path}: it is a folder, or lies in none")
    if path.exists() and not path.is_file():  # a device or a pipe is written to, and never replaced
        with _packed(path, path) as stream:
            yield stream
        return
    path = path.resolve()  # a link stays a link
    with draft(path, 0o666) as made:
        with _packed(made, path) as stream:
            yield stream
        made.replace(path)


@contextlib.contextmanager
def _packed(path: Path, named: Path) -> Iterator[TextIO]:
    """Text for a file, compressed if the name says so."""
    with (
        path.open("wb") as raw,
        gzip.open(raw, "wb") if named.suffix == ".gz" else contextlib.nullcontext(raw) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="") as stream,
    ):
        yield stream
