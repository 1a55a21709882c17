"""Tells BigCommerce absolute stock by location, and takes out of a refused batch what the refusal names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

from onhand.connectors.flow import (
    Accepted,
    Flow,
    Later,
    Rejected,
    Request,
    Response,
    Slot,
    Target,
    Unsure,
    Verdict,
    Whole,
    for_all,
    retry_after,
)
from onhand.connectors.reading import ask, text, whole
from onhand.connectors.skus import sku_of

ITEMS = 2_000
"""Entries in one call."""
ROUNDS = 12
"""How often a refused call is said again without, or with another name for, what was refused."""
LARGEST = 2_147_483_647
PLAIN_REASON = "stock update"
CLASH = (
    "BigCommerce keeps one stock for all variants of this product, and another variant sets another number"
)
HELD = re.compile(r"^held=(\d{1,10})$")
BY_PRODUCT = re.compile(r"variant_id (\d+) is tracked by product")
NO_LOCATION = re.compile(r"[Ll]ocation not found, identities: \[([\d,\s]*)\]")
NAMED = re.compile(r"\b(variant_id|product_id)[ :]+(\d+)")
NAMED_SKU = re.compile(r"\bsku[ :]+([^\],]+)")
NOT_THE_TARGETS = {404, 405, 409}
"""No such store or path, or another job at work: nothing about a target."""


class Entry(NamedTuple):
    """One number at one location, by one of the names that BigCommerce takes for an item."""

    nth: int
    location: int
    name: str
    value: str | int
    quantity: int

    def said(self) -> dict[str, Any]:
        """As the API wants it."""
        return {"location_id": self.location, self.name: self.value, "quantity": self.quantity}

    @property
    def place(self) -> tuple[int, str, str | int]:
        """What it writes to."""
        return self.location, self.name, self.value


Ruled: TypeAlias = list[tuple[int, Verdict]]
"""Verdicts with the position of their target; a target has one for each of its entries."""


def held(safety: int | None) -> str | None:
    """A slot's token that remembers the safety stock: BigCommerce keeps it back from what can be sold."""
    return f"held={safety}" if safety is not None and safety > 0 else None


def pace(response: Response) -> float | None:
    """Seconds until the store's window begins anew: on a 429, or when no request is left in it."""
    spent = response.status == 429 or response.headers.get("x-rate-limit-requests-left") == "0"
    millis = whole(response.headers.get("x-rate-limit-time-reset-ms"))
    if spent and millis is not None and 0 <= millis < 86_400_000:
        return millis / 1000
    return retry_after(response)


def push(settings: Any, targets: Sequence[Target]) -> Flow[list[Verdict]]:
    """Set what is on hand so that the offer can be sold; a call per reason and 2,000 numbers."""
    ruled: Ruled = []
    entries: list[Entry] = []
    for index, target in enumerate(targets):
        if not target.slots:
            ruled.append((index, Rejected(target, "the listing names no location")))
        for slot in target.slots:
            match _entry(index, target, slot):
                case Entry() as entry:
                    entries.append(entry)
                case words:
                    ruled.append((index, Rejected(target, words)))
    for reason in dict.fromkeys(targets[entry.nth].reason or PLAIN_REASON for entry in entries):
        alike = [entry for entry in entries if (targets[entry.nth].reason or PLAIN_REASON) == reason]
        alike.sort(key=lambda entry: entry.location)  # the document wants items grouped by location
        for start in range(0, len(alike), ITEMS):
            ruled += yield from _tell(targets, alike[start : start + ITEMS], reason)
    return _gathered(targets, ruled)


def _entry(index: int, target: Target, slot: Slot) -> Entry | str:
    """What to say of a slot, or why it cannot be said."""
    location = _number(slot.location)
    if location is None:
        return "BigCommerce keeps stock by location, and a location is a number"
    safety = HELD.match(slot.token or "")
    quantity = min(LARGEST, max(0, slot.offer) + (int(safety[1]) if safety else 0))
    by_product = target.notes.get("tracked_by") == "product"
    for name in ("product_id", "variant_id") if by_product else ("variant_id",):
        if (value := _number(target.ids.get(name))) is not None:
            return Entry(index, location, name, value, quantity)
    if sku := sku_of(target):
        return Entry(index, location, "sku", sku, quantity)
    return "the listing has neither a variant_id nor an SKU that can be sent"


def _number(told: str | None) -> int | None:
    """An id as BigCommerce writes it."""
    return int(told) if told and told.isascii() and told.isdigit() and len(told) < 19 else None


def _tell(targets: Sequence[Target], entries: list[Entry], reason: str) -> Flow[Ruled]:
    """One call. It is all or nothing: what a refusal names is mended or refused, the rest is said again."""
    ruled: Ruled = []
    switched: set[int] = set()
    answer = Response(0)
    for _ in range(ROUNDS):
        entries, clashing = _apart(entries)
        ruled += [(e.nth, Rejected(targets[e.nth], CLASH)) for e in clashing]
        if not entries:
            return ruled
        items = [entry.said() for entry in {entry.place: entry for entry in entries}.values()]
        body = {"reason": reason, "items": items}
        answer = yield from ask(Request("PUT", "/v3/inventory/adjustments/absolute", json=body))
        if answer.status != 422:
            break
        mended = _by_product(targets, entries, answer)
        switched |= {new.nth for old, new in zip(entries, mended, strict=True) if old != new}
        named = [entry for entry in mended if _is_named(entry, answer)] if mended == entries else []
        if mended == entries and not named:
            break
        ruled += [(e.nth, Rejected(targets[e.nth], _words(answer), "422")) for e in named]
        entries = [entry for entry in mended if entry not in named]
    return ruled + _judged(targets, entries, answer, switched)


def _apart(entries: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
    """Entries that can be said together, and those that set another number for the same thing: variants of
    a product whose stock is kept for the product."""
    said: dict[tuple[int, str, str | int], int] = {}
    clashing = [entry for entry in entries if said.setdefault(entry.place, entry.quantity) != entry.quantity]
    return [entry for entry in entries if said[entry.place] == entry.quantity], clashing


def _by_product(targets: Sequence[Target], entries: Sequence[Entry], answer: Response) -> list[Entry]:
    """The entries, those of variants whose stock is kept by product under the product's name."""
    tracked = {int(found) for found in BY_PRODUCT.findall(_words(answer))}
    return [_as_product(targets[e.nth], e) if _variant(e) in tracked else e for e in entries]


def _variant(entry: Entry) -> int | None:
    return int(entry.value) if entry.name == "variant_id" else None


def _as_product(target: Target, entry: Entry) -> Entry:
    product = _number(target.ids.get("product_id"))
    return entry if product is None else entry._replace(name="product_id", value=product)


def _is_named(entry: Entry, answer: Response) -> bool:
    """Whether a refusal names this entry, by its location or by its item."""
    words = _words(answer)
    missing = {part.strip() for found in NO_LOCATION.findall(words) for part in found.split(",")}
    items = {*NAMED.findall(words), *(("sku", value.strip()) for value in NAMED_SKU.findall(words))}
    return str(entry.location) in missing or (entry.name, str(entry.value)) in items


def _words(answer: Response) -> str:
    return text(answer.json(), "title") or answer.words


def _judged(
    targets: Sequence[Target], entries: Iterable[Entry], answer: Response, by_product: set[int]
) -> Ruled:
    """The verdicts of the entries that the last answer was about."""
    entries = list(entries)
    concerned = [targets[entry.nth] for entry in entries]
    if answer.ok:
        # The write is applied later; the transaction id is all that a 200 promises.
        taken = text(answer.json(), "transaction_id") is not None
        verdicts: list[Verdict] = [
            _accepted(target, entry.nth in by_product) if taken else Unsure(target, answer.words)
            for target, entry in zip(concerned, entries, strict=True)
        ]
    elif answer.status in NOT_THE_TARGETS or answer.status == 429:
        verdicts = [Later(target, answer.words, pace(answer)) for target in concerned]
    elif answer.status == 422:
        verdicts = [Whole(target, _words(answer), "422") for target in concerned]
    else:
        verdicts = for_all(concerned, answer)
    return [(entry.nth, verdict) for entry, verdict in zip(entries, verdicts, strict=True)]


def _accepted(target: Target, by_product: bool) -> Accepted:
    tokens = {slot.location: slot.token for slot in target.slots if slot.token}
    return Accepted(target, tokens, notes={"tracked_by": "product"} if by_product else {})


def _gathered(targets: Sequence[Target], ruled: Ruled) -> list[Verdict]:
    """One verdict a target: the worst of its entries."""
    found: list[list[Verdict]] = [[] for _ in targets]
    for index, verdict in ruled:
        found[index].append(verdict)
    return [_worst(target, verdicts) for target, verdicts in zip(targets, found, strict=True)]


def _worst(target: Target, verdicts: Sequence[Verdict]) -> Verdict:
    """What must be done again comes before what cannot be done."""
    for kind in (Whole, Unsure, Later, Rejected, Accepted):
        for verdict in verdicts:
            if isinstance(verdict, kind):
                return verdict
    return Unsure(target)
