"""Writes and reads the XML of eBay's Trading API: calls, answers, and what went wrong in them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from onhand.connectors.flow import Failed, Request, Response, expect
from onhand.connectors.reading import moment, whole

PATH = "/ws/api.dll"
SPACE = "urn:ebay:apis:eBLBaseComponents"
Node: TypeAlias = "ElementTree.Element[str]"
NO_LOGIN = {"931", "932", "16110", "17470", "21916984", "21917053"}
"""Codes of a token that is invalid, expired or withdrawn."""
BUSY = {"518", "10007", "21919165", "218050"}
"""Codes of a spent quota and of faults of eBay's own."""


class Trouble(NamedTuple):
    """What an answer complains of: the words of its errors, their codes."""

    words: str
    codes: frozenset[str]


def call(name: str, inner: str) -> Request:
    """A call by its name. Calls are absolute settings or readings, so each can be said again."""
    body = f'<?xml version="1.0" encoding="utf-8"?>\n<{name}Request xmlns="{SPACE}">{inner}</{name}Request>'
    headers = (("X-EBAY-API-CALL-NAME", name), ("Content-Type", "text/xml"), ("Accept", "text/xml"))
    return Request("POST", PATH, body=body.encode(), headers=headers, limit="trading", repeatable=True)


def element(name: str, value: str | int) -> str:
    """An element with text."""
    return f"<{name}>{escape(str(value))}</{name}>"


def root(answer: Response) -> Node | None:
    """The answer's outermost element, None when it is no XML. A document type is refused: nothing of eBay's
    has one, and with it a small answer can grow without end."""
    if b"<!" in answer.body:
        return None
    try:
        return ElementTree.fromstring(answer.body)  # noqa: S314 - no document types, as just checked
    except (ElementTree.ParseError, ValueError, LookupError):
        return None


def said(node: Node | None, *path: str) -> str | None:
    """The text at a path of names; None when there is none."""
    if node is None:
        return None
    return (node.findtext("/".join(f"{{*}}{step}" for step in path)) or "").strip() or None


def count(node: Node | None, *path: str) -> int | None:
    """A whole number at a path of names; None when there is none."""
    return whole(said(node, *path))


def every(node: Node | None, *path: str) -> Iterable[Node]:
    """The elements at a path of names."""
    return [] if node is None else node.findall("/".join(f"{{*}}{step}" for step in path))


def trouble(node: Node) -> Trouble:
    """The errors of an answer; its warnings do not count."""
    errors = [error for error in every(node, "Errors") if said(error, "SeverityCode") != "Warning"]
    words = [said(error, "LongMessage") or said(error, "ShortMessage") or "" for error in errors]
    codes = frozenset(said(error, "ErrorCode") or "" for error in errors)
    text = "; ".join(part for part in words if part) or "eBay gives no reason"
    return Trouble(f"{text} ({', '.join(sorted(codes))})" if codes else text, codes)


def warnings(node: Node) -> frozenset[str]:
    """The codes of an answer's warnings."""
    found = [row for row in every(node, "Errors") if said(row, "SeverityCode") == "Warning"]
    return frozenset(said(row, "ErrorCode") or "" for row in found)


def old_token(answer: Response) -> bool:
    """Whether an answer complains of a token that is not valid any more."""
    if not answer.ok or b"<Ack>Failure</Ack>" not in answer.body:
        return False
    found = root(answer)
    return found is not None and bool(trouble(found).codes & NO_LOGIN)


def need(answer: Response) -> Node:
    """The answer of a reading call that succeeded. Raises Failed."""
    if not answer.ok:
        expect(answer)
    found = root(answer)
    if found is None:
        raise Failed(f"eBay's answer is not XML: {answer.words}", retry=True)
    if said(found, "Ack") not in ("Success", "Warning"):
        wrong = trouble(found)
        raise Failed(wrong.words, retry=bool(wrong.codes & BUSY), login=bool(wrong.codes & NO_LOGIN))
    return found


def need_time(node: Node) -> int:
    """When eBay answered, in microseconds since 1970 UTC. Raises Failed."""
    found = moment(said(node, "Timestamp"))
    if found is None:
        raise Failed("eBay's answer does not say when it was given", retry=True)
    return found
