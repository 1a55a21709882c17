"""Tells Etsy quantities: reads a listing, writes it back whole, and switches it off where nothing is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from onhand.connectors.etsy_inventory import (
    LARGEST,
    SHARED,
    Pool,
    Variation,
    find,
    odd,
    pools,
    products,
    variation,
    written,
)
from onhand.connectors.flow import (
    OFF_SALE,
    Accepted,
    Flow,
    Later,
    Rejected,
    Request,
    Response,
    Target,
    Unsure,
    Verdict,
    for_all,
    retry_after,
)
from onhand.connectors.reading import ask, at, text

AWAY = {0, 401, 408, 425, 429, 502, 503, 504}
"""Answers that hold for every other listing too, so that the rest of a push is not even sent."""
RENEWAL = (
    "the listing is sold out; making it active again renews it, which Etsy charges for: renew it there,"
    " or set renew_sold_out"
)
NOT_ON = "Etsy took the change and did not make the listing active"
OFF = {"inactive", "edit"}
"""A listing that somebody has switched off; "edit" is Etsy's older word, which it still uses."""
LONG_PAUSE = 3_600.0

Verdicts: TypeAlias = dict[int, Verdict]


class Shop(Protocol):
    """What a push needs of the settings."""

    @property
    def shop_id(self) -> str:
        """The shop."""

    @property
    def renew_sold_out(self) -> bool:
        """Whether a listing that was sold out may be renewed for a fee."""


class Told(NamedTuple):
    """The verdicts of a listing's targets, and the answer that decided."""

    verdicts: Verdicts
    answer: Response


class Plan(NamedTuple):
    """What a listing should say: a number by variation, and which target each number is for."""

    numbers: Mapping[Variation, int]
    chosen: Mapping[int, Variation]
    refused: Verdicts
    changed: bool
    empty: bool


def pace(response: Response) -> float | None:
    """Seconds to hold back: Etsy counts by the second and by the day."""
    if response.status == 429:
        return retry_after(response)
    if response.headers.get("x-remaining-today") == "0":
        return retry_after(response) or LONG_PAUSE
    return 1.0 if response.headers.get("x-remaining-this-second") == "0" else None


def push(settings: Shop, targets: Sequence[Target]) -> Flow[list[Verdict]]:
    """Each listing is read and written once, for all its targets together."""
    verdicts: Verdicts = {}
    listings: dict[str, dict[int, Target]] = {}
    for place, target in enumerate(targets):
        name = target.ids.get("listing_id", "")
        if not (name.isascii() and name.isdigit()) or not target.slots:
            verdicts[place] = Rejected(target, "the target has no listing_id, or nothing to say")
        else:
            listings.setdefault(name, {})[place] = target
    away: Response | None = None
    for name, members in listings.items():
        if away is not None:
            waiting = pace(away) or retry_after(away)
            verdicts |= {n: Later(t, f"not sent after: {away.words}", waiting) for n, t in members.items()}
            continue
        told = yield from _tell(settings, name, members)
        verdicts |= told.verdicts
        away = told.answer if told.answer.status in AWAY else None
    return [verdicts[place] for place in range(len(targets))]


def _tell(settings: Shop, name: str, members: Mapping[int, Target]) -> Flow[Told]:
    """Read, decide, write, switch."""
    query = (("legacy", "false"), ("includes", "Listing"))
    answer = yield from ask(Request("GET", f"/listings/{name}/inventory", query, repeatable=True))
    if not answer.ok:
        return Told(_refused(members, answer), answer)
    inventory = answer.json()
    if not isinstance(inventory, Mapping):
        return Told({n: Later(t, answer.words) for n, t in members.items()}, answer)
    if words := odd(inventory):
        return Told({n: Rejected(t, words, "shape") for n, t in members.items()}, answer)
    state = text(inventory, "listing", "state")
    if state is None:
        answer = yield from ask(Request("GET", f"/listings/{name}", repeatable=True))
        state = text(answer.json(), "state") if answer.ok else None
        if state is None:
            return Told(_refused(members, answer), answer)
    plan = _plan(inventory, members)
    chosen = {n: members[n] for n in plan.chosen}
    if not chosen:
        return Told(plan.refused, answer)
    told = yield from _carry_out(settings, name, chosen, inventory, state, plan)
    return Told(plan.refused | told.verdicts, told.answer)


def _plan(inventory: Any, members: Mapping[int, Target]) -> Plan:
    """Which number every product should have; those that no target is about keep theirs."""
    found = pools(inventory)
    numbers = [pool.quantity for pool in found]
    taken: dict[int, int] = {}
    chosen: dict[int, Variation] = {}
    refused: Verdicts = {}
    for n, target in members.items():
        place = find(found, target.ids, target.ids.get("sku") or target.sku)
        offer = min(LARGEST, max(0, target.slots[0].offer))
        if words := _fault(found, place, taken, offer):
            refused[n] = Rejected(target, words)
        elif place is not None:
            numbers[place] = taken[place] = offer
            chosen[n] = variation(_own(found[place], target))
    by = {variation(p): numbers[place] for place, pool in enumerate(found) for p in pool.products}
    empty = not any(number for pool, number in zip(found, numbers, strict=True) if pool.for_sale)
    changed = any(number != pool.quantity for pool, number in zip(found, numbers, strict=True))
    return Plan(by, chosen, refused, changed, empty)


def _fault(found: Sequence[Pool], place: int | None, taken: Mapping[int, int], offer: int) -> str:
    if place is None:
        return "the listing has no such variation any more"
    if found[place].shared:
        return SHARED
    if taken.get(place, offer) != offer:
        return "another target sets another number for the same variation"
    return ""


def _own(pool: Pool, target: Target) -> Mapping[str, Any]:
    """The target's product in its pool, the first where its id is not known any more."""
    name = target.ids.get("product_id")
    return next((p for p in pool.products if text(p, "product_id") == name), pool.products[0])


def _carry_out(
    settings: Shop, name: str, members: Mapping[int, Target], inventory: Any, state: str, plan: Plan
) -> Flow[Told]:
    """Etsy refuses an inventory of zeros: then we switch the listing off, and later on again. One that a
    seller has switched off stays so."""
    ours = any(target.notes.get(OFF_SALE) for target in members.values())
    if plan.empty:
        return (yield from _switch_off(settings, name, members, state))
    if state == "sold_out":
        if not settings.renew_sold_out:
            refused: Verdicts = {n: Rejected(t, RENEWAL, state) for n, t in members.items()}
            return Told(refused, Response(200))
        # First, because activation of a sold out listing sets its quantity to 1.
        answer = yield from ask(_switch(settings, name, "active"))
        if not answer.ok or not _is_on(answer):
            return Told(_not_renewed(members, answer), answer)
    written_as: Any = inventory
    if plan.changed or state == "sold_out":
        body = written(inventory, plan.numbers)
        put = Request("PUT", f"/listings/{name}/inventory", (("legacy", "false"),), json=body)
        answer = yield from ask(put)
        written_as = answer.json()
        if not answer.ok:
            return Told(_refused(members, answer), answer)
        if not isinstance(at(written_as, "products"), list):
            return Told({n: Unsure(t, answer.words) for n, t in members.items()}, answer)
    if state in OFF and ours:
        answer = yield from ask(_switch(settings, name, "active"))
        if not answer.ok:
            return Told(_refused(members, answer), answer)
        if not _is_on(answer):
            return Told({n: Unsure(t, f"{NOT_ON}: {answer.words}") for n, t in members.items()}, answer)
    return Told(_accepted(members, written_as, plan), Response(200))


def _switch(settings: Shop, name: str, state: str) -> Request:
    return Request("PATCH", f"/shops/{settings.shop_id}/listings/{name}", form=(("state", state),))


def _is_on(answer: Response) -> bool:
    """A 200 does not say that the state has changed; the listing in it does."""
    return text(answer.json(), "state") == "active"


def _switch_off(settings: Shop, name: str, members: Mapping[int, Target], state: str) -> Flow[Told]:
    """A listing that is not active sells nothing already."""
    if state != "active":
        return Told({n: Accepted(t) for n, t in members.items()}, Response(200))
    answer = yield from ask(_switch(settings, name, "inactive"))
    if not answer.ok:
        return Told(_refused(members, answer), answer)
    if text(answer.json(), "state") == "active" or not isinstance(answer.json(), Mapping):
        return Told({n: Unsure(t, answer.words) for n, t in members.items()}, answer)
    return Told({n: Accepted(t, notes={OFF_SALE: "yes"}) for n, t in members.items()}, answer)


def _accepted(members: Mapping[int, Target], inventory: Any, plan: Plan) -> Verdicts:
    """Products get new ids when a listing is written."""
    now = {variation(product): text(product, "product_id") for product in products(inventory)}
    verdicts: Verdicts = {}
    for n, target in members.items():
        name = now.get(plan.chosen[n])
        ids = {"product_id": name} if name and name != target.ids.get("product_id") else {}
        verdicts[n] = Accepted(target, ids=ids, notes={OFF_SALE: ""} if target.notes.get(OFF_SALE) else {})
    return verdicts


def _not_renewed(members: Mapping[int, Target], answer: Response) -> Verdicts:
    """Some sold out listings answer 500 to activation, or 200 and stay as they are, today and tomorrow: a
    person has to look."""
    if answer.status == 500 or (answer.ok and isinstance(answer.json(), Mapping)):
        return {
            n: Rejected(t, f"Etsy could not renew the listing: {answer.words}") for n, t in members.items()
        }
    return _refused(members, answer)


def _refused(members: Mapping[int, Target], answer: Response) -> Verdicts:
    """A refusal of the one listing is its own; all else is nobody's fault."""
    words = text(answer.json(), "error") or answer.words
    if answer.page:
        return {n: Later(t, words, retry_after(answer)) for n, t in members.items()}
    if 400 <= answer.status < 500 and answer.status not in AWAY | {403, 409}:
        return {n: Rejected(t, words, str(answer.status)) for n, t in members.items()}
    if answer.status == 409 or answer.ok:
        return {n: Later(t, words) for n, t in members.items()}
    return dict(zip(members, for_all(list(members.values()), answer), strict=True))
