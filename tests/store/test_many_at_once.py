"""Many movements that are alike go into SQLite a thousand in one step: the same rows as one by one."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection

from batches import left
from onhand.stock.model import Adjust, AnyCommand, SetInfinite, SetOnHand
from onhand.store import posting
from onhand.work import Group, Work
from shops import Shop

pytestmark = pytest.mark.parametrize("kinds", ["sqlite"], indirect=True, scope="module")

MANY = [Adjust(1 + at % 4, 1 + at % 2, 1 + at % 5) for at in range(2_500)]


@pytest.mark.parametrize(
    ("work", "at_once"),
    [
        (Work(1, (Group(tuple(MANY)),), "me"), True),
        (Work(1, tuple(Group((one,)) for one in MANY), "me"), True),
        (Work(1, (Group(tuple(MANY[:100])),), "me"), False),
        (Work(1, (Group((*MANY, SetOnHand(1, 1, 0))),), "me"), False),
        (Work(1, (Group((*MANY, Adjust(1, 1, 1, reason="found"))),), "me"), False),
        (Work(1, (Group((*MANY, Adjust(1, 1, 1, reference="A-1"))),), "me"), False),
        (Work(1, (Group((*MANY, SetInfinite(1, 1, True))),), "me"), False),
        (Work(1, (Group(tuple(MANY)), Group((MANY[0],), caller="another")), "me"), False),
        (Work(1, (Group(tuple(MANY)),), "me", context="{}"), False),
    ],
)
def test_the_same_rows(shop: Shop, monkeypatch: pytest.MonkeyPatch, work: Work, *, at_once: bool) -> None:
    first: list[AnyCommand] = [SetOnHand(item, place, 7) for item in range(1, 5) for place in (1, 2)]
    usual = posting._append_at_once
    ways: list[bool] = []
    found: list[list[object]] = []

    def noted(connection: Connection, page: posting.Page) -> bool:
        ways.append(usual(connection, page))
        return ways[-1]

    for way in (noted, lambda *_: False):
        monkeypatch.setattr(posting, "_append_at_once", way)
        shop.reset()
        shop.commit(shop.work(*first))
        found.append([*shop.commit(work), *left(shop)])
        shop.check()
    assert found[0] == found[1]
    assert ways == [False, at_once]
