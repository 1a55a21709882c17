"""Says in plain words what does not fit about a value, where the JSON library says it in Python's. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

KINDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "list": "a list",
    "tuple": "a list",
    "object": "an object",
    "dict": "an object",
    "null": "null",
    "NoneType": "null",
}
COUNTED = {"str": ("character", "characters"), "array": ("entry", "entries"), "object": ("entry", "entries")}
COMPARED = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than"}
UNKNOWN = "There is no such field here"

NOT_BLANK = r"\S"
MONEY = r"^[0-9]{1,12}(\.[0-9]{1,4})?\Z"
CURRENCY = r"^[A-Z]{3}\Z"
PATTERNS = {
    NOT_BLANK: "Must not be blank",
    MONEY: "Must be an amount like 18.00: up to 12 digits, and up to 4 behind a point",
    CURRENCY: "Must be three capital letters, like EUR",
}
"""Patterns of our schemas, and what people are told of them."""


class Complaint(NamedTuple):
    """What does not fit, and the names and numbers that lead to it from the outside."""

    steps: list[str]
    words: str

    @property
    def sentence(self) -> str:
        """Both in one."""
        return f"{self.words} ({'.'.join(self.steps)})" if self.steps else self.words


_PLACE = re.compile(r" - at (`key` in )?`\$(.*)`$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)


def complaint(said: str) -> Complaint:
    """The library's words, read. An unknown field is the last step itself."""
    found = _PLACE.search(said)
    bare = said[: found.start()] if found else said
    steps = [name or index for name, index in _STEP.findall(found[2])] if found else []
    if unknown := _UNKNOWN.fullmatch(bare):
        return Complaint([*steps, unknown[1]], UNKNOWN)
    words = _plain(bare)
    if found and found[1]:
        words = f"A name in it {words[:1].lower()}{words[1:]}"
    return Complaint(steps, words)


def _plain(words: str) -> str:
    for pattern, say in FORMS:
        if found := pattern.fullmatch(words):
            return say(found)
    return words.replace("`", "")


def _kind(found: re.Match[str]) -> str:
    wanted = [KINDS.get(one, one) for one in found[1].split(" | ")]
    *others, last = dict.fromkeys(wanted)
    named = f"{', '.join(others)} or {last}" if others else last
    if found[2] is None:
        return f"Must be {named}"
    got = KINDS.get(found[2], found[2])
    # 3.5 is a number, too: what it is not is whole.
    got = "one with a fraction" if (found[2], "int" in found[1]) == ("float", True) else got
    return f"Must be {named}, not {got}"


def _pattern(pattern: str) -> str:
    return PATTERNS.get(pattern, f"Must match the pattern {pattern}")


def _counted(kind: str, number: str) -> str:
    one, more = COUNTED[kind]
    return f"{number} {one if number == '1' else more}"


def _long(found: re.Match[str]) -> str:
    kind, compared, number = found.groups()
    return f"Must have {COMPARED[compared]} {_counted(kind, number)}"


def _length(found: re.Match[str]) -> str:
    most = f" to {found[3]}" if found[3] else ""
    return f"Must have {found[1] or ''}{found[2]}{most} entries"


FORMS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"Expected `([^`]+)`(?:, got `(\w+)`)?"), _kind),
    (re.compile(r"Expected `(str|array|object)` of length ([<>]=) (\d+)"), _long),
    (
        re.compile(r"Expected `array` of (at least |at most )?length (\d+)(?: to (\d+))?(?:, got \d+)?"),
        _length,
    ),
    (
        re.compile(r"Expected `(?:int|float)` ([<>]=?) (\S+)"),
        lambda found: f"Must be {COMPARED[found[1]]} {found[2]}",
    ),
    (
        re.compile(r"Expected `int` that's a multiple of (\d+)"),
        lambda found: f"Must be a multiple of {found[1]}",
    ),
    (
        re.compile(r"Expected `str` matching regex ['\"](.*)['\"]", re.DOTALL),
        lambda found: _pattern(found[1].replace("\\\\", "\\")),
    ),
    (
        re.compile(r"Object missing required field `(.*)`", re.DOTALL),
        lambda found: f"The field {found[1]} is missing",
    ),
    (
        re.compile(r"Invalid (?:enum )?value (.*)", re.DOTALL),
        lambda found: f"Must be one of the values that are known here, not {found[1]}",
    ),
    (re.compile(r"(?:Integer value|Number) out of range"), lambda found: "The number is out of range"),
)
"""Everything that the library can say of the types that our schemas use."""


def harmless(text: str) -> str:
    """``text`` with what is no printable character written out, except the ends of lines: what others have
    named may steer a terminal."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one == "\n" else ascii(one)[1:-1] for one in text)
