"""Prices as this wire has them: numbers or text in, the shortest exact decimal out. Never through a float."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

import msgspec

WHOLE_DIGITS = 12
"""Digits before the point at most."""

FRACTION_DIGITS = 20
"""Digits behind the point at most, zeros at the end not counted in a JSON number."""

_TEXT = re.compile(rf"[0-9]{{1,{WHOLE_DIGITS}}}(?:\.[0-9]{{1,{FRACTION_DIGITS}}})?")
_STORED = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_UNREADABLE = Decimal("NaN")


class BadPrice(Exception):
    """What is wrong with a price, as the end of a sentence that begins with its name."""


def _literal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent beyond what decimals can hold
        return _UNREADABLE


decode = msgspec.json.Decoder(float_hook=_literal).decode
"""JSON with every number that has a point or an exponent as the Decimal that was written."""


def exact(value: object) -> str:
    """``value`` from a decoded body as the shortest decimal text: "500", "27.38". Raises BadPrice."""
    if isinstance(value, str):
        if not _TEXT.fullmatch(value):
            raise BadPrice('must be a number, or text of digits like "27.38"')
        return shortest(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise BadPrice("must be a number")
    if isinstance(value, Decimal) and not value.is_finite():
        raise BadPrice("is out of range")
    if value < 0:
        raise BadPrice("must not be negative")
    return _written(Decimal(value))


def _written(value: Decimal) -> str:
    """The plain form, put together from the digits: no context may round them."""
    _, digits, power = value.as_tuple()
    exponent = int(power)
    text = "".join(map(str, digits)).lstrip("0")
    kept = text.rstrip("0")
    exponent += len(text) - len(kept)
    if not kept:
        return "0"
    if len(kept) + exponent > WHOLE_DIGITS:
        raise BadPrice(f"may have at most {WHOLE_DIGITS} digits before the point")
    if -exponent > FRACTION_DIGITS:
        raise BadPrice(f"may have at most {FRACTION_DIGITS} digits behind the point")
    if exponent >= 0:
        return kept + "0" * exponent
    padded = kept.rjust(1 - exponent, "0")
    return f"{padded[:exponent]}.{padded[exponent:]}"


def shortest(text: str) -> str:
    """Plain decimal text without needless zeros; other text as it is."""
    if not _STORED.fullmatch(text):
        return text
    whole, _, fraction = text.partition(".")
    whole, fraction = whole.lstrip("0") or "0", fraction.rstrip("0")
    return f"{whole}.{fraction}" if fraction else whole


def number(text: str | None) -> msgspec.Raw | None:
    """Stored decimal text as a JSON number with a point, as variants show prices: 30.0, 27.38."""
    if text is None or not _STORED.fullmatch(text):
        return None
    short = shortest(text)
    return msgspec.Raw((short if "." in short else f"{short}.0").encode())
