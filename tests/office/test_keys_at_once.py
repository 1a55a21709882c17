"""The first keys of an API that two processes on one PostgreSQL make at once: they are of one connection."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from sqlalchemy import Connection

from onhand.faces import face
from onhand.office import trial
from onhand.sample import KeyWish
from onhand.store import channels
from side_by_side import behind
from ticking import world


@pytest.mark.parametrize("dialect", ["flipkart", "marketplacer", "sellbrite", "trackstar", "treet"])
def test_the_first_keys_of_an_api(postgres_url: str, dialect: str) -> None:
    integration = "shopify" if dialect == "trackstar" else None

    async def go() -> None:
        async with world(postgres_url) as one, world(postgres_url) as other:
            account = one.account

            def issues(connection: Connection) -> None:
                face(dialect).setup.issue(connection, account, 1, KeyWish(integration=integration))

            key = partial(
                trial.add_key, one.inventory, account=account, dialect=dialect, integration=integration
            )
            made = await behind(other.inventory, account, issues, key)
            (link,) = await one.inventory.read(account, lambda c: channels.links(c, account))
            assert f":connection:{link.id}" in made["principal"]

    asyncio.run(go())
