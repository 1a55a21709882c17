"""The only place that sends HTTP requests."""

from __future__ import annotations

import httpx2

from onhand.wire import decode, encode

TIMEOUT_SECONDS = 600.0


class NoAnswer(Exception):
    """The other side could not be reached or did not answer, in words."""


async def post(url: str, token: str, value: object) -> tuple[int, object]:
    """POST ``value`` as JSON with a bearer token: the status and the decoded answer.

    Follows no redirect and uses no proxy. Raises NoAnswer.
    """
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        async with httpx2.AsyncClient(trust_env=False, timeout=TIMEOUT_SECONDS) as client:
            answer = await client.post(url, content=encode(value), headers=headers)
    except httpx2.HTTPError as error:
        raise NoAnswer(f"{url}: {str(error) or type(error).__name__}") from error
    return answer.status_code, decode(answer.content)
