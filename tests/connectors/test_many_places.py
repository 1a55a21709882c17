"""A channel that shows its locations page by page is asked for all of them: what is missed is not fed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from connectors.driver import answer, run, settings_of
from fakes import bigcommerce as bigcommerce_fake
from fakes import magento as magento_fake
from onhand.connectors import bigcommerce, magento, wix_v3
from onhand.connectors.flow import Flow, Place, Request, Response


def of_bigcommerce() -> Flow[list[Place]]:
    return bigcommerce.places(settings_of(bigcommerce, **bigcommerce_fake.EXAMPLE.settings))


def of_magento() -> Flow[list[Place]]:
    return magento.places(settings_of(magento, **magento_fake.EXAMPLE.settings))


def told(*names: str, total: int) -> Response:
    return answer({"data": [{"id": name} for name in names], "meta": {"pagination": {"total_pages": total}}})


def sources(*names: str, total: int) -> Response:
    return answer({"items": [{"source_code": name} for name in names], "total_count": total})


def located(*names: str, following: str | None = None) -> Response:
    rows = [{"id": name} for name in names]
    return answer({"locations": rows, "pagingMetadata": {"cursors": {"next": following}}})


def number(request: Request) -> Any:
    """The page that a request names."""
    return dict(request.query).get("page") or dict(request.query).get("searchCriteria[currentPage]")


def cursor(request: Request) -> Any:
    """The cursor that a request names."""
    return request.json["query"]["cursorPaging"].get("cursor")


PAGES: dict[
    str, tuple[Callable[[], Flow[list[Place]]], list[Response], Callable[[Request], Any], list[Any]]
] = {
    "bigcommerce": (
        of_bigcommerce,
        [told("1", "2", total=3), told("3", total=3), told("4", total=3)],
        number,
        ["1", "2", "3"],
    ),
    "magento": (
        of_magento,
        [sources("1", "2", total=4), sources("3", total=4), sources("4", total=4)],
        number,
        ["1", "2", "3"],
    ),
    "wix": (
        wix_v3.places,
        [located("1", "2", following="x"), located("3", following="y"), located("4")],
        cursor,
        [None, "x", "y"],
    ),
}


@pytest.mark.parametrize("name", PAGES)
def test_every_page_of_locations_is_read(name: str) -> None:
    ask, answers, page, asked = PAGES[name]
    requests, places = run(ask(), answers)
    assert [place.id for place in places] == ["1", "2", "3", "4"]
    assert [page(request) for request in requests] == asked
