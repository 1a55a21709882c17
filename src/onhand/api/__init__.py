"""Our own uniform API: everything the ledger can do, and what the published APIs cannot say."""
