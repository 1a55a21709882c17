"""The documents keep up with the code: nothing that a user can set, call or be told is missing from them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
import yaml

from onhand.api.problems import SORTS
from onhand.cli import app
from onhand.faces import FACES
from onhand.pages import contract_text
from onhand.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parent.parent
PAGES = {face.name: f"docs/dialects/{face.name}.md" for face in FACES} | {"native": "docs/api.md"}
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)

# Put together here, so that this file does not hold them either.
FORBIDDEN = {
    "a number of another place": re.compile("issue" + r"\s+#?\d", re.IGNORECASE),
    "who wrote it": re.compile(r"(?<!\b[Uu]ser[ _-])\b" + "[Aa]" + r"gents?\b"),
    "a folder of another place": re.compile("/wo" + "rk/"),
}
UNREAD = {"LICENSE"}
"""Texts that are not ours."""


@cache
def files() -> tuple[Path, ...]:
    """Every file of the project that is or will be under version control."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return tuple(ROOT / name for name in names if name and (ROOT / name).is_file())


@cache
def documents() -> dict[str, str]:
    """The text of every Markdown file, by its path in the project."""
    return {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
        for path in files()
        if path.suffix == ".md"
    }


def missing(wanted: Iterator[str], where: str) -> list[str]:
    """Words that are nowhere in a text."""
    return [word for word in wanted if not re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", where)]


def commands() -> Iterator[str]:
    """Every command of the command line, as it is typed."""

    def below(found: Any, words: str) -> Iterator[str]:
        inner = getattr(found, "commands", None)
        if inner is None:
            yield words
            return
        for name, command in inner.items():
            yield from below(command, f"{words} {name}")

    yield from below(typer.main.get_command(app), "onhand")


def test_every_setting_is_in_the_reference() -> None:
    names = (f"{PREFIX}{field.name.upper()}" for field in msgspec.structs.fields(Settings))
    assert not missing(names, documents()["docs/reference.md"])


def test_every_command_is_in_the_reference() -> None:
    found = list(commands())
    assert "onhand keys create" in found
    assert not missing(iter(found), documents()["docs/reference.md"])


def test_every_command_is_listed_under_a_heading() -> None:
    found: Any = typer.main.get_command(app)
    assert [name for name, one in found.commands.items() if not one.rich_help_panel] == []


def test_every_error_code_is_documented() -> None:
    assert not missing(iter(SORTS), documents()[PAGES["native"]])


@pytest.mark.parametrize("name", PAGES)
def test_every_api_has_its_page(name: str) -> None:
    text = documents()[PAGES[name]]
    contract = yaml.load(contract_text(name), Loader=yaml.CSafeLoader)
    paths = (re.split(r"/?\{", path)[0].rstrip("/") for path in contract["paths"])
    assert not [path for path in paths if path.rpartition("/")[2] not in text]
    linked = [where for where, other in documents().items() if PAGES[name].rpartition("/")[2] in other]
    assert linked, "no other document leads there"


@pytest.mark.parametrize("where", sorted(documents()))
def test_links_lead_somewhere(where: str) -> None:
    text = FENCE.sub("", documents()[where])
    faults = []
    for target in LINK.findall(text):
        path, _, anchor = target.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        there = (ROOT / where).parent / path if path else ROOT / where
        if not there.exists():
            faults.append(f"{target}: no such file")
        elif anchor and anchor not in anchors(there):
            faults.append(f"{target}: no such heading")
    assert not faults


def anchors(path: Path) -> set[str]:
    """The names that a Markdown file's headings have in links."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_the_project_speaks_of_itself_alone() -> None:
    faults = [
        f"{path.relative_to(ROOT)}:{number}: {what}: {line.strip()[:80]}"
        for path in files()
        if path.name not in UNREAD and path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        for what, words in FORBIDDEN.items()
        if words.search(line)
    ]
    assert not faults, "\n".join(["", *faults])
