"""What the API answers: the responses that replies become, and what is kept of them under a key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

from onhand import wire
from onhand.api import problems
from onhand.api.problems import Problem
from onhand.work import Answer


class Reply(msgspec.Struct, frozen=True):
    """What is answered: ``body`` becomes JSON, unless it is bytes; None for none. ``headers`` are those
    besides the type and the length."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = {}


def refusal(problem: Problem) -> Reply:
    """A problem as it is answered."""
    return Reply(problem.status, problem.body)


def response(reply: Reply) -> Response:
    """The HTTP response of a reply."""
    if reply.status < 400:
        return wire.respond(reply.status, reply.body, headers=reply.headers)
    headers = reply.headers
    if reply.status == 401:
        headers = {**headers, "WWW-Authenticate": 'Bearer realm="onhand"'}
    return wire.respond(reply.status, reply.body, media_type=problems.MEDIA_TYPE, headers=headers)


def kept(reply: Reply) -> Answer:
    """A reply as it is kept under a key."""
    body = "" if reply.body is None else wire.encode(reply.body).decode()
    return Answer(reply.status, body, dict(reply.headers))


def again(answer: Answer, more: Mapping[str, str] = {}) -> Response:
    """The HTTP response of what is kept, with ``more`` headers."""
    return response(Reply(answer.status, answer.body.encode(), {**answer.headers, **more}))
