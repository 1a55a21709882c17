"""What can be wrong, as Flipkart words it: our own table of codes, and errors as values. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, NamedTuple

ERROR, WARNING = "ERROR", "WARNING"

ATTRIBUTE_ERRORS_LIMIT = 50
"""Attribute errors reported for one SKU: a large wrong body must not get a far larger answer."""


class Code(IntEnum):
    """Our codes, as Flipkart publishes none; a number never changes its meaning."""

    NO_LISTING = 1001
    NOT_AN_UPDATE = 1002
    REFUSED = 1003
    CHANGED = 1004
    NOT_A_QUANTITY = 2001
    REQUIRED = 2002
    NOT_A_STRING = 2003
    LENGTH = 2004
    OTHER_PRODUCT = 2005
    NOT_A_LIST = 2006
    EMPTY = 2007
    NOT_A_LOCATION = 2008
    UNKNOWN_LOCATION = 2009
    CONTRADICTION = 2010
    NOT_A_STATUS = 2011
    TOO_LARGE = 2012
    INACTIVE = 3001
    ARCHIVED = 3002
    ENDLESS = 3003
    MALFORMED = 4001
    NOT_A_MAP = 4002
    NO_SKUS = 4003
    TOO_MANY_SKUS = 4004
    MEDIA_TYPE = 4005
    DUPLICATE_KEY = 4006


class Fault(NamedTuple):
    """One error or warning. ``attribute`` and ``path`` are set together, or neither."""

    code: int
    description: str
    attribute: str | None = None
    path: str | None = None
    severity: str = ERROR

    @property
    def wire(self) -> dict[str, Any]:
        """As Flipkart prints it: with ``attribute`` and ``path`` where there are any."""
        body = {"severity": self.severity, "code": int(self.code), "description": self.description}
        if self.attribute is None:
            return body
        return body | {"attribute": self.attribute, "path": self.path}


class BadRequest(Exception):
    """The request as a whole cannot be read; nothing of it was done."""

    def __init__(self, code: Code, description: str) -> None:
        super().__init__(description)
        self.fault = Fault(code, description)


def whole(fault: Fault) -> dict[str, Any]:
    """The body of an answer that refuses a whole request."""
    return {"errors": [fault.wire]}


def with_lists(change: dict[str, Any]) -> dict[str, Any]:
    """The answer for one SKU with both lists, for clients that require them."""
    return {"status": "", "errors": [], "attribute_errors": []} | change


def per_sku(status: str, faults: Sequence[Fault]) -> dict[str, Any]:
    """The answer for one SKU. Empty lists are left out: clients look at the first entry of what is there."""
    change: dict[str, Any] = {"status": status}
    if not faults:
        return change
    errors: list[dict[str, Any]] = []
    attribute_errors: list[dict[str, Any]] = []
    for fault in faults:
        (errors if fault.attribute is None else attribute_errors).append(fault.wire)
    if errors:
        change["errors"] = errors
    if attribute_errors:
        change["attribute_errors"] = attribute_errors[:ATTRIBUTE_ERRORS_LIMIT]
    return change
