"""The words between us and Wix: which catalogue a site has, and what an answer means as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onhand.connectors.flow import (
    Failed,
    Flow,
    Rejected,
    Request,
    Response,
    Target,
    Verdict,
    expect,
    for_all,
)
from onhand.connectors.reading import ask, at, need_text, text

BASE = "https://www.wixapis.com"
VERSION = "/stores/v3/provision/version"
LARGEST = 99_999
V1, V3 = "V1", "V3"
SIMPLE = "00000000-0000-0000-0000-000000000000"
"""The variant of a product that has none, in catalogue V1."""
CATALOGS = {"V1_CATALOG": V1, "V3_CATALOG": V3}
MOVED = "the site's catalogue has become another version, with other ids: import its listings again"


def post(path: str, json: Any) -> Request:
    """A question, or something absolute to be set: both can be said again."""
    return Request("POST", path, json=json, repeatable=True)


def catalog(settings: Any) -> Flow[str]:
    """V1 or V3: a site has one of the two, and moves from V1 to V3 some day. Raises Failed."""
    found = expect((yield from ask(Request("GET", VERSION, repeatable=True))))
    said = need_text(found, "catalogVersion")
    if said not in CATALOGS:
        raise Failed(f"the site has no Wix Stores catalogue: {said}")
    return CATALOGS[said]


def code(answer: Response) -> str:
    """The code of a refusal."""
    found = answer.json()
    return text(found, "details", "applicationError", "code") or text(found, "code") or ""


def words(answer: Response) -> str:
    """A refusal for a person; the fields that Wix found wrong are named."""
    found = answer.json()
    error = at(found, "details", "applicationError")
    told = " ".join(filter(None, (text(error, "code"), text(error, "description"), text(found, "message"))))
    fields = at(found, "details", "validationError", "fieldViolations")
    named = [text(row, "field") or "?" for row in fields] if isinstance(fields, list) else []
    return f"{told} ({', '.join(named)})" if told and named else told or answer.words


def moved(answer: Response) -> bool:
    """Whether a call of one catalogue reached a site that has the other."""
    said = code(answer)
    return not answer.ok and "CATALOG" in said and (V1 in said or V3 in said)


def refused(targets: Sequence[Target], answer: Response) -> list[Verdict]:
    """The verdicts when a call as a whole was not done."""
    if moved(answer):
        return [Rejected(target, MOVED, code(answer)) for target in targets]
    return for_all(targets, answer)
