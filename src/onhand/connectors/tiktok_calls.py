"""The words between us and TikTok Shop: calls, which shop they are about, and what an answer means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onhand.connectors.auth import Wire, mac
from onhand.connectors.channel import Secret
from onhand.connectors.flow import Failed, Fields, Flow, Request, Response, expect, retry_after
from onhand.connectors.reading import ask, at, need_rows, need_text, text, whole

BASE = "https://open-api.tiktokglobalshop.com"
SHOPS = "/authorization/202309/shops"
LOGIN = ("105", "106", "360")
"""How the codes begin that are about tokens and signatures."""
TOKENS, NO_SCOPE = "105", 105005
"""How the codes of a token begin; one of them is about a right that the app lacks, which no token mends."""
MANY_THINGS = 36009004
"""A code for whatever is wrong with a request before it is read, a bad token too: its words tell."""
FAULTS = {36009003, 36009007, 12001000}
"""Codes of TikTok's own faults, whatever the status."""
TOO_MANY = 36009002
HOLD = 2.0
"""Seconds to wait when too many calls were made: no number is published."""
CROWDED = ("too many requests", "rate limit", "qps limit", "too frequent")


def call(method: str, path: str, cipher: str = "", *query: tuple[str, str], json: Any = None) -> Request:
    """A call about the shop of this cipher; without one it is about the seller. All of ours say absolute
    things or ask, so that they can be said again."""
    shop: Fields = (("shop_cipher", cipher),) if cipher else ()
    return Request(method, path, query=(*shop, *query), json=json, repeatable=True)


def signature(secret: Secret, wire: Wire) -> str:
    """The ``sign`` of a request: path, sorted query and the very bytes of the body, wrapped in the secret."""
    pairs = sorted(pair for pair in wire.query if pair[0] not in ("sign", "access_token"))
    said = wire.path + "".join(name + value for name, value in pairs)
    wrap = secret.reveal().encode()
    return mac(wrap, wrap + said.encode() + wire.body + wrap).hex()


def code_of(answer: Response) -> int | None:
    """The code in the body, which decides and not the status; None when there is none."""
    return whole(answer.json(), "code")


def is_login(code: int) -> bool:
    """Whether a code is about tokens or signatures."""
    return str(code).startswith(LOGIN)


def is_old_token(answer: Response) -> bool:
    """Whether an answer refuses the access token itself, so that a fresh one may help."""
    code = code_of(answer)
    if code == MANY_THINGS:
        said = (text(answer.json(), "message") or "").lower()
        return "access-token" in said or "access_token" in said
    return str(code or "").startswith(TOKENS) and code != NO_SCOPE


def is_fault(answer: Response) -> bool:
    """Whether TikTok has a fault of its own, by status or by code."""
    return answer.status >= 500 or code_of(answer) in FAULTS


def is_crowded(answer: Response) -> bool:
    """Whether too many calls were made, by status, by code or by words."""
    said = (text(answer.json(), "message") or "").lower()
    return answer.status == 429 or code_of(answer) == TOO_MANY or any(words in said for words in CROWDED)


def data(answer: Response) -> Mapping[str, Any]:
    """The ``data`` of an answer. Raises Failed."""
    code = code_of(answer)
    if not code:
        expect(answer)
        found = at(answer.json(), "data")
        if code is None or not isinstance(found, Mapping):
            raise Failed(f"the channel's answer is not as documented: {answer.words}", retry=True)
        return found
    crowded = is_crowded(answer)
    raise Failed(
        f"{code} {text(answer.json(), 'message') or ''}".strip(),
        retry=crowded or is_fault(answer),
        seconds=(retry_after(answer) or HOLD) if crowded else None,
        login=is_login(code) and not crowded and not is_fault(answer),
    )


def cipher_of(settings: Any, shop: str | None = None) -> Flow[str]:
    """The cipher of the connection's shop: the configured one, else looked up. Raises Failed when it is not
    clear which shop is meant: with exactly one the name may be left out. ``shop`` is what a change named; it
    chooses where the connection does not, if it is a shop of this login at all."""
    if settings.shop_cipher:
        return str(settings.shop_cipher)
    wanted = settings.shop_id or shop
    known = need_rows(data((yield from ask(call("GET", SHOPS)))), "shops")
    mine = [row for row in known if not wanted or text(row, "id") == wanted]
    if not mine and not settings.shop_id:
        mine = known
    if len(mine) != 1:
        names = ", ".join(text(row, "id") or "?" for row in known) or "none"
        raise Failed(f"shop {wanted or 'to be named'}: this login has {names}")
    return need_text(mine[0], "cipher")
