"""What Amazon accepts as a patch of a listing, and as a query."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from fakes.common import unknown, whole
from onhand.connectors.flow import Response
from onhand.transport import ANSWER_LIMIT

PATCHED = "/attributes/fulfillment_availability"


def availability_of(listing: Mapping[str, Any]) -> dict[str, Any]:
    """The entry that holds the quantity."""
    entry: dict[str, Any] = listing["fulfillmentAvailability"][0]
    return entry


def wrong_query(asked: Mapping[str, str], allowed: set[str], marketplace: str) -> bool:
    """Whether a query has unknown names or another marketplace."""
    return bool(unknown(asked, allowed)) or asked.get("marketplaceIds") != marketplace


def wrong_token(given: str, good: Set[str]) -> str:
    """What is wrong with an access token, in the words of Amazon's details; nothing when it is good."""
    if not given:
        return "Access token is missing in the request header."
    if not given.startswith("Atza|"):
        return "The access token you provided is revoked, malformed or invalid."
    return "" if given in good else "The access token you provided has expired."


def part_of(content: bytes, wanted: str) -> Response:
    """A document, or the part of it that a Range header names. What is longer than the hub reads does not
    reach it."""
    if not wanted:
        return Response(200, {}, content) if len(content) <= ANSWER_LIMIT else Response(0)
    first, last = (int(number) for number in wanted.removeprefix("bytes=").split("-"))
    if first >= len(content):
        return Response(416, {"content-range": f"bytes */{len(content)}"})
    part = content[first : last + 1]
    where = f"bytes {first}-{first + len(part) - 1}/{len(content)}"
    return Response(206, {"content-range": where}, part) if len(part) <= ANSWER_LIMIT else Response(0)


def patched_value(patch: Any) -> tuple[int | None, list[dict[str, Any]]]:
    """The quantity of a patch; the issues when it is not one that keeps what else the entry says."""
    patches = patch["patches"]
    if not patch["productType"] or len(patches) != 1:
        return None, issue("90000900", "The attributes are invalid")
    change = patches[0]
    if change["op"] != "merge":
        return None, issue("99999", "this would wipe the handling time")
    if change["path"] != PATCHED or not isinstance(change["value"], list):
        return None, issue("90000900", "The attributes are invalid")
    value = change["value"][0]
    if value.get("fulfillment_channel_code") != "DEFAULT":
        return None, issue("99022", "'fulfillment_channel_code' does not have enough values")
    if not whole(value.get("quantity")) or not 0 <= value["quantity"] <= 9_999_999:
        return None, issue("90220", "'quantity' is not valid")
    return value["quantity"], []


def issue(code: str, message: str) -> list[dict[str, Any]]:
    """One error."""
    return [{"code": code, "message": message, "severity": "ERROR", "attributeNames": []}]
