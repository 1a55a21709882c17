"""Seals every secret with a new key, while the hub runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import msgspec

from onhand import seals
from onhand.outward.equipment import Equipment, Refusal
from onhand.seals import BadKey
from onhand.store import accounts
from onhand.store.drafts import draft
from onhand.store.engine import StoreError

NAMED = 3
"""Connections that are named when their secrets do not open."""


class Rotated(msgspec.Struct, frozen=True):
    """What a rotation did: the id of the key that seals now, how many envelopes were sealed anew, and the
    ids of older keys that are still needed (none, unless another process wrote meanwhile)."""

    key: str
    resealed: int
    still_needed: list[str]


async def rotate(equipment: Equipment) -> Rotated:
    """Seal all secrets with a new key. One from a file is made here; those of ONHAND_SECRET_KEY come from
    the environment, where the new one stands before the old ones. Raises Refusal, BadKey: also when some
    secrets cannot be opened, after all others are sealed anew, and when somebody else is rotating."""
    file = seals.key_file(equipment.settings)
    with contextlib.ExitStack() as stack:
        if file is not None:
            stack.enter_context(_alone(file))
        return await _rotate(equipment, file)


@contextlib.contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Of several rotations at once, each would leave out keys that another one has just sealed with."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(draft(file, 0o600))
        except StoreError:
            raise Refusal("not_allowed", "another rotation is under way: nothing was done") from None
        except OSError as error:
            raise BadKey(f"the file of keys {file} cannot be written: {error.strerror}") from None
        yield


async def _rotate(equipment: Equipment, file: Path | None) -> Rotated:
    if file is not None:
        before = await _needed(equipment, await _everyone(equipment))
        # The new key seals from here on, and the old ones open, whoever reads the file. A rotation that did
        # not come to its end has left keys that nothing was sealed with: they must not add up.
        first, *older = seals.read_file(file)
        seals.remove_drafts(file)
        kept = [first, *(key for key in older if key.id in before)]
        if len(kept) == seals.KEYS_LIMIT:
            raise Refusal("not_allowed", f"{len(kept)} older keys are still needed: there is no room for one")
        seals.write_file(file, [seals.fresh(), *kept])
    # Asked only now: who is younger than this has sealed with nothing but the new key.
    everyone = await _everyone(equipment)
    count, closed = 0, dict[int, str]()
    for account in everyone:
        some, others = await _account(equipment, account)
        count, closed = count + some, closed | others
    needed = await _needed(equipment, everyone)
    if file is not None:
        keys = seals.read_file(file)
        seals.write_file(file, [keys[0], *(key for key in keys[1:] if key.id in needed)])
    if closed:
        raise Refusal("not_allowed", _left(count, closed))
    now = equipment.seals.first()
    return Rotated(now, count, sorted(needed - {now}))


async def _everyone(equipment: Equipment) -> list[int]:
    return [one.id for one in await equipment.inventory.read(0, accounts.accounts)]


def _left(count: int, closed: dict[int, str]) -> str:
    named = "; ".join(f"connection {link}: {words}" for link, words in sorted(closed.items())[:NAMED])
    more = f", and {len(closed) - NAMED} more" if len(closed) > NAMED else ""
    return f"{count} were sealed anew, but not all: {named}{more}. Give them their secrets anew"


async def _needed(equipment: Equipment, everyone: Sequence[int]) -> set[str]:
    """The ids of the keys that envelopes were sealed with. As units of the writer: what others seal at this
    moment is behind us, or sealed with the first key."""
    needed: set[str] = set()
    for account in everyone:
        used = partial(seals.keys_in_use, account=account)
        needed |= await equipment.inventory.write(account, used, quiet=True)
    return needed


async def _account(equipment: Equipment, number: int) -> tuple[int, dict[int, str]]:
    return await equipment.inventory.write(
        number, lambda c: seals.reseal(c, equipment.seals, number), quiet=True
    )
