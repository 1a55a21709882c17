ALTER TABLE accounts ENABLE ROW LEVEL SECURITY;

ALTER TABLE accounts FORCE ROW LEVEL SECURITY;

CREATE POLICY seen ON accounts FOR SELECT USING (true);

CREATE POLICY made ON accounts FOR INSERT WITH CHECK (true);

CREATE POLICY account ON accounts FOR UPDATE USING
    (id = NULLIF(current_setting('onhand.account', true), '')::bigint);

CREATE POLICY gone ON accounts FOR DELETE USING
    (id = NULLIF(current_setting('onhand.account', true), '')::bigint);
