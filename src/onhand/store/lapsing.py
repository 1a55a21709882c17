"""A transaction on PostgreSQL that nobody goes on with ends by itself."""

from __future__ import annotations

from sqlalchemy import Connection

from onhand.store.hearing import LOCK_SHARE
from onhand.store.pipeline import Said
from onhand.store.together import later

IDLE_SECONDS = 30
"""How long PostgreSQL waits for our next word in a transaction: then it ends that, and lets go of what is
locked. A process that stands still there, or its machine, holds up everybody else for no longer."""


def lapsing(connection: Connection, answer_seconds: float) -> None:
    """Have this transaction ended if we fall silent in it, and have no lock waited for longer than we wait
    for an answer: a session that is left behind in one waits on. A no-op on SQLite."""
    if connection.dialect.name == "postgresql":
        idle, lock = f"{IDLE_SECONDS}s", f"{int(answer_seconds * LOCK_SHARE * 1_000)}ms"
        # One statement is cheaper than two. An operator's own setting for locks stays.
        text = (
            f"SELECT set_config('idle_in_transaction_session_timeout', '{idle}', true),"
            " CASE current_setting('lock_timeout') WHEN '0'"
            f" THEN set_config('lock_timeout', '{lock}', true) END"
        )
        later(connection, Said(text, prepared=True))
