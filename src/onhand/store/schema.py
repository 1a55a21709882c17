"""The tables. Every primary key starts with the account, but for `keys`, which finds the account.

Only whole numbers and text are stored: money is exact decimal text, times are microseconds UTC,
truth is 0 or 1, and structures are JSON text. On SQLite the tables are STRICT.
"""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    PrimaryKeyConstraint,
    UniqueConstraint,
    text,
)

from onhand.stock.model import QUANTITY_LIMIT
from onhand.store.columns import account, big, flag, string, table, to

accounts = table(
    "accounts",
    big("id"),
    string("name"),
    big("seq", default=0),
    big("recorded_at", default=0),
    big("created_at"),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("name"),
)

keys = table(
    "keys",
    string("dialect"),
    string("lookup"),
    string("secret_hash", null=True),
    account(),
    string("kind"),
    string("principal"),
    string("scopes", default=""),
    big("seller", null=True),
    big("connection", null=True),
    string("label", default=""),
    big("created_at"),
    big("expires_at", null=True),
    big("revoked_at", null=True),
    PrimaryKeyConstraint("dialect", "lookup"),
    Index("keys_account", "account"),
)

wakeups = table(
    "wakeups",
    account(),
    string("kind"),
    big("due"),
    PrimaryKeyConstraint("account", "kind"),
)

counters = table(
    "counters",
    account(),
    string("name"),
    big("value"),
    PrimaryKeyConstraint("account", "name"),
)

sellers = table(
    "sellers",
    account(),
    big("id"),
    string("name"),
    flag("own"),
    big("default_location", null=True),
    big("created_at"),
    PrimaryKeyConstraint("account", "id"),
    ForeignKeyConstraint(["account"], ["accounts.id"]),
)

locations = table(
    "locations",
    account(),
    big("id"),
    string("name"),
    string("kind", default="stock"),
    big("seller"),
    flag("active", 1),
    string("attributes", default="{}"),
    big("created_at"),
    PrimaryKeyConstraint("account", "id"),
    UniqueConstraint("account", "name"),
    to("account seller", "sellers"),
    CheckConstraint("kind IN ('stock', 'held', 'mirrored')", name="locations_kind"),
)

items = table(
    "items",
    account(),
    big("id"),
    string("sku", null=True),
    string("name", null=True),
    big("parent", null=True),
    flag("active", 1),
    flag("kit"),
    string("price", null=True),
    string("cost", null=True),
    string("currency", null=True),
    string("barcodes", default="{}"),
    string("image_url", null=True),
    string("measurements", default="{}"),
    string("tags", default="[]"),
    string("categories", default="[]"),
    string("attributes", default="{}"),
    big("created_at"),
    big("updated_at"),
    PrimaryKeyConstraint("account", "id"),
    UniqueConstraint("account", "sku"),
    ForeignKeyConstraint(["account"], ["accounts.id"]),
    Index(
        "items_parent",
        "account",
        "parent",
        sqlite_where=text("parent IS NOT NULL"),
        postgresql_where=text("parent IS NOT NULL"),
    ),
)

kit_components = table(
    "kit_components",
    account(),
    big("kit"),
    big("component"),
    big("quantity"),
    PrimaryKeyConstraint("account", "kit", "component"),
    to("account kit", "items"),
    to("account component", "items"),
    CheckConstraint("quantity > 0", name="kit_components_quantity"),
)

# A row at version 0 is only a lock: it is no level, and every read leaves it out.
levels = table(
    "levels",
    account(),
    big("item"),
    big("location"),
    big("on_hand"),
    big("reserved"),
    flag("infinite"),
    flag("present"),
    big("version"),
    big("next_expiry", null=True),
    PrimaryKeyConstraint("account", "item", "location"),
    to("account item", "items"),
    to("account location", "locations"),
    CheckConstraint(f"on_hand BETWEEN -{QUANTITY_LIMIT} AND {QUANTITY_LIMIT}", name="levels_on_hand"),
    CheckConstraint(f"reserved BETWEEN 0 AND {QUANTITY_LIMIT}", name="levels_reserved"),
    Index(
        "levels_next_expiry",
        "next_expiry",
        sqlite_where=text("next_expiry IS NOT NULL"),
        postgresql_where=text("next_expiry IS NOT NULL"),
    ),
    Index("levels_location", "account", "location"),
)

movements = table(
    "movements",
    account(),
    big("seq"),
    big("item"),
    big("location"),
    big("version"),
    string("kind"),
    big("on_hand"),
    big("reserved"),
    big("on_hand_after"),
    big("reserved_after"),
    flag("infinite"),
    flag("present"),
    string("reason", null=True),
    string("reference", null=True),
    string("caller"),
    string("context", null=True),
    big("recorded_at"),
    big("effective_at"),
    PrimaryKeyConstraint("account", "seq"),
    Index("movements_level", "account", "item", "location", "seq", unique=True),
    # As-of by time needs the few entries that took effect before they were written.
    Index(
        "movements_late",
        "account",
        "item",
        "location",
        "effective_at",
        sqlite_where=text("effective_at < recorded_at"),
        postgresql_where=text("effective_at < recorded_at"),
    ),
)

reservations = table(
    "reservations",
    account(),
    string("reference"),
    string("owner"),
    flag("confirmed"),
    big("expires_at", null=True),
    big("created_at"),
    big("updated_at"),
    PrimaryKeyConstraint("account", "reference"),
)

reservation_lines = table(
    "reservation_lines",
    account(),
    string("reference"),
    big("line"),
    big("item"),
    big("location"),
    big("held"),
    big("shipped"),
    big("released"),
    big("expired"),
    big("returned"),
    big("kit", null=True),
    big("per"),
    big("expires_at", null=True),
    PrimaryKeyConstraint("account", "reference", "line"),
    to("account reference", "reservations", "account reference"),
    Index(
        "reservation_lines_held",
        "account",
        "item",
        "location",
        "expires_at",
        sqlite_where=text("held > 0"),
        postgresql_where=text("held > 0"),
    ),
)

prices = table(
    "prices",
    account(),
    big("item"),
    big("seller"),
    string("price", null=True),
    string("sale_price", null=True),
    string("currency", null=True),
    PrimaryKeyConstraint("account", "item", "seller"),
    to("account item", "items"),
    to("account seller", "sellers"),
)

# What a dialect keeps about a place, a listing or an order that the ledger has no word for.
details = table(
    "details",
    account(),
    string("dialect"),
    string("kind"),
    big("item"),
    big("other"),
    string("body"),
    PrimaryKeyConstraint("account", "dialect", "kind", "item", "other"),
)

connections = table(
    "connections",
    account(),
    big("id"),
    string("channel"),
    string("integration", null=True),
    string("name"),
    flag("connector"),
    string("locations", default="[]"),
    string("settings", default="{}"),
    string("secrets", null=True),
    string("rules", default="{}"),
    flag("paused"),
    flag("unfinished"),
    big("created_at"),
    PrimaryKeyConstraint("account", "id"),
    ForeignKeyConstraint(["account"], ["accounts.id"]),
)

listings = table(
    "listings",
    account(),
    big("id"),
    big("connection"),
    string("external_id"),
    big("item"),
    big("location", null=True),
    string("status", default="open"),
    flag("closes_at_zero"),
    string("attributes", default="{}"),
    string("ids", default="{}"),
    string("sku", null=True),
    string("notes", default="{}"),
    string("rules", default="{}"),
    flag("writable", 1),
    string("parked", null=True),
    big("created_at"),
    big("updated_at"),
    PrimaryKeyConstraint("account", "id"),
    UniqueConstraint("account", "connection", "external_id"),
    to("account connection", "connections"),
    to("account item", "items"),
    Index("listings_level", "account", "item", "location"),
    Index("listings_connection", "account", "connection", "id"),
    Index(
        "listings_sku",
        "account",
        "connection",
        "sku",
        sqlite_where=text("sku IS NOT NULL"),
        postgresql_where=text("sku IS NOT NULL"),
    ),
    Index(
        "listings_parked",
        "account",
        "connection",
        sqlite_where=text("parked IS NOT NULL"),
        postgresql_where=text("parked IS NOT NULL"),
    ),
)

inbox = table(
    "inbox",
    account(),
    big("id"),
    string("source"),
    string("principal"),
    string("body"),
    big("received_at"),
    PrimaryKeyConstraint("account", "id"),
)

planned = table(
    "planned",
    account(),
    big("id"),
    big("due"),
    string("commands"),
    string("caller"),
    string("context", null=True),
    string("status", default="waiting"),
    string("outcome", null=True),
    big("created_at"),
    big("ended_at", null=True),
    PrimaryKeyConstraint("account", "id"),
    Index(
        "planned_due",
        "due",
        sqlite_where=text("status = 'waiting'"),
        postgresql_where=text("status = 'waiting'"),
    ),
)

external_ids = table(
    "external_ids",
    account(),
    string("space"),
    string("kind"),
    string("external"),
    string("internal"),
    PrimaryKeyConstraint("account", "space", "kind", "external"),
    UniqueConstraint("account", "space", "kind", "internal"),
)

idempotency = table(
    "idempotency",
    account(),
    string("scope"),
    string("key"),
    string("fingerprint"),
    big("status", null=True),
    string("body", null=True),
    string("headers", null=True),
    big("created_at"),
    PrimaryKeyConstraint("account", "scope", "key"),
    # What to prune is found without a look at the keys, which are there for ever.
    Index(
        "idempotency_bodies",
        "account",
        "created_at",
        sqlite_where=text("body IS NOT NULL"),
        postgresql_where=text("body IS NOT NULL"),
    ),
    appended=True,
)

OUTSIDE = frozenset({"accounts", "keys", "wakeups"})
"""Tables whose rows of all accounts are seen: they are read before an account is known."""
