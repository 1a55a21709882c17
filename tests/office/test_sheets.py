"""The CSV reader: encodings, compression, broken lines that cost only themselves, what is no CSV."""

import gzip
from pathlib import Path

import pytest

from onhand.office import sheets
from onhand.office.people import BadAsk
from onhand.office.sheets import Bad, Row


def read(path: Path) -> list[Row | Bad]:
    with sheets.opened(path) as sheet:
        return list(sheet.rows)


@pytest.mark.parametrize(
    ("raw", "cells"),
    [
        (b"a,b\n1,2\n", [["1", "2"]]),
        (b"a,b\r\n1,2\r\n\r\n3,4", [["1", "2"], ["3", "4"]]),
        (b"a,b\r1,2\r", [["1", "2"]]),
        (b"\xef\xbb\xbfa,b\n1,2\n", [["1", "2"]]),
        (b'a,b\n"1,5","x\ny"\n', [["1,5", "x\ny"]]),
        (b'a,b\n1,"say ""hi"""\n', [["1", 'say "hi"']]),
        ("a,b\né,2\n".encode(), [["é", "2"]]),
        ("a,b\né,£\n".encode("latin-1"), [["é", "£"]]),
        ("a,b\né,2\n".encode() + "£,3\n".encode("latin-1"), [["é", "2"], ["£", "3"]]),
        (b"a,b\n,\n  ,\n1,2\n", [["1", "2"]]),
        (b"\n\na,b\n 1 ,2\n", [[" 1 ", "2"]]),
        (b"a,b\n", []),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_reads(tmp_path: Path, raw: bytes, cells: list[list[str]], packed: bool) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(gzip.compress(raw) if packed else raw)
    assert [row.cells for row in read(path) if isinstance(row, Row)] == cells
    assert not [row for row in read(path) if isinstance(row, Bad)]


@pytest.mark.parametrize(
    ("raw", "lines"),
    [
        (b"a,b\n1\n1,2\n", {2: "1 cells where the header has 2", 3: None}),
        (b"a,b\n1,2,3\n1,2\n", {2: "3 cells where the header has 2", 3: None}),
        (b"a,b\n1,\x00\n1,2\n", {2: "it holds a NUL character", 3: None}),
        # An open quote costs its own line, not the rest of the file.
        (b'a,b\n"1,2\n3,4\n5,6\n', {2: "not CSV: unexpected end of data", 3: None, 4: None}),
        (b'a,b\n1,"2\n3,4\n5,"6"\n', {2: "not CSV: ',' expected after '\"'", 3: None, 4: None}),
        (b'a,b\n"x\ny"\n1,2\n', {2: "1 cells where the header has 2", 3: "1 cells", 4: None}),
        (b'a,b\n"x\ny",1\n3,4\n', {2: None, 4: None}),
    ],
)
def test_a_broken_line_costs_itself_alone(tmp_path: Path, raw: bytes, lines: dict[int, str | None]) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(raw)
    found = {row.line: row.why if isinstance(row, Bad) else None for row in read(path)}
    assert found.keys() == lines.keys()
    for line, why in lines.items():
        assert (found[line] is None) == (why is None)
        assert (why or "") in (found[line] or "")


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        (b"SQLite format 3\x00\x01\x02", "is no CSV file"),
        (b"a,A\n1,2\n", "two columns named a"),
        (gzip.compress(b"a,b\n1,2\n" * 99, mtime=0)[:-12], "is damaged"),
        (b"\x1f\x8bnot really", "is damaged"),
        (b"a,b\n" + b"1" * (sheets.LINE_LIMIT + 2), "is no CSV file: a line is longer"),
    ],
)
def test_what_is_no_csv_file_is_said_in_words(tmp_path: Path, raw: bytes, words: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(raw)
    with pytest.raises(BadAsk, match=words):
        read(path)


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"Sku, On_Hand\x1b\nA,1\n")
    with sheets.opened(path) as sheet:
        assert sheet.column("SKU") == 0
        with pytest.raises(BadAsk, match=r"no column location: its header is sku, on_hand\?$"):
            sheet.column("location")


def test_the_digest_is_that_of_the_content(tmp_path: Path) -> None:
    plain, packed = tmp_path / "x.csv", tmp_path / "x.csv.gz"
    plain.write_bytes(b"a,b\n1,2\n")
    packed.write_bytes(gzip.compress(b"a,b\n1,2\n"))
    assert sheets.digest(plain) == sheets.digest(packed)
    plain.write_bytes(b"a,b\n1,3\n")
    assert sheets.digest(plain) != sheets.digest(packed)
