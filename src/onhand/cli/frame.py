"""What all commands share: options, the way errors are worded, exit codes, and tables or JSON."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

import msgspec
import typer
import uvloop
from rich.console import Console
from rich.table import Table

from onhand import faults, settings
from onhand.demo import DemoFailed
from onhand.office.door import TOO_LARGE
from onhand.office.people import BadAsk, BadWords
from onhand.settings import BadSetting, Settings
from onhand.store import integrity
from onhand.store.engine import DatabaseFailed, StoreError, is_postgresql, open_store, reason
from onhand.transact import Busy, StoreFull, Unknowable
from onhand.transport import NoAnswer
from onhand.wording import harmless

OK, FAILED, USAGE, FOUND = 0, 1, 2, 3
"""Exit codes: done; could not be done; wrong words; done, and something was found wrong."""

Db = Annotated[
    str | None,
    typer.Option("--db", help="SQLite file or postgresql:// URL (else ONHAND_DB, else ./onhand.db)."),
]
AccountName = Annotated[
    str | None, typer.Option("--account", help="Account name; not needed when there is only one.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

FILE_WIDTH = 1_000
"""Characters in a line of a table that goes into a file or a pipe: none is folded there."""

COLUMN_WIDTH = 10
"""Characters that a column keeps however small the terminal is."""

SHUT_OUT = ("attempt to write a readonly database", "unable to open database file")
OWNED = ": this user has to own the database, its folder, and the -wal, -shm, .lock and .key beside it"
"""What SQLite does not say: mostly a command was run as another user than the hub."""

BROKEN = "disk I/O error"
NO_ROOM = ": the disk is full (df says so), or it is broken (the system's log says so)"
"""What SQLite calls so when it opens a file is mostly a full disk: it has no room for the -shm beside it."""

DAMAGED = f"the database is damaged ('onhand doctor' says more): {integrity.BACKUP}"

SQLITE_BEGINS = b"SQLite format 3\0"

P = ParamSpec("P")
T = TypeVar("T")
WORDED = (StoreError, BadAsk, BadSetting, NoAnswer, DemoFailed, Busy, StoreFull, Unknowable)


def load(db: str | None, **changes: Any) -> Settings:
    """The settings of the environment with what the command line says on top. Raises BadSetting in words."""
    found = settings.load()
    if db is not None:
        changes["db"] = db
    changed = msgspec.structs.replace(found, **changes) if changes else found
    _check(changed.db)
    return changed


def _check(db: str) -> None:
    """Refuse what only looks like a database, before a file of such a name is made."""
    if is_postgresql(db):
        return
    # SQLite itself would take ``file:`` for the beginning of an address, and open another file.
    if not db or "://" in db or db == ":memory:" or db.startswith("file:"):
        raise BadSetting(f"{db!r} is no database: give a SQLite file or a postgresql:// URL")
    if Path(db).exists() and not Path(db).is_file():
        raise BadSetting(f"{db} is no file")
    if not _may_be_sqlite(Path(db)):
        raise BadSetting(
            f"{db} is not a database of SQLite: it is another kind of file, or damaged at its beginning"
        )


def _may_be_sqlite(path: Path) -> bool:
    """Whether a file begins as those of SQLite do; one that is not there, is empty or cannot be read may."""
    try:
        with path.open("rb") as file:
            return file.read(len(SQLITE_BEGINS)) in (b"", SQLITE_BEGINS)
    except OSError:
        return True


def command(run: Callable[P, Coroutine[Any, Any, int | None]]) -> Callable[P, None]:
    """Make an async command of Typer out of ``run``: a user's mistake is said in words, and the
    returned number is the exit code."""

    @functools.wraps(run)
    def started(*arguments: P.args, **options: P.kwargs) -> None:
        try:
            code = uvloop.run(run(*arguments, **options))
        except WORDED as error:
            _failed(error, str(error))
            code = USAGE if isinstance(error, BadWords) else FAILED
        except DatabaseFailed as error:
            _failed(error, f"the database failed: {reason(error)}")
            code = FAILED
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = OK
        except OSError as error:
            _failed(error, f"{error.strerror or error}" + (f": {error.filename}" if error.filename else ""))
            code = FAILED
        except UnicodeEncodeError as error:
            complain(_unwritable(error))
            code = FAILED
        except OverflowError:
            complain(TOO_LARGE)
            code = FAILED
        except KeyboardInterrupt:
            code = 130
        except (typer.BadParameter, typer.Exit, typer.Abort):
            raise  # the command's own end, which no file has to do with
        except Exception:
            # What a damaged page holds can be anything, and whatever reads it fails in its own way.
            if not (words := _damage(options.get("db"))):
                raise
            complain(words)
            code = FAILED
        raise typer.Exit(code or OK)

    return started


def _failed(error: Exception, words: str) -> None:
    """Say why a command failed, and what its notes say is to be done."""
    complain(words)
    for note in getattr(error, "__notes__", ()):
        complain(note)


@contextlib.contextmanager
def going_on(words: str) -> Iterator[None]:
    """When the block fails in the middle of its work, ``words`` are said behind it: how it goes on. In a
    database that is damaged it does not."""
    try:
        yield
    except Exception as error:
        error.__notes__ = [DAMAGED if faults.damaged(error) else words]
        raise


def _unwritable(error: UnicodeEncodeError) -> str:
    """Text that is none, which only arguments can bring along, or that the terminal has no signs for."""
    if error.encoding.startswith("utf"):
        return "an argument is no text: it has bytes that are not UTF-8"
    return f"the output goes where only {error.encoding} can be written: set PYTHONUTF8=1"


def _damage(db: Any) -> str:
    """What is wrong with the file itself; "" if it is whole, or no file."""
    try:
        url = load(db).db
        if is_postgresql(url):
            return ""
        store = open_store(url, create=False, reads_only=True)
    except (StoreError, BadSetting) as error:
        return str(error)
    try:
        return "; ".join(integrity.examine(store).faults)
    finally:
        store.close()


def complain(words: str) -> None:
    """Say on standard error what went wrong."""
    more = OWNED if any(one in words for one in SHUT_OUT) else NO_ROOM if BROKEN in words else ""
    print(f"onhand: {harmless(words)}{more}", file=sys.stderr)


def say(words: str = "") -> None:
    """Say something to a person, on standard output."""
    print(harmless(words), flush=True)


def say_cut(found: Sequence[object], limit: int, which: str = "first") -> None:
    """Say on standard error, to programs as well, that there may be more than a list's ``limit``."""
    if len(found) == limit:
        complain(f"these are the {which} {limit}; --limit shows more")


def print_json(value: object) -> None:
    """Print a value for a program, on standard output."""
    print(json.dumps(msgspec.to_builtins(value), indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """Print rows for a person; numbers to the right, None as nothing."""
    table = Table(title=title, box=None, pad_edge=False, title_justify="left")
    kept = [list(row) for row in rows]
    for at, name in enumerate(columns):
        numbers = bool(kept) and all(isinstance(row[at], int) for row in kept)
        table.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in kept:
        table.add_row(*("" if cell is None else harmless(str(cell)) for cell in row))
    # What is printed is data: brackets and colons in it mean nothing.
    console = Console(markup=False, emoji=False)
    console.width = max(console.width, _least(columns, kept)) if sys.stdout.isatty() else FILE_WIDTH
    with console.capture() as text:  # by itself it would end the process when nobody reads any more
        console.print(table)
    print(text.get(), end="", flush=True)


def _least(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> int:
    """The width below which folding leaves nothing to be read: a small terminal breaks the lines instead."""
    longest = (max(len(name), *(len(str(row[at])) for row in rows), 0) for at, name in enumerate(columns))
    return sum(min(one, COLUMN_WIDTH) + 2 for one in longest)


def watched() -> bool:
    """Whether a person is looking, so that a progress bar is welcome."""
    return sys.stderr.isatty() and "NO_COLOR" not in os.environ
