"""The tables of what goes out to channels and comes back: slots, the outbox, drives, orders, incidents."""

from __future__ import annotations

from sqlalchemy import Index, PrimaryKeyConstraint, text

from onhand.store.columns import account, big, flag, string, table, to

# Which levels feed which listing: the road from a movement to the listings it makes stale.
feeds = table(
    "feeds",
    account(),
    big("item"),
    big("location"),
    big("listing"),
    PrimaryKeyConstraint("account", "item", "location", "listing"),
    to("account listing", "listings"),
)

# One number that a listing shows: at a place of the channel ("" where it has none), fed by locations of
# ours (a JSON list of ids), with what should be shown, what was confirmed, and what was seen, and when.
slots = table(
    "slots",
    account(),
    big("listing"),
    string("place", default=""),
    string("locations", default="[]"),
    big("wanted", null=True),
    big("wanted_at", null=True),
    big("acknowledged", null=True),
    big("acknowledged_at", null=True),
    big("observed", null=True),
    big("observed_at", null=True),
    string("token", null=True),
    big("committed", default=0),
    PrimaryKeyConstraint("account", "listing", "place"),
    to("account listing", "listings"),
)

# A listing that is stale, never what to send: ``since`` is the first movement that nobody has told the
# channel of, ``seq`` the last, ``marks`` counts how often it was marked (a rule or a person marks without
# a movement), ``marked_at`` is when it became stale, ``words`` why it was put off last. What is to be sent is
# computed when it is sent.
outbox = table(
    "outbox",
    account(),
    big("listing"),
    big("connection"),
    big("since"),
    big("seq"),
    big("due"),
    big("attempts", default=0),
    big("marks", default=0),
    big("marked_at", default=0),
    string("words", null=True),
    PrimaryKeyConstraint("account", "listing"),
    to("account listing", "listings"),
    Index("outbox_due", "account", "connection", "due"),
)

# Who drives a connection and until when (who connects it, where ``until`` is 0), where its polls stand, and
# how it goes: ``stats`` is a JSON object of lags and counts, ``hints`` a JSON array of what webhooks said to
# look at. Apart from `connections`, so that a lease renewed every few seconds touches no setting.
drives = table(
    "drives",
    account(),
    big("connection"),
    string("owner", default=""),
    big("until", default=0),
    string("orders_cursor", null=True),
    big("polled_at", null=True),
    string("pull_cursor", null=True),
    big("swept_at", null=True),
    big("open_until", null=True),
    big("failures", default=0),
    string("words", null=True),
    string("stats", default="{}"),
    string("hints", null=True),
    PrimaryKeyConstraint("account", "connection"),
    to("account connection", "connections"),
)

# A channel's order as it was last seen: counts per line as JSON, and the channel's own time of change.
# ``waiting`` is set while a line of it has no item, stock or location of ours to stand on.
orders = table(
    "orders",
    account(),
    big("connection"),
    string("external_id"),
    string("reference"),
    string("name", default=""),
    big("updated"),
    flag("holds", 1),
    string("lines"),
    flag("waiting"),
    big("first_seen_at"),
    big("seen_at"),
    PrimaryKeyConstraint("account", "connection", "external_id"),
    to("account connection", "connections"),
    Index("orders_reference", "account", "reference"),
    Index(
        "orders_waiting",
        "account",
        "connection",
        sqlite_where=text("waiting = 1"),
        postgresql_where=text("waiting = 1"),
    ),
)

# A channel that showed another number than it had confirmed: why, and when it was put right.
drifts = table(
    "drifts",
    account(),
    big("id"),
    big("listing"),
    string("place", default=""),
    string("cause"),
    big("wanted", null=True),
    big("acknowledged", null=True),
    big("observed", null=True),
    big("found_at"),
    big("healed_at", null=True),
    PrimaryKeyConstraint("account", "listing", "id"),
    to("account listing", "listings"),
    Index("drifts_id", "account", "id", unique=True),
    Index(
        "drifts_open",
        "account",
        "listing",
        sqlite_where=text("healed_at IS NULL"),
        postgresql_where=text("healed_at IS NULL"),
    ),
)

# What went wrong where nobody waited for an answer. One of an oversold level has its ``item`` and
# ``location`` and is ``watched``: the level decides when it ends, and for some days whether it opens again.
# ``resolution`` says how it ended, ``earlier`` the times before; both are JSON.
incidents = table(
    "incidents",
    account(),
    big("id"),
    string("kind"),
    string("body"),
    big("opened_at"),
    big("resolved_at", null=True),
    big("item", null=True),
    big("location", null=True),
    flag("watched"),
    string("resolution", null=True),
    string("earlier", default="[]"),
    PrimaryKeyConstraint("account", "id"),
    Index(
        "incidents_watched",
        "account",
        "item",
        "location",
        sqlite_where=text("watched = 1"),
        postgresql_where=text("watched = 1"),
    ),
)
