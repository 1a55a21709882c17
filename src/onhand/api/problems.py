"""Every way our API says no: stable codes, their statuses, and the body of RFC 9457."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

MEDIA_TYPE = "application/problem+json"
HOME = "/api/v1/problems/"
"""Where a problem's ``type`` leads: the same API explains its codes."""

Fault: TypeAlias = dict[str, Any]
"""One entry of ``errors``: where (``pointer``, ``parameter`` or ``header``), ``code``, ``detail``, and
the figures of a refusal."""


class Sort(NamedTuple):
    """A kind of problem: its HTTP status, its short title, and what to do about it."""

    status: int
    title: str
    advice: str


SORTS: dict[str, Sort] = {
    "malformed_request": Sort(400, "Malformed request", "The request is not well-formed HTTP."),
    "invalid_json": Sort(400, "Not the JSON we read", "Send strict JSON in UTF-8."),
    "invalid_parameter": Sort(400, "Bad parameter", "See errors: which one, and why."),
    "invalid_cursor": Sort(400, "Bad cursor", "Send a cursor back as it was given, with the same filters."),
    "invalid_header": Sort(400, "Bad header", "See errors: a header has no valid value."),
    "unauthorized": Sort(401, "Not authorized", "Send Authorization: Bearer with a running key."),
    "insufficient_scope": Sort(403, "Scope missing", "Use a key that has the scope named in the detail."),
    "seller_bound": Sort(403, "Key is bound to a seller", "Use a key of the whole account."),
    "not_found": Sort(404, "No such path", "See the contract for the paths that there are."),
    "unknown_item": Sort(404, "No such item", "Create it first, or look at its spelling."),
    "unknown_location": Sort(404, "No such location", "A bound key sees its seller's locations only."),
    "unknown_seller": Sort(404, "No such seller", "List the sellers to see their ids."),
    "unknown_channel": Sort(404, "No such channel", "GET /channels lists those that there are."),
    "unknown_connection": Sort(404, "No such connection", "List the connections to see their ids."),
    "unknown_listing": Sort(404, "No such listing", "List the listings to see their ids."),
    "unknown_incident": Sort(404, "No such incident", "List the incidents to see their ids."),
    "unknown_key": Sort(404, "No such key", "List the keys to see their ids."),
    "unknown_level": Sort(404, "No such level", "Nothing was set here; that differs from 0."),
    "unknown_reservation": Sort(404, "No such reservation", "Nothing is reserved under this reference."),
    "unknown_line": Sort(404, "No such line", "The reservation has no such line."),
    "unknown_planned_change": Sort(404, "No such planned change", "List them to see their ids."),
    "unknown_problem": Sort(404, "No such problem code", "List /problems to see the codes."),
    "method_not_allowed": Sort(405, "Method not allowed", "The Allow header has the methods of this path."),
    "request_timeout": Sort(408, "Request timeout", "Send the request faster; nothing was done."),
    "stale_quantity": Sort(409, "The number has moved", "Read it again; the figures are in errors."),
    "insufficient_stock": Sort(409, "Not enough stock", "The figures are in errors."),
    "hold_expired": Sort(409, "The hold has run out", "Reserve again, or give an expiry that lies ahead."),
    "reference_taken": Sort(409, "The reference is taken", "Another key has it, or it has gone further."),
    "not_allowed": Sort(409, "Not allowed here", "The detail says what stands in the way."),
    "listing_closed": Sort(409, "The listing is closed", "Open it again with PATCH /listings/{id}."),
    "moment_out_of_range": Sort(409, "Not at that time", "The detail says between which moments it may lie."),
    "undone": Sort(409, "Undone with its companions", "Another change of the request was refused."),
    "sku_taken": Sort(409, "The SKU is taken", "Another item has it; SKUs are unique in an account."),
    "name_taken": Sort(409, "The name is taken", "Another one has it; it must be unique in an account."),
    "already_ended": Sort(409, "It has ended already", "It was applied, refused or cancelled before."),
    "answer_gone": Sort(409, "Done before, answer not kept", "The key was used over 30 days ago."),
    "channel_refused": Sort(409, "The channel refused", "The detail has its words: see to the settings."),
    "version_mismatch": Sort(412, "The level has moved", "Read it again and send its new ETag in If-Match."),
    "body_too_large": Sort(413, "Body too large", "256 KiB; 4 MiB for POST /changes and POST /items."),
    "unsupported_media_type": Sort(415, "Not JSON", "Send Content-Type: application/json, uncompressed."),
    "invalid_body": Sort(422, "Invalid body", "See errors: each has a JSON Pointer into the body."),
    "quantity_out_of_range": Sort(422, "Quantity out of range", "No quantity goes beyond a million million."),
    "idempotency_key_reused": Sort(422, "Idempotency key reused", "It was used for another request."),
    "too_many_requests": Sort(429, "Too many requests", "Wait as long as Retry-After says."),
    "head_too_large": Sort(431, "Request head too large", "32 KiB of request line and headers are let in."),
    "internal_error": Sort(500, "Internal error", "Try again with the same Idempotency-Key."),
    "channel_unavailable": Sort(409, "The channel does not answer", "The detail has its words; try later."),
    "unavailable": Sort(503, "Not now", "Try again after Retry-After with the same Idempotency-Key."),
}

BY_STATUS = {
    400: "malformed_request",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "body_too_large",
    415: "unsupported_media_type",
    429: "too_many_requests",
    431: "head_too_large",
    500: "internal_error",
    503: "unavailable",
}
"""What a refusal from outside the handlers (front door, routing, faults) is called here."""


class Problem(Exception):
    """A request that is answered with a problem; ``errors`` says where, and with which figures."""

    def __init__(self, code: str, detail: str, errors: Sequence[Fault] = ()) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.errors = list(errors)

    @property
    def status(self) -> int:
        """The HTTP status of the code."""
        return SORTS[self.code].status

    @property
    def body(self) -> dict[str, Any]:
        """The problem document."""
        return document(self.code, self.detail, self.errors)


def document(code: str, detail: str, errors: Sequence[Fault] = ()) -> dict[str, Any]:
    """A problem document: type, title, status, detail, code, and errors where there are any."""
    sort = SORTS[code]
    found = {
        "type": HOME + code,
        "title": sort.title,
        "status": sort.status,
        "detail": detail,
        "code": code,
    }
    return found | {"errors": list(errors)} if errors else found


def fault(code: str, detail: str, *, pointer: str | None = None, **figures: Any) -> Fault:
    """An entry of ``errors``, at a JSON Pointer into the body if it has one."""
    where = {} if pointer is None else {"pointer": pointer}
    return where | {"code": code, "detail": detail} | figures


def invalid(pointer: str, detail: str) -> Problem:
    """A body that breaks a rule at ``pointer``."""
    return Problem("invalid_body", detail, [fault("invalid_body", detail, pointer=pointer)])


def bad_parameter(name: str, detail: str) -> Problem:
    """A query parameter that is unknown or has no valid value."""
    entry = {"parameter": name, "code": "invalid_parameter", "detail": detail}
    return Problem("invalid_parameter", f"{name}: {detail}", [entry])


def bad_header(name: str, detail: str) -> Problem:
    """A header that has no valid value."""
    entry = {"header": name, "code": "invalid_header", "detail": detail}
    return Problem("invalid_header", f"{name}: {detail}", [entry])
