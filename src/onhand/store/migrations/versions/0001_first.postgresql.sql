-- The first tables, on PostgreSQL. Frozen: what changes later is a migration of its own.
-- Statements end with a semicolon at the end of a line.

CREATE TABLE accounts (
    id BIGINT NOT NULL,
    name TEXT NOT NULL,
    seq BIGINT DEFAULT 0 NOT NULL,
    recorded_at BIGINT DEFAULT 0 NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (name)
);

CREATE TABLE counters (
    account BIGINT NOT NULL,
    name TEXT NOT NULL,
    value BIGINT NOT NULL,
    PRIMARY KEY (account, name)
);

ALTER TABLE counters ENABLE ROW LEVEL SECURITY;

ALTER TABLE counters FORCE ROW LEVEL SECURITY;

CREATE POLICY account ON counters USING
    (account = NULLIF(current_setting('onhand.account', true), '')::bigint);

CREATE TABLE details (
    account BIGINT NOT NULL,
    dialect TEXT NOT NULL,
    kind TEXT NOT NULL,
    item BIGINT NOT NULL,
    other BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (account, dialect, kind, item, other)
);

ALTER TABLE details ENABLE ROW LEVEL SECURITY;

ALTER TABLE details FORCE ROW LEVEL SECURITY;

CREATE POLICY account ON details USING
    (account = NULLIF(current_setting('onhand.account', true), '')::bigint);

CREATE TABLE external_ids (
    account BIGINT NOT NULL,
    space TEXT NOT NULL,
    kind TEXT NOT NULL,
    external TEXT NOT NULL,
    internal TEXT NOT NULL,
    PRIMARY KEY (account, space, kind, external),
    UNIQUE (account, space, kind, internal)
);

ALTER TABLE external_ids ENABLE ROW LEVEL SECURITY;

ALTER TABLE external_ids FORCE ROW LEVEL SECURITY;

CREATE POLICY account ON external_ids USING
    (account = NULLIF(current_setting('onhand.account', true), '')::bigint);

CREATE TABLE idempotency (
    account BIGINT NOT NULL,
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    status BIGINT,
    body TEXT,
    headers TEXT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account, scope, key)
);

ALTER TABLE idempotency ENABLE ROW LEVEL SECURITY;

ALTER TABLE idempotency FORCE ROW LEVEL SECURITY;

CREATE POLICY account ON idempotency USING
    (account = NULLIF(current_setting('onhand.account', true), '')::bigint);

CREATE TABLE inbox (
    account BIGINT NOT NULL,
    id BIGINT NOT NULL,
    source TEXT NOT NULL,
    principal TEXT NOT NULL,
    body TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    PRIMARY KEY (account, id)
);

ALTER TABLE inbox ENABLE ROW LEVEL SECURITY;

ALTER TABLE inbox FORCE ROW LEVEL SECURITY;

CREATE POLICY account ON inbox USING
    (account = NULLIF(current_setting('onhand.account', true), '')::bigint);

CREATE TABLE incidents (
    account BIGINT NOT NULL,
    id BIGINT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    opened_at BIGINT NOT NULL,
    resolved_at BIGINT,
    item BIGINT,
    location BIGINT,
    watched SMALLINT DEFAULT 0 NOT NULL,
    resolution TEXT,
    earlier TEXT DEFAULT '[]' NOT NULL,
    PRIMARY KEY (account, id)
);

CREATE INDEX incidents_watched ON incidents (account, item, location) WHERE watched = 1;

ALTER TABLE incidents ENABLE ROW LEVEL SECURITY;

ALTER TABLE incidents FORCE ROW LEVEL SECURITY;

CREATE POLICY account ON incidents USING
    (account = NULLIF(current_setting('onhand.account', true), '')::bigint);

CREATE TABLE keys (
    dialect TEXT NOT NULL,
    lookup TEXT NOT NULL,
    secret_hash TEXT,
    account BIGINT NOT NULL,
    kind TEXT NOT NULL,
    principal TEXT NOT NULL,
    scopes TEXT DEFAULT '' NOT NULL,
    seller BIGINT,
    connection BIGINT,
    label TEXT DEFAULT '' NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT,
    PRIMARY KEY (dialect, lookup)
);

CREATE INDEX keys_account ON keys (account);

CREATE TABLE movements (
    account BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    item BIGINT NOT NULL,
    location BIGINT NOT NULL,
    version BIGINT NOT NULL,
    kind TEXT NOT NULL,
    on_hand BIGINT NOT NULL,
    reserved BIGINT NOT NULL,
    on_hand_after BIGINT NOT NULL,
    reserved_after BIGINT NOT NULL,
    infinite SMALLINT DEFAULT 0 NOT NULL,
    present SMALLINT DEFAULT 0 NOT NULL,
    reason TEXT,
    reference TEXT,
    caller TEXT NOT NULL,
    context TEXT,
    recorded_at BIGINT NOT NULL,
    effective_at BIGINT NOT NULL,
    PRIMARY KEY (account, seq)
);

CREATE INDEX movements_late ON movements (account, item, location, effective_at) WHERE effective_at < recorded_at;

CREATE UNIQUE INDEX movements_level ON movements (account, item, location, seq);

ALTER TABLE movements ENABLE ROW LEVEL SECURITY;

ALTER TABLE movements FORCE ROW LEVEL SECURITY;

CREATE POLICY account ON movements USING
    (account = NULLIF(current_setting('onhand.account', true), '')::bigint);

CREATE TABLE planned (
    account BIGINT NOT NULL,
    id BIGINT NOT NULL,
    due BIGINT NOT NULL,
    commands TEXT NOT NULL,
    caller TEXT NOT NULL,
    context TEXT,
    status TEXT DEFAULT 'waiting' NOT NULL,
    outcome TEXT,
    created_at BIGINT NOT NULL,
    ended_at BIGINT,
    PRIMARY KEY (account, id)
);

CREATE INDEX planned_due ON planned (due) WHERE status = 'waiting';

ALTER TABLE planned ENABLE ROW LEVEL SECURITY;

ALTER TABLE planned FORCE ROW LEVEL SECURITY;

CREATE POLICY account ON planned USING
    (account = NULLIF(current_setting('onhand.account', true), '')::bigint);

CREATE TABLE reservations (
    account BIGINT NOT NULL,
    reference TEXT NOT NULL,
    owner TEXT NOT NULL,
    confirmed SMALLINT DEFAULT 0 NOT NULL,
    expires_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (account, reference)
);

ALTER TABLE reservations ENABLE ROW LEVEL SECURITY;

ALTER TABLE reservations FORCE ROW LEVEL SECURITY;

CREATE POLICY account ON reservations USING
    (account = NULLIF(current_setting('onhand.account', true), '')::bigint);

CREATE TABLE wakeups (
    account BIGINT NOT NULL,
    kind TEXT NOT NULL,
    due BIGINT NOT NULL,
    PRIMARY KEY (account, kind)
);

CREATE TABLE connections (
    account BIGINT NOT NULL,
    id BIGINT NOT NULL,
    channel TEXT NOT NULL,
    integration TEXT,
    name TEXT NOT NULL,
    connector SMALLINT DEFAULT 0 NOT NULL,
    locations TEXT DEFAULT '[]' NOT NULL,
    settings TEXT DEFAULT '{}' NOT NULL,
    secrets TEXT,
    rules TEXT DEFAULT '{}' NOT NULL,
    paused SMALLINT DEFAULT 0 NOT NULL,
    unfinished SMALLINT DEFAULT 0 NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account, id),
    FOREIGN KEY(account) REFERENCES accounts (id)
);

ALTER TABLE connections ENABLE ROW LEVEL SECURITY;

ALTER TABLE connections FORCE ROW LEVEL SECURITY;

CREATE POLICY account ON connections USING
    (account = NULLIF(current_setting('onhand.account', true), '')::bigint);

CREATE TABLE items (
    account BIGINT NOT NULL,
    id BIGINT NOT NULL,
    sku TEXT,
    name TEXT,
    parent BIGINT,
    active SMALLINT DEFAULT 1 NOT NULL,
    kit SMALLINT DEFAULT 0 NOT NULL,
    price TEXT,
    cost TEXT,
    currency TEXT,
    barcodes TEXT DEFAULT '{}' NOT NULL,
    image_url TEXT,
    measurements TEXT DEFAULT '{}' NOT NULL,
    tags TEXT DEFAULT '[]' NOT NULL,
    categories TEXT DEFAULT '[]' NOT NULL,
    attributes TEXT DEFAULT '{}' NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (account, id),
    UNIQUE (account, sku),
    FOREIGN KEY(account) REFERENCES accounts (id)
);

CREATE INDEX items_parent ON items (account, parent) WHERE parent IS NOT NULL;

ALTER TABLE items ENABLE ROW LEVEL SECURITY;

ALTER TABLE items FORCE ROW LEVEL SECURITY;

CREATE POLICY account ON items USING
    (account = NULLIF(current_setting('onhand.account', true), '')::bigint);

CREATE TABLE reservation_lines (
    account BIGINT NOT NULL,
    reference TEXT NOT NULL,
    line BIGINT NOT NULL,
    item BIGINT NOT NULL,
    location BIGINT NOT NULL,
    held BIGINT NOT NULL,
    shipped BIGINT NOT NULL,
    released BIGINT NOT NULL,
    expired BIGINT NOT NULL,
    returned BIGINT NOT NULL,
    kit BIGINT,
    per BIGINT NOT NULL,
    expires_at BIGINT,
    PRIMARY KEY (account, reference, line),
    FOREIGN KEY(account, reference) REFERENCES reservations (account, reference)
);

CREATE INDEX reservation_lines_held ON reservation_lines (account, item, location, expires_at) WHERE held > 0;

ALTER TABLE reservation_lines ENABLE ROW LEVEL SECURITY;

ALTER TABLE reservation_lines FORCE ROW LEVEL SECURITY;

CREATE POLICY account ON reservation_lines USING
    (account = NULLIF(current_setting('onhand.account', true), '')::bigint);

CREATE TABLE sellers (
    account BIGINT NOT NULL,
    id BIGINT NOT NULL,
    name TEXT NOT NULL,
    own SMALLINT DEFAULT 0 NOT NULL,
    default_location BIGINT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account, id),
    FOREIGN KEY(account) REFERENCES accounts (id)
);

ALTER TABLE sellers ENABLE ROW LEVEL SECURITY;

ALTER TABLE sellers FORCE ROW LEVEL SECURITY;

CREATE POLICY account ON sellers USING
    (account = NULLIF(current_setting('onhand.account', true), '')::bigint);

CREATE TABLE drives (
    account BIGINT NOT NULL,
    connection BIGINT NOT NULL,
    owner TEXT DEFAULT '' NOT NULL,
    until BIGINT DEFAULT 0 NOT NULL,
    orders_cursor TEXT,
    polled_at BIGINT,
    pull_cursor TEXT,
    swept_at BIGINT,
    open_until BIGINT,
    failures BIGINT DEFAULT 0 NOT NULL,
    words TEXT,
    stats TEXT DEFAULT '{}' NOT NULL,
    hints TEXT,
    PRIMARY KEY (account, connection),
    FOREIGN KEY(account, connection) REFERENCES connections (account, id)
);

ALTER TABLE drives ENABLE ROW LEVEL SECURITY;

ALTER TABLE drives FORCE ROW LEVEL SECURITY;

CREATE POLICY account ON drives USING
    (account = NULLIF(current_setting('onhand.account', true), '')::bigint);

CREATE TABLE kit_components (
    account BIGINT NOT NULL,
    kit BIGINT NOT NULL,
    component BIGINT NOT NULL,
    quantity BIGINT NOT NULL,
    PRIMARY KEY (account, kit, component),
    FOREIGN KEY(account, kit) REFERENCES items (account, id),
    FOREIGN KEY(account, component) REFERENCES items (account, id),
    CONSTRAINT kit_components_quantity CHECK (quantity > 0)
);

ALTER TABLE kit_components ENABLE ROW LEVEL SECURITY;

ALTER TABLE kit_components FORCE ROW LEVEL SECURITY;

CREATE POLICY account ON kit_components USING
    (account = NULLIF(current_setting('onhand.account', true), '')::bigint);

CREATE TABLE listings (
    account BIGINT NOT NULL,
    id BIGINT NOT NULL,
    connection BIGINT NOT NULL,
    external_id TEXT NOT NULL,
    item BIGINT NOT NULL,
    location BIGINT,
    status TEXT DEFAULT 'open' NOT NULL,
    closes_at_zero SMALLINT DEFAULT 0 NOT NULL,
    attributes TEXT DEFAULT '{}' NOT NULL,
    ids TEXT DEFAULT '{}' NOT NULL,
    sku TEXT,
    notes TEXT DEFAULT '{}' NOT NULL,
    rules TEXT DEFAULT '{}' NOT NULL,
    writable SMALLINT DEFAULT 1 NOT NULL,
    parked TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (account, id),
    UNIQUE (account, connection, external_id),
    FOREIGN KEY(account, connection) REFERENCES connections (account, id),
    FOREIGN KEY(account, item) REFERENCES items (account, id)
);

CREATE INDEX listings_level ON listings (account, item, location);

CREATE INDEX listings_parked ON listings (account, connection) WHERE parked IS NOT NULL;

CREATE INDEX listings_sku ON listings (account, connection, sku) WHERE sku IS NOT NULL;

ALTER TABLE listings ENABLE ROW LEVEL SECURITY;

ALTER TABLE listings FORCE ROW LEVEL SECURITY;

CREATE POLICY account ON listings USING
    (account = NULLIF(current_setting('onhand.account', true), '')::bigint);

CREATE TABLE locations (
    account BIGINT NOT NULL,
    id BIGINT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT DEFAULT 'stock' NOT NULL,
    seller BIGINT NOT NULL,
    active SMALLINT DEFAULT 1 NOT NULL,
    attributes TEXT DEFAULT '{}' NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account, id),
    UNIQUE (account, name),
    FOREIGN KEY(account, seller) REFERENCES sellers (account, id),
    CONSTRAINT locations_kind CHECK (kind IN ('stock', 'held', 'mirrored'))
);

ALTER TABLE locations ENABLE ROW LEVEL SECURITY;

ALTER TABLE locations FORCE ROW LEVEL SECURITY;

CREATE POLICY account ON locations USING
    (account = NULLIF(current_setting('onhand.account', true), '')::bigint);

CREATE TABLE orders (
    account BIGINT NOT NULL,
    connection BIGINT NOT NULL,
    external_id TEXT NOT NULL,
    reference TEXT NOT NULL,
    name TEXT DEFAULT '' NOT NULL,
    updated BIGINT NOT NULL,
    holds SMALLINT DEFAULT 1 NOT NULL,
    lines TEXT NOT NULL,
    waiting SMALLINT DEFAULT 0 NOT NULL,
    first_seen_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (account, connection, external_id),
    FOREIGN KEY(account, connection) REFERENCES connections (account, id)
);

CREATE INDEX orders_reference ON orders (account, reference);

CREATE INDEX orders_waiting ON orders (account, connection) WHERE waiting = 1;

ALTER TABLE orders ENABLE ROW LEVEL SECURITY;

ALTER TABLE orders FORCE ROW LEVEL SECURITY;

CREATE POLICY account ON orders USING
    (account = NULLIF(current_setting('onhand.account', true), '')::bigint);

CREATE TABLE prices (
    account BIGINT NOT NULL,
    item BIGINT NOT NULL,
    seller BIGINT NOT NULL,
    price TEXT,
    sale_price TEXT,
    currency TEXT,
    PRIMARY KEY (account, item, seller),
    FOREIGN KEY(account, item) REFERENCES items (account, id),
    FOREIGN KEY(account, seller) REFERENCES sellers (account, id)
);

ALTER TABLE prices ENABLE ROW LEVEL SECURITY;

ALTER TABLE prices FORCE ROW LEVEL SECURITY;

CREATE POLICY account ON prices USING
    (account = NULLIF(current_setting('onhand.account', true), '')::bigint);

CREATE TABLE drifts (
    account BIGINT NOT NULL,
    id BIGINT NOT NULL,
    listing BIGINT NOT NULL,
    place TEXT DEFAULT '' NOT NULL,
    cause TEXT NOT NULL,
    wanted BIGINT,
    acknowledged BIGINT,
    observed BIGINT,
    found_at BIGINT NOT NULL,
    healed_at BIGINT,
    PRIMARY KEY (account, listing, id),
    FOREIGN KEY(account, listing) REFERENCES listings (account, id)
);

CREATE UNIQUE INDEX drifts_id ON drifts (account, id);

CREATE INDEX drifts_open ON drifts (account, listing) WHERE healed_at IS NULL;

ALTER TABLE drifts ENABLE ROW LEVEL SECURITY;

ALTER TABLE drifts FORCE ROW LEVEL SECURITY;

CREATE POLICY account ON drifts USING
    (account = NULLIF(current_setting('onhand.account', true), '')::bigint);

CREATE TABLE feeds (
    account BIGINT NOT NULL,
    item BIGINT NOT NULL,
    location BIGINT NOT NULL,
    listing BIGINT NOT NULL,
    PRIMARY KEY (account, item, location, listing),
    FOREIGN KEY(account, listing) REFERENCES listings (account, id)
);

ALTER TABLE feeds ENABLE ROW LEVEL SECURITY;

ALTER TABLE feeds FORCE ROW LEVEL SECURITY;

CREATE POLICY account ON feeds USING
    (account = NULLIF(current_setting('onhand.account', true), '')::bigint);

CREATE TABLE levels (
    account BIGINT NOT NULL,
    item BIGINT NOT NULL,
    location BIGINT NOT NULL,
    on_hand BIGINT NOT NULL,
    reserved BIGINT NOT NULL,
    infinite SMALLINT DEFAULT 0 NOT NULL,
    present SMALLINT DEFAULT 0 NOT NULL,
    version BIGINT NOT NULL,
    next_expiry BIGINT,
    PRIMARY KEY (account, item, location),
    FOREIGN KEY(account, item) REFERENCES items (account, id),
    FOREIGN KEY(account, location) REFERENCES locations (account, id),
    CONSTRAINT levels_on_hand CHECK (on_hand BETWEEN -1000000000000 AND 1000000000000),
    CONSTRAINT levels_reserved CHECK (reserved BETWEEN 0 AND 1000000000000)
);

CREATE INDEX levels_location ON levels (account, location);

CREATE INDEX levels_next_expiry ON levels (next_expiry) WHERE next_expiry IS NOT NULL;

ALTER TABLE levels ENABLE ROW LEVEL SECURITY;

ALTER TABLE levels FORCE ROW LEVEL SECURITY;

CREATE POLICY account ON levels USING
    (account = NULLIF(current_setting('onhand.account', true), '')::bigint);

CREATE TABLE outbox (
    account BIGINT NOT NULL,
    listing BIGINT NOT NULL,
    connection BIGINT NOT NULL,
    since BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    due BIGINT NOT NULL,
    attempts BIGINT DEFAULT 0 NOT NULL,
    marks BIGINT DEFAULT 0 NOT NULL,
    marked_at BIGINT DEFAULT 0 NOT NULL,
    PRIMARY KEY (account, listing),
    FOREIGN KEY(account, listing) REFERENCES listings (account, id)
);

CREATE INDEX outbox_due ON outbox (account, connection, due);

ALTER TABLE outbox ENABLE ROW LEVEL SECURITY;

ALTER TABLE outbox FORCE ROW LEVEL SECURITY;

CREATE POLICY account ON outbox USING
    (account = NULLIF(current_setting('onhand.account', true), '')::bigint);

CREATE TABLE slots (
    account BIGINT NOT NULL,
    listing BIGINT NOT NULL,
    place TEXT DEFAULT '' NOT NULL,
    locations TEXT DEFAULT '[]' NOT NULL,
    wanted BIGINT,
    wanted_at BIGINT,
    acknowledged BIGINT,
    acknowledged_at BIGINT,
    observed BIGINT,
    observed_at BIGINT,
    token TEXT,
    committed BIGINT DEFAULT 0 NOT NULL,
    PRIMARY KEY (account, listing, place),
    FOREIGN KEY(account, listing) REFERENCES listings (account, id)
);

ALTER TABLE slots ENABLE ROW LEVEL SECURITY;

ALTER TABLE slots FORCE ROW LEVEL SECURITY;

CREATE POLICY account ON slots USING
    (account = NULLIF(current_setting('onhand.account', true), '')::bigint);
