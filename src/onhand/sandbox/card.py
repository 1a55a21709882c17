"""What a client or an operator needs to speak to a running sandbox, in a file of its own."""

from __future__ import annotations

from pathlib import Path

import msgspec

from onhand.sandbox.model import State

FILE = Path("sandbox.json")


class Card(msgspec.Struct, frozen=True):
    """Where a sandbox is and what opens it."""

    url: str
    client_id: str
    client_secret: str
    admin_key: str
    webhook_secret: str


def card(state: State, url: str) -> Card:
    """The card of a sandbox that runs at ``url``."""
    keys = state.keys
    return Card(url, keys.client_id, keys.client_secret, keys.admin_key, keys.webhook_secret)


def write(one: Card, file: Path = FILE) -> None:
    """Keep it where only its owner can read it, never half."""
    draft = file.with_name(file.name + ".new")
    draft.touch(mode=0o600)
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(one), indent=2) + b"\n")
    draft.replace(file)


def read(file: Path = FILE) -> Card:
    """What a file holds. Raises OSError, and ValueError where it holds something else."""
    return msgspec.json.decode(file.read_bytes(), type=Card)


def sell_line(one: Card, sku: str, units: int) -> str:
    """A line to paste into a shell: somebody buys on the channel."""
    body = msgspec.json.encode({"sku": sku, "units": units}).decode()
    return (
        f"curl -X POST {one.url}/admin/sell -H 'Authorization: Bearer {one.admin_key}'"
        f" -H 'Content-Type: application/json' -d '{body}'"
    )
