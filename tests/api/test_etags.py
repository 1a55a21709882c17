"""A level's ETag is its version, which is as exact as the numbers beside it."""

from __future__ import annotations

import pytest

from native_calls import GIFT, MAIN, Api, adjust, hold

LEVEL = f"/levels/{GIFT}/{MAIN}"


def versions(api: Api) -> set[int]:
    """What the level's version is by each way of reading it."""
    asked = {"places": [{"item": GIFT, "location": MAIN}]}
    pages = [{"item": GIFT}, {"limit": 100}, {"limit": 100}, {"location": MAIN}]
    found = [row for query in pages for row in api.get("/levels", params=query)["data"]]
    found += [api.get(LEVEL), api.post("/levels/query", asked)["data"][0]]
    return {row["version"] for row in found if (row["item"], row["location"]) == (GIFT, MAIN)}


def test_a_hold_that_ran_out_unseen_counts_as_written(either: Api) -> None:
    either.change(hold(5, ttl_seconds=30))
    either.change(hold(2, reference="s", ttl_seconds=40))
    held = either.ask("GET", LEVEL)
    (before,) = versions(either)
    for ahead, more in ((31, 1), (10, 2)):
        either.hub.clock.ahead(ahead)
        answer = either.ask("GET", LEVEL, If_None_Match=held.headers["etag"])
        assert (answer.status_code, answer.headers["etag"]) == (200, f'"{before + more}"')
        assert either.ask("GET", LEVEL, If_None_Match=answer.headers["etag"]).status_code == 304
        assert versions(either) == {before + more}
    either.change(adjust(1))
    assert versions(either) == {before + 3}


def test_a_write_goes_on_from_what_was_read_after_a_hold_ran_out(either: Api) -> None:
    either.change(hold(5, ttl_seconds=30))
    held = either.ask("GET", LEVEL)
    either.hub.clock.ahead(31)
    read = either.ask("GET", LEVEL)
    assert either.ask("PUT", LEVEL, {"on_hand": 9}, If_Match=held.headers["etag"]).status_code == 412
    assert either.ask("PUT", LEVEL, {"on_hand": 9}, If_Match=read.headers["etag"]).status_code == 200
    assert either.level(GIFT) == (9, 0)


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ("{}", 304),
        (" {} ", 304),
        ("W/{}", 304),
        ('"99", {}', 304),
        ('"99",W/{},"x"', 304),
        ("*", 304),
        ('"99"', 200),
        ("", 200),
        ("7", 200),
        ('"99", *', 200),
        ("w/{}", 200),
    ],
)
def test_if_none_match(api: Api, given: str, status: int) -> None:
    answer = api.ask("GET", LEVEL)
    again = api.ask("GET", LEVEL, If_None_Match=given.format(answer.headers["etag"]))
    assert (again.status_code, again.headers["etag"]) == (status, answer.headers["etag"])
    assert bool(again.content) == (status == 200)
