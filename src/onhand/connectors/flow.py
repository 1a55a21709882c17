"""What a connector says and hears: requests and answers, targets and verdicts, listings and orders. Pure.

A connector is a module. It has one `CHANNEL` value and generators that yield a `Request` (or a `Wait`)
and are sent the `Response`; so its code is the channel's protocol and nothing else. It cannot send,
sleep, retry, sign or read a clock: the courier does that, the same for all. The functions are

    push(settings, targets)   -> Flow[list[Verdict]]   tell the channel; one verdict a target, in order
    pull(settings, cursor)    -> Flow[Page]            what the channel shows, a page at a time
    places(settings)          -> Flow[list[Place]]     its locations
    orders(settings, cursor)  -> Flow[Orders]          orders that changed since a cursor
    reread(settings, names)   -> Flow[Reread]          how orders of these ids stand now, and which are gone
    check(settings)           -> Flow[str]             a harmless call: who we are there, in words
    tokens(settings)          -> Flow[dict]            fresh tokens, where `CHANNEL.refreshes`
    hear(settings, headers, body, now) -> Heard        a webhook, verified; raises `Unheard`
    keys(settings, wanted)    -> Flow[dict]            settings with the public key that `Unheard` wants
    challenge(settings, code) -> bytes                 what proves that a webhook's address is ours

and what a channel cannot do is left out of the module and declared in `CHANNEL`.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import msgspec

from onhand.connectors.channel import Secret, Value

T = TypeVar("T")
Pairs: TypeAlias = tuple[tuple[str, str], ...]
LONGEST_RETRY = 86_400.0
ABOUT_REQUEST = {400, 413, 414, 422, 431}
"""Statuses by which also a gateway's page speaks of this very request: too large, or malformed."""
OFF_SALE = "off_sale"
"""The note of a listing that we have switched off because its channel takes no 0: while it is off it offers
nothing, whatever number it shows."""
Fields: TypeAlias = "tuple[tuple[str, str | Secret], ...]"
"""Names and values of which some are secret: they are revealed when the request is rendered."""


# --- requests and answers -------------------------------------------------------------------------------


class Request(Value, frozen=True):
    """One HTTP request. ``url`` is a path below the channel's base URL, or absolute.

    At most one of ``json``, ``form`` and ``body`` is set; what is secret in them, in the query or in a
    header is a `Secret`, so that a request can be shown. ``signed`` is False for the calls that get a
    token. ``limit`` names the bucket of `Channel.limits` that the call draws on, ``cost`` how much of
    it. ``repeatable`` says that the same request again does no harm: the courier may then send it
    again after a silence; otherwise a silence comes back as a Response of status 0.
    """

    method: str
    url: str
    query: Fields = ()
    json: Any = None
    form: Fields | None = None
    body: bytes | None = None
    headers: Fields = ()
    signed: bool = True
    limit: str = "default"
    cost: int = 1
    repeatable: bool = False


class Response(Value, frozen=True):
    """What came back. Header names are lower-case. Status 0: nothing did, and the channel may or may not
    have done what was asked; the body may then hold our own words for why."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""

    @property
    def ok(self) -> bool:
        """Whether the status is a success; the body may still tell another story."""
        return 200 <= self.status < 300

    @property
    def silent(self) -> bool:
        """Whether nothing came back."""
        return self.status == 0

    @property
    def page(self) -> bool:
        """Whether it is a page of HTML: a gateway's word, where the channel speaks JSON or XML."""
        return self.body.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html"))

    def json(self) -> Any:
        """The body as JSON, None when it is none."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    @property
    def words(self) -> str:
        """What the channel said, for a person: status and the beginning of its body."""
        # PostgreSQL keeps no U+0000, and somebody will want to keep these words.
        text = " ".join(self.body[:600].decode("utf-8", "replace").replace("\0", "").split())
        return f"{self.status} {text}".strip() if self.status else text or "no answer"


class Wait(Value, frozen=True):
    """Nothing to send for so many seconds, as between two looks at an asynchronous import."""

    seconds: float


Flow: TypeAlias = Generator[Request | Wait, Response | None, T]


# --- what the channel is told ---------------------------------------------------------------------------


class Slot(Value, frozen=True, array_like=True):
    """One number a listing should show: ``offer`` units at the channel's ``location`` (None where it has
    none). ``acknowledged`` is what it last confirmed, ``observed`` what it last showed, ``token`` the
    revision or version that came with that. ``committed`` are units in the channel's own open orders."""

    offer: int
    location: str | None = None
    infinite: bool = False
    acknowledged: int | None = None
    observed: int | None = None
    token: str | None = None
    committed: int = 0


class Future(Value, frozen=True):
    """A planned change: so many units more at ``location`` from ``day`` (YYYY-MM-DD) on."""

    day: str
    offer: int
    location: str | None = None


class Target(Value, frozen=True):
    """A listing and what it should say, all its slots together.

    ``ids`` are the channel's ids by the connector's own names. ``key`` names this state of the target, in
    a text of any length and characters: it is the same when the same state is said again. ``reason`` and
    ``shop`` are those of the change behind it when exactly one applies. ``notes`` are what earlier verdicts
    asked to remember. ``at`` is when its numbers were computed, in microseconds UTC; 0 where nobody says.
    """

    listing: int
    ids: Mapping[str, str]
    slots: tuple[Slot, ...]
    key: str
    sku: str | None = None
    reason: str | None = None
    shop: str | None = None
    futures: tuple[Future, ...] = ()
    notes: Mapping[str, str] = {}
    at: int = 0


class Accepted(Value, frozen=True):
    """The channel has taken the target. ``tokens`` are new revisions by location, ``ids`` and ``notes``
    what is to be remembered (an empty note is forgotten)."""

    target: Target
    tokens: Mapping[str | None, str] = {}
    ids: Mapping[str, str] = {}
    notes: Mapping[str, str] = {}


class Rejected(Value, frozen=True):
    """The channel will not take this target; ``words`` are its own."""

    target: Target
    words: str
    code: str = ""


class Stale(Value, frozen=True):
    """A compare-and-set or revision did not hold: the channel moved. ``observed`` is what it shows now,
    by location, where it said so, and ``tokens`` the revisions that came with that; the courier looks,
    computes again and says it anew."""

    target: Target
    observed: Mapping[str | None, int] = {}
    words: str = ""
    tokens: Mapping[str | None, str] = {}


class Later(Value, frozen=True):
    """The channel cannot take it now: throttled, locked or down. Not the target's fault. ``notes`` are what
    is to be remembered before it is said again, as in `Accepted`."""

    target: Target
    words: str
    seconds: float | None = None
    notes: Mapping[str, str] = {}


class Unsure(Value, frozen=True):
    """Nothing came back after sending. Absolute numbers are said again; others are looked at first."""

    target: Target
    words: str = "no answer"


class Whole(Value, frozen=True):
    """The channel refused a batch as a whole and did not name what is wrong with it: the courier
    splits it until the one bad target stands alone."""

    target: Target
    words: str
    code: str = ""


Verdict: TypeAlias = Accepted | Rejected | Stale | Later | Unsure | Whole


# --- what the channel shows -----------------------------------------------------------------------------


class Shown(Value, frozen=True):
    """A number that the channel shows: None when it does not track stock there. ``committed`` are units
    in its own open orders, where it says so; on a gross channel ``quantity`` is net of them, so that it
    can be compared with an offer everywhere."""

    quantity: int | None
    location: str | None = None
    token: str | None = None
    committed: int = 0


class Seen(Value, frozen=True):
    """A listing as the channel has it. ``writable`` is False for stock that the channel owns (FBA, WFS,
    fulfilment services) or that it will not let us set; ``why`` says so."""

    ids: Mapping[str, str]
    sku: str | None
    shown: tuple[Shown, ...]
    title: str = ""
    active: bool = True
    writable: bool = True
    why: str = ""


class Page(Value, frozen=True):
    """A page of listings; ``cursor`` is where the next begins, None at the end. ``behind`` are the seconds
    for which the channel may go on to show a number after it has taken another: what was told within them
    is no drift, and its open orders are left as they are known."""

    seen: tuple[Seen, ...]
    cursor: str | None = None
    behind: float = 0.0


class Place(Value, frozen=True):
    """A location of the channel. Stock at one that is not ``ours`` is mirrored, never written."""

    id: str
    name: str
    ours: bool = True
    default: bool = False


class OrderLine(Value, frozen=True):
    """A line of a channel's order as it stands now: counts are units, and never go down."""

    id: str
    ids: Mapping[str, str]
    sku: str | None
    ordered: int
    cancelled: int = 0
    shipped: int = 0
    returned: int = 0
    location: str | None = None


class Order(Value, frozen=True):
    """A snapshot of a channel's order. ``updated`` is the channel's own time of change, in microseconds
    UTC: an older snapshot is ignored. ``holds`` is False while the channel itself does not count it. ``sent``
    is when the last of its units left, by the same clock; None where the channel does not say."""

    id: str
    updated: int
    lines: tuple[OrderLine, ...]
    name: str = ""
    holds: bool = True
    test: bool = False
    sent: int | None = None


class Orders(Value, frozen=True):
    """Orders that changed, oldest change first. ``cursor`` is where to go on; ``more`` says at once."""

    orders: tuple[Order, ...]
    cursor: str
    more: bool = False


class Reread(Value, frozen=True):
    """Orders that were asked for by their ids. ``gone`` are those that the channel itself says it does not
    have; one that is in neither cannot be told."""

    orders: tuple[Order, ...] = ()
    gone: tuple[str, ...] = ()


class Heard(Value, frozen=True):
    """A verified webhook: orders it carried, and what it hints at: listings to look at, orders to reread by
    their ids. ``id`` names the message, so that a repetition is known; ``reply`` is what the channel wants to
    hear (None: an empty 200)."""

    id: str
    topic: str
    orders: tuple[Order, ...] = ()
    poll_orders: bool = False
    look_at: tuple[str, ...] = ()
    reread: tuple[str, ...] = ()
    reply: bytes | None = None


class Unheard(Exception):
    """A webhook that is not from the channel, or too old; ``status`` is the answer to give. ``wants`` names
    a public key that is missing to tell: the connector's `keys` gets it, and the channel sends again."""

    def __init__(self, words: str, status: int = 401, *, wants: str = "") -> None:
        super().__init__(words)
        self.status, self.wants = status, wants


class Failed(Exception):
    """A flow other than push could not be done: the channel's words. Raised inside the generator.

    ``retry`` says whether it may work later; ``seconds`` when; ``login`` that credentials are wrong.
    """

    def __init__(
        self, words: str, *, retry: bool = False, seconds: float | None = None, login: bool = False
    ) -> None:
        super().__init__(words)
        self.words, self.retry, self.seconds, self.login = words, retry, seconds, login


def chunks(targets: Sequence[Target], size: int) -> list[Sequence[Target]]:
    """Targets in batches of at most ``size``, in order."""
    return [targets[start : start + size] for start in range(0, len(targets), size)]


def for_all(targets: Sequence[Target], answer: Response) -> list[Verdict]:
    """The verdicts of a batch whose answer says nothing about single targets: silence, throttling, a server's
    fault, wrong credentials, or a page of what stands before the channel (a firewall's 406, the 404 of a shop
    whose API is switched off). A refusal (other 4xx) becomes `Whole`."""
    if answer.silent:
        return [Unsure(target) for target in targets]
    before = answer.page and answer.status not in ABOUT_REQUEST
    if before or answer.status in (401, 403, 408, 425, 429) or answer.status >= 500:
        return [Later(target, answer.words, retry_after(answer)) for target in targets]
    return [Whole(target, answer.words, str(answer.status)) for target in targets]


def expect(answer: Response) -> Any:
    """The JSON of a successful answer. Raises `Failed`, for flows other than push."""
    if answer.ok:
        found = answer.json()
        if found is None and answer.body:
            raise Failed(f"the channel's answer is not JSON: {answer.words}", retry=True)
        return found
    raise Failed(
        answer.words,
        retry=answer.silent or answer.status in (408, 425, 429) or answer.status >= 500,
        seconds=retry_after(answer),
        login=answer.status in (401, 403),
    )


def retry_after(answer: Response) -> float | None:
    """The seconds of a Retry-After header, where it is a number; a day at most."""
    try:
        return min(LONGEST_RETRY, max(0.0, float(answer.headers.get("retry-after", ""))))
    except ValueError:
        return None
