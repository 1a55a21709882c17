"""Reads CSV files as people have them: compressed or not, in mixed encodings, with broken lines."""

from __future__ import annotations

import codecs
import contextlib
import csv
import gzip
import hashlib
import io
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from onhand.office.people import BadAsk

LINE_LIMIT = 1 << 20
"""Characters in one line; a longer one says that this is no CSV file."""

SHOWN_LIMIT = 120
_GZIP = b"\x1f\x8b"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_OTHERS = {";": "semicolons", "\t": "tabs"}
_ERRORS = "onhand-latin-1"


class Row(NamedTuple):
    """A line of the file: the number it begins at, and its cells in the order of the header."""

    line: int
    cells: list[str]


class Bad(NamedTuple):
    """A line that is not used, and why, in words."""

    line: int
    why: str


class Sheet(NamedTuple):
    """An open file: where each column is, by its name in lower case, and the rows behind the header."""

    path: Path
    columns: dict[str, int]
    rows: Iterator[Row | Bad]

    def column(self, name: str) -> int:
        """The position of a column that must be there. Raises BadAsk in words."""
        if name.lower() in self.columns:
            return self.columns[name.lower()]
        raise self.lacks(f"no column {name}")

    def lacks(self, what: str) -> BadAsk:
        """The error that the header has ``what``, in words."""
        return BadAsk(f"{self.path} has {what}: its header is {_shown(list(self.columns))}")


class Lines:
    """The lines of a text as the CSV reader takes them; what it took in vain can be put back."""

    __slots__ = ("_again", "_path", "_text", "number", "taken")

    def __init__(self, text: io.TextIOBase, path: Path) -> None:
        self._text = text
        self._path = path
        self._again: deque[str] = deque()
        self.taken: list[str] = []
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._read()
        if not line:
            raise StopIteration
        self.taken.append(line)
        return line

    def _read(self) -> str:
        try:
            line = self._text.readline(LINE_LIMIT + 1)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise BadAsk(f"{self._path} is damaged: {error}") from error
        if len(line) > LINE_LIMIT:
            raise BadAsk(f"{self._path} is no CSV file: a line is longer than {LINE_LIMIT} characters")
        return line

    def begin(self) -> int:
        """The number of the line that the next record begins at."""
        self.number += len(self.taken)
        self.taken.clear()
        return self.number + 1

    def put_back(self) -> bool:
        """Give back all lines of this record but its first; False if it had no more."""
        rest = self.taken[1:]
        del self.taken[1:]
        self._again.extendleft(reversed(rest))
        return bool(rest)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Sheet]:
    """The CSV file at ``path``, also compressed with gzip. Raises OSError, and BadAsk in words.

    It is read as UTF-8; bytes that are not UTF-8 are taken as Latin-1. The first line that is not
    empty is the header.
    """
    with path.open("rb") as raw:
        start = _start(raw, path)
        if start in _UTF16:
            raise BadAsk(f"{path} is UTF-16 text: save it as CSV in UTF-8")
        with (
            gzip.open(raw) if start == _GZIP else contextlib.nullcontext(raw) as whole,
            io.TextIOWrapper(whole, encoding="utf-8-sig", errors=_ERRORS, newline="") as text,
        ):
            yield _sheet(path, Lines(text, path))


def digest(path: Path) -> str:
    """A digest of what the file holds, the same for the compressed and the plain file."""
    with path.open("rb") as raw:
        start = _start(raw, path)
        try:
            return _digest(gzip.open(raw) if start == _GZIP else raw)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise BadAsk(f"{path} is damaged: {error}") from error


def _start(raw: BinaryIO, path: Path) -> bytes:
    """The first two bytes, which are read again afterwards."""
    if not raw.seekable():
        raise BadAsk(f"{path} can be read only once, and a file is read more often: write it to one first")
    start = raw.read(2)
    raw.seek(0)
    return start


def _digest(stream: BinaryIO | gzip.GzipFile) -> str:
    found = hashlib.sha256()
    while block := stream.read(1 << 20):
        found.update(block)
    return found.hexdigest()


def _sheet(path: Path, lines: Lines) -> Sheet:
    records = _records(lines)
    header = next(records, None)
    if header is None:
        raise BadAsk(f"{path} is empty: a header row is expected")
    if isinstance(header, Bad):
        raise BadAsk(f"{path} is no CSV file: {header.why}")
    names = [name.strip().lower() for name in header.cells]
    if len(names) == 1 and (other := next((sign for sign in _OTHERS if sign in names[0]), None)):
        raise BadAsk(f"{path} has {_OTHERS[other]} between its columns: save it with commas")
    for name in names:
        if name and names.count(name) > 1:
            raise BadAsk(f"{path} has two columns named {name}")
    return Sheet(path, {name: at for at, name in enumerate(names)}, records)


def _records(lines: Lines) -> Iterator[Row | Bad]:
    """Every record that is not empty. A record that cannot be read costs its first line alone: an
    open quote must not swallow the lines behind it."""
    width: int | None = None
    while True:
        reader = csv.reader(lines, strict=True)
        while True:
            start = lines.begin()
            found = _next(reader, start, width)
            if found is None:
                return
            if isinstance(found, Bad):
                yield found
                if lines.put_back():
                    break
            elif any(cell.strip() for cell in found.cells):
                width = width or len(found.cells)
                yield found


def _next(reader: Iterator[list[str]], start: int, width: int | None) -> Row | Bad | None:
    try:
        cells = next(reader)
    except StopIteration:
        return None
    except csv.Error as error:
        return Bad(start, f"not CSV: {error}")
    if any("\0" in cell for cell in cells):
        return Bad(start, "it holds a NUL character")
    if cells and width is not None and len(cells) != width:
        return Bad(start, f"{len(cells)} cells where the header has {width}")
    return Row(start, cells)


def _shown(names: Sequence[str]) -> str:
    """Names in words, bounded and printable: the file may be anything."""
    words = ", ".join(names)
    safe = "".join(letter if letter.isprintable() else "?" for letter in words[:SHOWN_LIMIT])
    return safe + ("..." if len(words) > SHOWN_LIMIT else "")


def _latin_1(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error(_ERRORS, _latin_1)
