"""The sandbox's one page for people: its products and numbers, its last orders, and its faults."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

import msgspec

from onhand.pages import STYLE
from onhand.sandbox.model import Faults, Level, Order, State

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
REFRESH_SECONDS = 2
ROWS, ORDERS = 200, 20


def page(state: State, *, held: bool = False) -> bytes:
    """HTML that loads itself again every two seconds, unless it is ``held`` for a reader who needs longer."""
    heads = "".join(
        f"<th>{escape(place.name)}{' <span class=quiet>(not ours)</span>' if place.owned else ''}"
        for place in state.places
    )
    body = (
        "<h1>Sandbox channel</h1><p class=quiet>What a buyer would see. It changes when the hub tells it, and"
        f" when somebody buys. {_HELD if held else _LOADING}</p>{_faults(state.faults)}"
        f"<h2>Products</h2><table><tr><th>SKU<th>title{heads}</tr>{''.join(_products(state))}</table>"
        f"<h2>Orders</h2><table><tr><th>order<th>what<th>state</tr>{''.join(_orders(state))}</table>"
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Sandbox channel</title>"
        '<meta name=viewport content="width=device-width, initial-scale=1">'
        f"{'' if held else f'<meta http-equiv=refresh content={REFRESH_SECONDS}>'}<style>{STYLE}</style>"
        f"<body><main>{body}</main></body></html>"
    ).encode()


_LOADING = "<a href='?hold'>Hold it still</a>"
_HELD = "<a href='?'>Show it as it changes</a>"


def _products(state: State) -> Iterator[str]:
    rows = [(product, variant) for product in state.products[:ROWS] for variant in product.variants]
    for product, variant in rows[:ROWS]:
        marks = [("kit", product.kit), ("inactive", not product.active)]
        told = "".join(f" <span class=quiet>({word})</span>" for word, on in marks if on)
        cells = "".join(f"<td>{_level(variant.levels.get(place.id))}" for place in state.places)
        name = escape(variant.sku or "-")
        yield f"<tr><td><code>{name}</code><td>{escape(variant.title or product.title)}{told}{cells}</tr>"
    if len(state.products) > ROWS:
        yield f"<tr><td colspan=9 class=quiet>and more: {len(state.products)} products in all</tr>"


def _level(level: Level | None) -> str:
    if level is None:
        return ""
    return "unlimited" if level.unlimited else str(level.quantity)


def _orders(state: State) -> Iterator[str]:
    for order in list(state.orders.values())[: -ORDERS - 1 : -1]:
        what = ", ".join(f"{line.ordered} × {escape(line.sku or line.variant)}" for line in order.lines)
        yield f"<tr><td><code>{escape(order.id)}</code><td>{what}<td>{', '.join(_state(order))}</tr>"
    if len(state.orders) > ORDERS:
        yield f"<tr><td colspan=3 class=quiet>and earlier ones: {len(state.orders)} orders in all</tr>"
    if not state.orders:
        yield "<tr><td colspan=3 class=quiet>nobody has bought anything yet</tr>"


def _state(order: Order) -> Iterator[str]:
    yield "paid" if order.paid else "not paid"
    for word in ("shipped", "cancelled", "returned"):
        if count := sum(getattr(line, word) for line in order.lines):
            yield f"{count} {word}"


def _faults(faults: Faults) -> str:
    usual = msgspec.to_builtins(Faults())
    odd = {name: value for name, value in msgspec.to_builtins(faults).items() if value != usual[name]}
    if not odd:
        return ""
    return "<p>Faults: " + ", ".join(f"<code>{name} {escape(str(odd[name]))}</code>" for name in odd) + "</p>"
