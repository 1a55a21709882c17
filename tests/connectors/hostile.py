"""Answers that no document promises and every network brings: for the contract of all connectors."""

from __future__ import annotations

import random

from onhand.connectors.flow import Response

HTML = b"<!doctype html><html><body>Something went wrong</body></html>"

BODIES: tuple[bytes, ...] = (
    b"",
    b" ",
    HTML,
    b"null",
    b"true",
    b"3",
    b'"text"',
    b"[]",
    b"{}",
    b"[null, 3, [], {}]",
    b'{"data": null}',
    b'{"data": []}',
    b'{"data": {"a": "b"}, "errors": null}',
    b'{"errors": "no"}',
    b'{"errors": {"a": ["b"]}}',
    b'{"errors": [null, 3]}',
    b'{"error": {"message": 3}}',
    b'{"code": "0", "message": null}',
    b'{"code": 0, "data": 3}',
    b'{"update": {"id": 3}, "items": "x", "results": 3, "responses": null, "orders": {"a": 1}}',
    b'{"update": [null], "items": [3], "results": [[]], "responses": ["x"], "orders": [null], "result": [0]}',
    b'{"pagination": "x", "meta": 3, "paging": [], "pageInfo": null, "result": {}}',
    b'{"a": 1, "a": 2',
    b"\xff\xfe\x00",
    b"[" * 2_000 + b"]" * 2_000,
    b'{"n": NaN}',
    b'{"n": 1e999}',
    b'{"n": ' + b"9" * 5_000 + b"}",
    b'{"s": "\\ud800"}',
)

NOT_JSON = (HTML, b"\xff\xfe\x00", b'{"a": 1, "a": 2')
"""Bodies of a 200 that must not be taken for an empty answer."""

STATUSES = (
    204,
    301,
    400,
    401,
    402,
    403,
    404,
    405,
    408,
    409,
    413,
    415,
    418,
    422,
    423,
    429,
    500,
    502,
    503,
    504,
)

ANSWERS: tuple[Response, ...] = (
    Response(0),
    *(Response(200, {"content-type": "application/json"}, body) for body in BODIES),
    *(Response(201, {}, body) for body in BODIES[:8]),
    *(Response(202, {}, body) for body in BODIES[:9]),
    *(Response(status) for status in STATUSES),
    *(Response(status, {"content-type": "text/html"}, HTML) for status in STATUSES),
    *(Response(status, {}, b'{"message": "no", "errors": [{"code": 3}]}') for status in STATUSES),
    *(Response(429, {"retry-after": value}) for value in ("0", "7", "-1", "nan", "soon", "1e400")),
    Response(503, {"retry-after": "120"}),
    Response(200, {"date": "yesterday", "link": "<<", "x-wp-totalpages": "many"}, b"[{}]"),
)


def storm(seed: int, length: int = 200) -> list[Response]:
    """So many answers drawn by a seed."""
    return random.Random(seed).choices(ANSWERS, k=length)
