"""The shape of the code: which way imports point, what stays pure, how long things are."""

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src" / "onhand"
FILES = sorted(path for top in ("src", "tests", "benchmarks") for path in (ROOT / top).rglob("*.py"))
OURS = [path for path in FILES if path.is_relative_to(SRC)]

FILE_LINES = 400
FUNCTION_LINES = 70
BAD_NAMES = {"utils", "util", "helpers", "helper", "manager", "base", "service"}

PURE = ("stock", "connectors")
OUTER = {"faces", "hub", "web", "cli", "office", "dialects", "api", "console"}
# What a part of ours may import of ours, besides itself; a part without a row: all but the outer ones.
ARROWS: dict[str, set[str]] = {
    "__init__": set(),
    "stock": set(),
    "connectors": set(),
    "wire": set(),
    "store": {"stock", "settings"},
}
MAY_IMPORT_OUTER = {
    "appliers": {"dialects"},
    "__main__": {"cli"},
    "cli": {"faces", "hub", "office"},
    "faces": {"dialects", "api"},
    "hub": {"office", "web"},
    "office": {"faces"},
    "simulate": {"office"},
    "web": {"faces"},
}
IMPURE = re.compile(
    r"(aiohttp|alembic|asyncio|concurrent|http|httpx2?|logging|multiprocessing|os|pathlib|psycopg|random|requests"
    r"|secrets|shutil|socket|sqlalchemy|sqlite3|ssl|starlette|structlog|subprocess|tempfile|threading|time"
    r"|urllib3?\.request|uvicorn|uvloop|onhand\.(store|inventory|transport|web|cli))\b"
)
CLOCK = re.compile(r"\b(datetime\.(now|utcnow|today)|date\.today|time\.time|uuid\.uuid[147])\b")
HTTP_CLIENTS = {"httpx2", "httpx", "requests", "aiohttp", "urllib3", "urllib.request", "http.client"}
DATABASE = {"sqlalchemy", "alembic", "psycopg", "sqlite3"}
PASSED_ON = {"sqlalchemy.Connection", "sqlalchemy.engine.Connection"}
"""What the store gives to others, who hand it back without looking inside."""
ITS_FAILURES = {"sqlalchemy.exc"}

# Put together here, so that this file does not name them either.
REGISTRIES = [f"{name}.{end}" for name, end in [
    ("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"), ("deb.debian", "org"),
]] + ["/opt/" + "pypi"]  # fmt: skip


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every name that a file imports, as a full dotted name, with its line."""
    for node in ast.walk(tree(path)):
        match node:
            case ast.Import(names=names):
                yield from ((name.name, node.lineno) for name in names)
            case ast.ImportFrom(module=str(module), names=names):
                yield from ((f"{module}.{name.name}", node.lineno) for name in names)
            case _:
                pass


def within(name: str, modules: set[str]) -> bool:
    """Whether a dotted name is one of the modules or lies in one."""
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def parts(path: Path) -> tuple[str, ...]:
    """Where a file of ours is: ("dialects", "treet", "schema")."""
    return path.relative_to(SRC).with_suffix("").parts


def arrow_faults(path: Path) -> Iterator[str]:
    here = parts(path)
    allowed = ARROWS.get(here[0])
    outer = MAY_IMPORT_OUTER.get(here[0], set())
    for name, line in imports(path):
        top, *there = (*name.split("."), "")[:3]
        if top != "onhand" or there[0] in (here[0], "", "__version__"):
            continue
        if there[0] in OUTER - outer or (allowed is not None and there[0] not in allowed):
            yield f"{line}: {here[0]} must not import {name}"


def sibling_faults(path: Path) -> Iterator[str]:
    here = parts(path)
    dialects = {folder.name for folder in (SRC / "dialects").glob("*/")}
    if here[0] != "dialects" or len(here) < 3:
        return
    for name, line in imports(path):
        match name.split("."):
            case ["onhand", "dialects", other, *_] if other in dialects - {here[1]}:
                yield f"{line}: the dialect {here[1]} must not know {other}"


def purity_faults(path: Path) -> Iterator[str]:
    here = parts(path)
    if here[0] not in PURE and not (here[0] in ("dialects", "api") and here[-1] == "schema"):
        return
    for name, line in imports(path):
        if IMPURE.match(name):
            yield f"{line}: pure code must not import {name}"
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute) and CLOCK.search(ast.unparse(node)):
            yield f"{node.lineno}: pure code is given time and ids, it reads no clock and draws no lots"


def monopoly_faults(path: Path) -> Iterator[str]:
    here = parts(path)
    for name, line in imports(path):
        if within(name, HTTP_CLIENTS) and here != ("transport",):
            yield f"{line}: only transport.py imports an HTTP client, not {name}"
        allowed = PASSED_ON if here[0] in OUTER else PASSED_ON | ITS_FAILURES
        if within(name, DATABASE) and here[0] != "store" and not within(name, allowed):
            yield f"{line}: only store/ talks to a database, not by {name}"


def form_faults(path: Path) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    if (lines := len(text.splitlines())) > FILE_LINES:
        yield f"1: {lines} lines, {FILE_LINES} are allowed"
    if not ast.get_docstring(tree(path)):
        yield "1: a file opens with a docstring that says what it is for"
    if {*path.relative_to(ROOT).with_suffix("").parts} & BAD_NAMES:
        yield "1: the name says nothing"
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ClassDef) and node.name.lower() in BAD_NAMES:
            yield f"{node.lineno}: the name {node.name} says nothing"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if (lines := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES:
                yield f"{node.lineno}: {node.name} has {lines} lines, {FUNCTION_LINES} are allowed"
            if any(isinstance(part, ast.Import | ast.ImportFrom) for part in ast.walk(node)):
                yield f"{node.lineno}: {node.name} imports inside itself; imports stand at the top"


@pytest.mark.parametrize(
    ("rule", "paths"),
    [
        (arrow_faults, OURS),
        (sibling_faults, OURS),
        (purity_faults, OURS),
        (monopoly_faults, OURS),
        (form_faults, FILES),
    ],
)
def test_shape(rule, paths) -> None:  # type: ignore[no-untyped-def]
    faults = [f"{path.relative_to(ROOT)}:{fault}" for path in paths for fault in rule(path)]
    assert not faults, "\n".join(["", *faults])


def test_no_file_names_a_registry() -> None:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    files = [ROOT / name for name in names if name and (ROOT / name).is_file()]
    assert files
    faults = [
        f"{path.relative_to(ROOT)}: names {host}"
        for path in files
        for host in REGISTRIES
        if host.encode() in path.read_bytes()
    ]
    assert not faults, "\n".join(["", *faults])


def test_locks_are_whole() -> None:
    locks = {}
    for name in ("run", "dev"):
        text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8").replace("\\\n", " ")
        entries = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
        faults = [e for e in entries if not re.fullmatch(r"[\w.-]+==\S+( +--hash=sha256:[0-9a-f]{64})+", e)]
        assert not faults, f"requirements/{name}.txt: not a version with its hashes: {faults}"
        locks[name] = {entry.split()[0] for entry in entries}
    assert locks["run"] <= locks["dev"], f"dev.txt lacks {locks['run'] - locks['dev']} of run.txt: make lock"
