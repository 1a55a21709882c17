"""Seals every secret with a new key, while the hub runs."""

from __future__ import annotations

from functools import partial

import msgspec

from onhand import seals
from onhand.outward.equipment import Equipment, Refusal
from onhand.store import accounts


class Rotated(msgspec.Struct, frozen=True):
    """What a rotation did: the id of the key that seals now, how many envelopes were sealed anew, and the
    ids of older keys that are still needed (none, unless another process wrote meanwhile)."""

    key: str
    resealed: int
    still_needed: list[str]


async def rotate(equipment: Equipment) -> Rotated:
    """Seal all secrets with a new key. One from a file is made here; those of ONHAND_SECRET_KEY come from
    the environment, where the new one stands before the old ones. Raises Refusal, BadKey."""
    file = seals.key_file(equipment.settings)
    if file is not None:
        # The new key seals from here on, and the old ones open, whoever reads the file.
        seals.write_file(file, [seals.fresh(), *seals.read_file(file)])
    everyone = await equipment.inventory.read(0, accounts.accounts)
    try:
        count = sum([await _account(equipment, one.id) for one in everyone])
    except ValueError as error:
        raise Refusal("not_allowed", f"{error}; nothing is lost: the older keys are kept") from error
    needed: set[str] = set()
    for one in everyone:
        # As a unit of the writer: what others seal at this moment is behind us, or sealed with the new key.
        used = partial(seals.keys_in_use, account=one.id)
        needed |= await equipment.inventory.write(one.id, used, quiet=True)
    if file is not None:
        keys = seals.read_file(file)
        seals.write_file(file, [keys[0], *(key for key in keys[1:] if key.id in needed)])
        first = keys[0].id
    else:
        first = equipment.seals.first()
    return Rotated(first, count, sorted(needed - {first}))


async def _account(equipment: Equipment, number: int) -> int:
    return await equipment.inventory.write(
        number, lambda c: seals.reseal(c, equipment.seals, number), quiet=True
    )
