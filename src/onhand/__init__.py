"""onhand: a self-hosted inventory hub with one stock ledger."""

__version__ = "0.1.0"
