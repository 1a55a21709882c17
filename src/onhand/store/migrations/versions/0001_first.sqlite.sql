-- The first tables, on SQLite. Frozen: what changes later is a migration of its own.
-- Statements end with a semicolon at the end of a line.

CREATE TABLE accounts (
    id INTEGER NOT NULL,
    name TEXT NOT NULL,
    seq INTEGER DEFAULT 0 NOT NULL,
    recorded_at INTEGER DEFAULT 0 NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (name)
) WITHOUT ROWID, STRICT;

CREATE TABLE counters (
    account INTEGER NOT NULL,
    name TEXT NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (account, name)
) WITHOUT ROWID, STRICT;

CREATE TABLE details (
    account INTEGER NOT NULL,
    dialect TEXT NOT NULL,
    kind TEXT NOT NULL,
    item INTEGER NOT NULL,
    other INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (account, dialect, kind, item, other)
) WITHOUT ROWID, STRICT;

CREATE TABLE external_ids (
    account INTEGER NOT NULL,
    space TEXT NOT NULL,
    kind TEXT NOT NULL,
    external TEXT NOT NULL,
    internal TEXT NOT NULL,
    PRIMARY KEY (account, space, kind, external),
    UNIQUE (account, space, kind, internal)
) WITHOUT ROWID, STRICT;

CREATE TABLE idempotency (
    account INTEGER NOT NULL,
    scope TEXT NOT NULL,
    "key" TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    status INTEGER,
    body TEXT,
    headers TEXT,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (account, scope, "key")
) WITHOUT ROWID, STRICT;

CREATE TABLE inbox (
    account INTEGER NOT NULL,
    id INTEGER NOT NULL,
    source TEXT NOT NULL,
    principal TEXT NOT NULL,
    body TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    PRIMARY KEY (account, id)
) WITHOUT ROWID, STRICT;

CREATE TABLE incidents (
    account INTEGER NOT NULL,
    id INTEGER NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    opened_at INTEGER NOT NULL,
    resolved_at INTEGER,
    item INTEGER,
    location INTEGER,
    watched INTEGER DEFAULT 0 NOT NULL,
    resolution TEXT,
    earlier TEXT DEFAULT '[]' NOT NULL,
    PRIMARY KEY (account, id)
) WITHOUT ROWID, STRICT;

CREATE INDEX incidents_watched ON incidents (account, item, location) WHERE watched = 1;

CREATE TABLE keys (
    dialect TEXT NOT NULL,
    lookup TEXT NOT NULL,
    secret_hash TEXT,
    account INTEGER NOT NULL,
    kind TEXT NOT NULL,
    principal TEXT NOT NULL,
    scopes TEXT DEFAULT '' NOT NULL,
    seller INTEGER,
    connection INTEGER,
    label TEXT DEFAULT '' NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER,
    PRIMARY KEY (dialect, lookup)
) WITHOUT ROWID, STRICT;

CREATE INDEX keys_account ON keys (account);

CREATE TABLE movements (
    account INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    item INTEGER NOT NULL,
    location INTEGER NOT NULL,
    version INTEGER NOT NULL,
    kind TEXT NOT NULL,
    on_hand INTEGER NOT NULL,
    reserved INTEGER NOT NULL,
    on_hand_after INTEGER NOT NULL,
    reserved_after INTEGER NOT NULL,
    infinite INTEGER DEFAULT 0 NOT NULL,
    present INTEGER DEFAULT 0 NOT NULL,
    reason TEXT,
    reference TEXT,
    caller TEXT NOT NULL,
    context TEXT,
    recorded_at INTEGER NOT NULL,
    effective_at INTEGER NOT NULL,
    PRIMARY KEY (account, seq)
) WITHOUT ROWID, STRICT;

CREATE INDEX movements_late ON movements (account, item, location, effective_at) WHERE effective_at < recorded_at;

CREATE UNIQUE INDEX movements_level ON movements (account, item, location, seq);

CREATE TABLE planned (
    account INTEGER NOT NULL,
    id INTEGER NOT NULL,
    due INTEGER NOT NULL,
    commands TEXT NOT NULL,
    caller TEXT NOT NULL,
    context TEXT,
    status TEXT DEFAULT 'waiting' NOT NULL,
    outcome TEXT,
    created_at INTEGER NOT NULL,
    ended_at INTEGER,
    PRIMARY KEY (account, id)
) WITHOUT ROWID, STRICT;

CREATE INDEX planned_due ON planned (due) WHERE status = 'waiting';

CREATE TABLE reservations (
    account INTEGER NOT NULL,
    reference TEXT NOT NULL,
    owner TEXT NOT NULL,
    confirmed INTEGER DEFAULT 0 NOT NULL,
    expires_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (account, reference)
) WITHOUT ROWID, STRICT;

CREATE TABLE wakeups (
    account INTEGER NOT NULL,
    kind TEXT NOT NULL,
    due INTEGER NOT NULL,
    PRIMARY KEY (account, kind)
) WITHOUT ROWID, STRICT;

CREATE TABLE connections (
    account INTEGER NOT NULL,
    id INTEGER NOT NULL,
    channel TEXT NOT NULL,
    integration TEXT,
    name TEXT NOT NULL,
    connector INTEGER DEFAULT 0 NOT NULL,
    locations TEXT DEFAULT '[]' NOT NULL,
    settings TEXT DEFAULT '{}' NOT NULL,
    secrets TEXT,
    rules TEXT DEFAULT '{}' NOT NULL,
    paused INTEGER DEFAULT 0 NOT NULL,
    unfinished INTEGER DEFAULT 0 NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (account, id),
    FOREIGN KEY(account) REFERENCES accounts (id)
) WITHOUT ROWID, STRICT;

CREATE TABLE items (
    account INTEGER NOT NULL,
    id INTEGER NOT NULL,
    sku TEXT,
    name TEXT,
    parent INTEGER,
    active INTEGER DEFAULT 1 NOT NULL,
    kit INTEGER DEFAULT 0 NOT NULL,
    price TEXT,
    cost TEXT,
    currency TEXT,
    barcodes TEXT DEFAULT '{}' NOT NULL,
    image_url TEXT,
    measurements TEXT DEFAULT '{}' NOT NULL,
    tags TEXT DEFAULT '[]' NOT NULL,
    categories TEXT DEFAULT '[]' NOT NULL,
    attributes TEXT DEFAULT '{}' NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (account, id),
    UNIQUE (account, sku),
    FOREIGN KEY(account) REFERENCES accounts (id)
) WITHOUT ROWID, STRICT;

CREATE INDEX items_parent ON items (account, parent) WHERE parent IS NOT NULL;

CREATE TABLE reservation_lines (
    account INTEGER NOT NULL,
    reference TEXT NOT NULL,
    line INTEGER NOT NULL,
    item INTEGER NOT NULL,
    location INTEGER NOT NULL,
    held INTEGER NOT NULL,
    shipped INTEGER NOT NULL,
    released INTEGER NOT NULL,
    expired INTEGER NOT NULL,
    returned INTEGER NOT NULL,
    kit INTEGER,
    per INTEGER NOT NULL,
    expires_at INTEGER,
    PRIMARY KEY (account, reference, line),
    FOREIGN KEY(account, reference) REFERENCES reservations (account, reference)
) WITHOUT ROWID, STRICT;

CREATE INDEX reservation_lines_held ON reservation_lines (account, item, location, expires_at) WHERE held > 0;

CREATE TABLE sellers (
    account INTEGER NOT NULL,
    id INTEGER NOT NULL,
    name TEXT NOT NULL,
    own INTEGER DEFAULT 0 NOT NULL,
    default_location INTEGER,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (account, id),
    FOREIGN KEY(account) REFERENCES accounts (id)
) WITHOUT ROWID, STRICT;

CREATE TABLE drives (
    account INTEGER NOT NULL,
    connection INTEGER NOT NULL,
    owner TEXT DEFAULT '' NOT NULL,
    until INTEGER DEFAULT 0 NOT NULL,
    orders_cursor TEXT,
    polled_at INTEGER,
    pull_cursor TEXT,
    swept_at INTEGER,
    open_until INTEGER,
    failures INTEGER DEFAULT 0 NOT NULL,
    words TEXT,
    stats TEXT DEFAULT '{}' NOT NULL,
    hints TEXT,
    PRIMARY KEY (account, connection),
    FOREIGN KEY(account, connection) REFERENCES connections (account, id)
) WITHOUT ROWID, STRICT;

CREATE TABLE kit_components (
    account INTEGER NOT NULL,
    kit INTEGER NOT NULL,
    component INTEGER NOT NULL,
    quantity INTEGER NOT NULL,
    PRIMARY KEY (account, kit, component),
    FOREIGN KEY(account, kit) REFERENCES items (account, id),
    FOREIGN KEY(account, component) REFERENCES items (account, id),
    CONSTRAINT kit_components_quantity CHECK (quantity > 0)
) WITHOUT ROWID, STRICT;

CREATE TABLE listings (
    account INTEGER NOT NULL,
    id INTEGER NOT NULL,
    connection INTEGER NOT NULL,
    external_id TEXT NOT NULL,
    item INTEGER NOT NULL,
    location INTEGER,
    status TEXT DEFAULT 'open' NOT NULL,
    closes_at_zero INTEGER DEFAULT 0 NOT NULL,
    attributes TEXT DEFAULT '{}' NOT NULL,
    ids TEXT DEFAULT '{}' NOT NULL,
    sku TEXT,
    notes TEXT DEFAULT '{}' NOT NULL,
    rules TEXT DEFAULT '{}' NOT NULL,
    writable INTEGER DEFAULT 1 NOT NULL,
    parked TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (account, id),
    UNIQUE (account, connection, external_id),
    FOREIGN KEY(account, connection) REFERENCES connections (account, id),
    FOREIGN KEY(account, item) REFERENCES items (account, id)
) WITHOUT ROWID, STRICT;

CREATE INDEX listings_level ON listings (account, item, location);

CREATE INDEX listings_parked ON listings (account, connection) WHERE parked IS NOT NULL;

CREATE INDEX listings_sku ON listings (account, connection, sku) WHERE sku IS NOT NULL;

CREATE TABLE locations (
    account INTEGER NOT NULL,
    id INTEGER NOT NULL,
    name TEXT NOT NULL,
    kind TEXT DEFAULT 'stock' NOT NULL,
    seller INTEGER NOT NULL,
    active INTEGER DEFAULT 1 NOT NULL,
    attributes TEXT DEFAULT '{}' NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (account, id),
    UNIQUE (account, name),
    FOREIGN KEY(account, seller) REFERENCES sellers (account, id),
    CONSTRAINT locations_kind CHECK (kind IN ('stock', 'held', 'mirrored'))
) WITHOUT ROWID, STRICT;

CREATE TABLE orders (
    account INTEGER NOT NULL,
    connection INTEGER NOT NULL,
    external_id TEXT NOT NULL,
    reference TEXT NOT NULL,
    name TEXT DEFAULT '' NOT NULL,
    updated INTEGER NOT NULL,
    holds INTEGER DEFAULT 1 NOT NULL,
    lines TEXT NOT NULL,
    waiting INTEGER DEFAULT 0 NOT NULL,
    first_seen_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (account, connection, external_id),
    FOREIGN KEY(account, connection) REFERENCES connections (account, id)
) WITHOUT ROWID, STRICT;

CREATE INDEX orders_reference ON orders (account, reference);

CREATE INDEX orders_waiting ON orders (account, connection) WHERE waiting = 1;

CREATE TABLE prices (
    account INTEGER NOT NULL,
    item INTEGER NOT NULL,
    seller INTEGER NOT NULL,
    price TEXT,
    sale_price TEXT,
    currency TEXT,
    PRIMARY KEY (account, item, seller),
    FOREIGN KEY(account, item) REFERENCES items (account, id),
    FOREIGN KEY(account, seller) REFERENCES sellers (account, id)
) WITHOUT ROWID, STRICT;

CREATE TABLE drifts (
    account INTEGER NOT NULL,
    id INTEGER NOT NULL,
    listing INTEGER NOT NULL,
    place TEXT DEFAULT '' NOT NULL,
    cause TEXT NOT NULL,
    wanted INTEGER,
    acknowledged INTEGER,
    observed INTEGER,
    found_at INTEGER NOT NULL,
    healed_at INTEGER,
    PRIMARY KEY (account, listing, id),
    FOREIGN KEY(account, listing) REFERENCES listings (account, id)
) WITHOUT ROWID, STRICT;

CREATE UNIQUE INDEX drifts_id ON drifts (account, id);

CREATE INDEX drifts_open ON drifts (account, listing) WHERE healed_at IS NULL;

CREATE TABLE feeds (
    account INTEGER NOT NULL,
    item INTEGER NOT NULL,
    location INTEGER NOT NULL,
    listing INTEGER NOT NULL,
    PRIMARY KEY (account, item, location, listing),
    FOREIGN KEY(account, listing) REFERENCES listings (account, id)
) WITHOUT ROWID, STRICT;

CREATE TABLE levels (
    account INTEGER NOT NULL,
    item INTEGER NOT NULL,
    location INTEGER NOT NULL,
    on_hand INTEGER NOT NULL,
    reserved INTEGER NOT NULL,
    infinite INTEGER DEFAULT 0 NOT NULL,
    present INTEGER DEFAULT 0 NOT NULL,
    version INTEGER NOT NULL,
    next_expiry INTEGER,
    PRIMARY KEY (account, item, location),
    FOREIGN KEY(account, item) REFERENCES items (account, id),
    FOREIGN KEY(account, location) REFERENCES locations (account, id),
    CONSTRAINT levels_on_hand CHECK (on_hand BETWEEN -1000000000000 AND 1000000000000),
    CONSTRAINT levels_reserved CHECK (reserved BETWEEN 0 AND 1000000000000)
) WITHOUT ROWID, STRICT;

CREATE INDEX levels_location ON levels (account, location);

CREATE INDEX levels_next_expiry ON levels (next_expiry) WHERE next_expiry IS NOT NULL;

CREATE TABLE outbox (
    account INTEGER NOT NULL,
    listing INTEGER NOT NULL,
    connection INTEGER NOT NULL,
    since INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    due INTEGER NOT NULL,
    attempts INTEGER DEFAULT 0 NOT NULL,
    marks INTEGER DEFAULT 0 NOT NULL,
    marked_at INTEGER DEFAULT 0 NOT NULL,
    PRIMARY KEY (account, listing),
    FOREIGN KEY(account, listing) REFERENCES listings (account, id)
) WITHOUT ROWID, STRICT;

CREATE INDEX outbox_due ON outbox (account, connection, due);

CREATE TABLE slots (
    account INTEGER NOT NULL,
    listing INTEGER NOT NULL,
    place TEXT DEFAULT '' NOT NULL,
    locations TEXT DEFAULT '[]' NOT NULL,
    wanted INTEGER,
    wanted_at INTEGER,
    acknowledged INTEGER,
    acknowledged_at INTEGER,
    observed INTEGER,
    observed_at INTEGER,
    token TEXT,
    committed INTEGER DEFAULT 0 NOT NULL,
    PRIMARY KEY (account, listing, place),
    FOREIGN KEY(account, listing) REFERENCES listings (account, id)
) WITHOUT ROWID, STRICT;
