"""The error object of this API: always the same eight keys, in the published order."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

MEDIA_TYPE = "application/vnd.api+json"

_SYMBOLS = {413: "payload_too_large", 422: "resource_invalid"}
_TITLES = {
    404: "Record not found",
    413: "Payload too large",
    415: "Unsupported media type",
    422: "Validation error",
}


class Problem(Exception):
    """A request that is answered with an error: its status, a sentence, and what it is about.

    ``source`` names a part of the body or a parameter, like "data/attributes/price".
    """

    def __init__(self, status: int, detail: str, source: str | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.source = source


def body(status: int, detail: str, source: str | None = None) -> dict[str, Any]:
    """The document that is sent with ``status``."""
    error = {
        "title": _title(status),
        "detail": detail,
        "id": None,
        "href": None,
        "code": status,
        "source": source,
        "links": None,
        "status": _symbol(status),
    }
    return {"errors": [error]}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def _title(status: int) -> str:
    return _TITLES.get(status) or _phrase(status).capitalize()


def _symbol(status: int) -> str:
    return _SYMBOLS.get(status) or _phrase(status).lower().replace(" ", "_").replace("-", "_")


def missing(name: str) -> Problem:
    """No such variant or record, or none that this caller may see."""
    return Problem(404, f"The record identified by {name} could not be found.")


def invalid(source: str, detail: str) -> Problem:
    """A value that cannot be."""
    return Problem(422, detail, source)


def media(given: str) -> Problem:
    """A body of another media type."""
    said = f"specified '{given}'" if given else "did not specify one"
    return Problem(415, f"All requests must use the '{MEDIA_TYPE}' Content-Type. This request {said}.")
