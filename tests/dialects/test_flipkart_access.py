"""Who may do what over the Flipkart dialect: applications, tokens, and other people's things."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from dialects.flipkart_wire import GRANT, LISTINGS, TOKEN, UPDATE, ask_token, bearer, conforms, post, update
from hubs import Call, Hub, demo_hub
from onhand.dialects.flipkart import oauth, setup, tokens
from onhand.office import people
from onhand.sample import KeyWish
from onhand.settings import PREFIX, TOKEN_SECONDS_LIMIT, BadSetting, Settings, load
from onhand.store import catalog, channels, keys

LIFETIME = 1000


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with demo_hub(tmp_path, "flipkart", settings=Settings(flipkart_token_seconds=LIFETIME)) as one:
        yield one


def stored(hub: Hub) -> list[keys.Stored]:
    """The live tokens of the demo's application."""
    app_id, now = hub.section["app_id"], hub.clock()
    return hub.read(lambda c: keys.tokens(c, hub.account, "flipkart", app_id, now))


def another_app(hub: Hub, **wish: Any) -> dict[str, Any]:
    """A further application of the demo's connection."""

    def unit(connection: Connection) -> dict[str, Any]:
        link = channels.links(connection, hub.account, "flipkart")[0]
        return dict(setup.credentials(connection, hub.account, link, hub.clock(), **wish))

    return hub.write(unit)


def basic(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


def test_a_token_as_published(hub: Hub) -> None:
    answer = ask_token(hub)
    assert answer.status_code == 200
    assert conforms(answer, "Token")
    assert answer.json() | {"access_token": ""} == {
        "access_token": "",
        "token_type": "bearer",
        "expires_in": LIFETIME,
        "scope": "Seller_Api",
    }
    assert '"access_token":"' in answer.text
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("scope", ["Seller_Api", "Default", "Seller_Api,Default", "Seller_Api Default", ""])
def test_scopes_that_are_known(hub: Hub, scope: str) -> None:
    assert ask_token(hub, params=GRANT | {"scope": scope}).json()["scope"] == "Seller_Api"


def test_a_token_can_be_asked_for_in_a_form(hub: Hub) -> None:
    app = (hub.section["app_id"], hub.section["app_secret"])
    answer = hub.client.post(TOKEN, data=GRANT, auth=app)
    assert answer.json()["access_token"] == ask_token(hub).json()["access_token"]
    assert hub.client.post(TOKEN, params=GRANT, auth=app).status_code == 200
    assert hub.client.post(TOKEN, json=GRANT, auth=app).status_code == 400
    assert hub.client.post(TOKEN, data={f"f{n}": "" for n in range(99)}, auth=app).status_code == 400
    assert hub.client.post(TOKEN, data={"grant_type": "x" * 9000}, auth=app).status_code == 413


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"grant_type": ""}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, "unsupported_grant_type"),
        ({"scope": "Everything"}, "invalid_scope"),
        ({"scope": "x" * 500}, "invalid_scope"),
        ({"scope": "\0"}, "invalid_scope"),
    ],
)
def test_token_requests_that_are_refused(hub: Hub, params: dict[str, str], error: str) -> None:
    answer = ask_token(hub, params=GRANT | params)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert conforms(answer, "OAuthError")
    assert len(answer.text) < 400


@pytest.mark.parametrize(
    ("headers", "description"),
    [
        ({}, "Full authentication is required to access this resource"),
        ({"Authorization": "Bearer x"}, "Full authentication is required to access this resource"),
        ({"Authorization": "Basic !"}, "Failed to decode basic authentication token"),
        ({"Authorization": "Basic gICA"}, "Failed to decode basic authentication token"),
        ({"Authorization": "Basic"}, "Invalid basic authentication token"),
        (basic("nocolon"), "Invalid basic authentication token"),
        (basic("4f1d:x"), "No client with requested id: 4f1d"),
        (basic(":x"), "No client with requested id: "),
        (basic("a\0b:x"), "No client with requested id: a\0b"),
    ],
)
def test_who_is_no_application(hub: Hub, headers: dict[str, str], description: str) -> None:
    answer = hub.client.get(TOKEN, params=GRANT, headers=headers)
    assert answer.status_code == 401
    assert answer.json() == {"error": "unauthorized", "error_description": description}
    assert conforms(answer, "OAuthError")
    assert answer.headers["www-authenticate"].startswith("Basic")


@pytest.mark.parametrize("secret", ["", "wrong", "é"])
def test_a_wrong_secret(hub: Hub, secret: str) -> None:
    answer = ask_token(hub, hub.section | {"app_secret": secret})
    assert (answer.status_code, answer.json()["error_description"]) == (401, "Bad credentials")


def test_a_token_is_no_application(hub: Hub) -> None:
    token = ask_token(hub).json()["access_token"]
    lookup = stored(hub)[0].lookup
    for pair in ({"app_id": token, "app_secret": ""}, {"app_id": lookup, "app_secret": token}):
        assert ask_token(hub, pair).status_code == 401


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic eDp5", "Token x", "fkt_x"])
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_without_a_token(hub: Hub, header: str | None, method: str) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = hub.client.request(method, UPDATE if method == "POST" else LISTINGS + "A", headers=headers)
    assert answer.status_code == 401
    assert answer.json() == {
        "error": "unauthorized",
        "error_description": "Full authentication is required to access this resource",
    }
    assert answer.headers["www-authenticate"] == "Bearer"


def test_with_a_token_that_nobody_has(hub: Hub) -> None:
    known = hub.section["skus"][0]
    before = hub.levels(known["sku"])
    for token in ("fkt_nobodys", hub.section["app_secret"], hub.section["app_id"], "x" * 5000):
        answer = post(hub, {known["sku"]: update(known, 1)}, {"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401
        assert conforms(answer, "OAuthError")
        assert answer.json()["error"] == "invalid_token"
        assert answer.json()["error_description"] == f"Invalid access token: {token[: oauth.ECHO_LIMIT]}"
    assert hub.levels(known["sku"]) == before


def test_a_token_ends_with_its_time(hub: Hub) -> None:
    headers = bearer(hub)
    hub.clock.ahead(LIFETIME - 1)
    assert post(hub, {"A": 1}, headers).status_code == 200
    hub.clock.ahead(2)
    assert post(hub, {"A": 1}, headers).status_code == 401
    assert post(hub, {"A": 1}).status_code == 200


def test_an_application_is_told_its_token_again_until_it_is_half_used_up(hub: Hub) -> None:
    first = ask_token(hub).json()
    hub.clock.ahead(LIFETIME * 0.4)
    again = ask_token(hub).json()
    assert again["access_token"] == first["access_token"]
    assert LIFETIME * 0.59 <= again["expires_in"] <= LIFETIME * 0.6
    hub.clock.ahead(LIFETIME * 0.2)
    later = ask_token(hub).json()
    assert later["access_token"] != first["access_token"]
    assert later["expires_in"] == LIFETIME
    headers = {"Authorization": f"Bearer {first['access_token']}"}
    assert post(hub, {"A": 1}, headers).status_code == 200
    assert len(stored(hub)) == 2
    hub.clock.ahead(LIFETIME * 10)
    ask_token(hub)
    count = hub.read(lambda c: c.exec_driver_sql("SELECT COUNT(*) FROM keys WHERE kind = 'token'").scalar())
    assert count == 1


def test_many_at_once_get_one_token(hub: Hub) -> None:
    headers = basic(f"{hub.section['app_id']}:{hub.section['app_secret']}")
    answers = hub.together([Call("GET", TOKEN, {"params": GRANT, "headers": headers})] * 30)
    assert len({answer.json()["access_token"] for answer in answers}) == 1
    assert len(stored(hub)) == 1


def test_live_tokens_are_bounded_whatever_the_lifetime(hub: Hub) -> None:
    app = oauth.App(hub.section["app_id"], hub.section["app_secret"])
    made: list[str] = []
    for seconds in range(100_000, 10_000, -5_000):
        # What is there ends later than a new one would, so it is not told again.
        made.append(hub.write(partial(tokens.grant, app=app, now=hub.clock(), seconds=seconds)).token)
        assert len(stored(hub)) <= tokens.TOKENS_LIMIT
    assert len(set(made)) == len(made)
    assert len(stored(hub)) == tokens.TOKENS_LIMIT
    assert post(hub, {"A": 1}, {"Authorization": f"Bearer {made[-1]}"}).status_code == 200
    assert post(hub, {"A": 1}, {"Authorization": f"Bearer {made[0]}"}).status_code == 401


@pytest.mark.parametrize("seconds", ["0", "-5", str(TOKEN_SECONDS_LIMIT + 1), "9" * 30, "1.5", ""])
def test_a_life_that_no_token_can_have_is_refused_at_the_start(seconds: str) -> None:
    with pytest.raises(BadSetting, match="ONHAND_FLIPKART_TOKEN_SECONDS"):
        load({f"{PREFIX}FLIPKART_TOKEN_SECONDS": seconds})


def test_the_longest_life_of_a_token(tmp_path: Path) -> None:
    with demo_hub(tmp_path, "flipkart", settings=Settings(flipkart_token_seconds=TOKEN_SECONDS_LIMIT)) as hub:
        assert ask_token(hub).json()["expires_in"] == TOKEN_SECONDS_LIMIT
        assert post(hub, {"A": 1}).status_code == 200


def test_revoking_ends_applications_and_their_tokens(hub: Hub) -> None:
    headers, sister = bearer(hub), another_app(hub)
    hers = bearer(hub, sister)
    link = hub.read(lambda c: channels.links(c, hub.account, "flipkart"))[0].id
    ended = hub.write(lambda c: keys.revoke(c, hub.account, setup.principal(link), hub.clock()))
    assert ended == 4
    assert [post(hub, {"A": 1}, one).status_code for one in (headers, hers)] == [401, 401]
    assert ask_token(hub).json()["error_description"] == "Bad credentials"
    assert post(hub, {"A": 1}, bearer(hub, another_app(hub))).status_code == 200


def test_an_application_that_was_revoked_meanwhile_gets_no_token(hub: Hub) -> None:
    app = oauth.App(hub.section["app_id"], hub.section["app_secret"])
    link = hub.read(lambda c: channels.links(c, hub.account, "flipkart"))[0].id
    hub.write(lambda c: keys.revoke(c, hub.account, setup.principal(link), hub.clock()))
    with pytest.raises(oauth.Denied, match="Bad credentials"):
        hub.write(lambda c: tokens.grant(c, app, hub.clock(), LIFETIME))
    assert stored(hub) == []


def test_a_token_does_not_outlive_its_application(hub: Hub) -> None:
    brief = another_app(hub, expires_at=hub.clock() + 10_000_000)
    told = ask_token(hub, brief).json()
    assert told["expires_in"] <= 10
    assert ask_token(hub, brief).json()["access_token"] == told["access_token"]
    hub.clock.ahead(11)
    assert ask_token(hub, brief).json()["error_description"] == "Bad credentials"
    headers = {"Authorization": f"Bearer {told['access_token']}"}
    assert post(hub, {"A": 1}, headers).status_code == 401


def test_an_application_that_may_only_read(hub: Hub) -> None:
    known = hub.section["skus"][0]
    headers = bearer(hub, another_app(hub, scopes="read"))
    before = hub.levels(known["sku"])
    answer = post(hub, {known["sku"]: update(known, 1)}, headers)
    assert answer.status_code == 403
    assert answer.json() == {
        "error": "access_denied",
        "error_description": "This application may not write",
    }
    assert conforms(answer, "OAuthError")
    assert hub.levels(known["sku"]) == before
    assert hub.client.get(LISTINGS + known["sku"], headers=headers).status_code == 200


def test_accounts_do_not_see_one_another(hub: Hub) -> None:
    ours, theirs = hub.section["skus"][0], hub.another()["flipkart"]
    before = hub.levels(ours["sku"])
    foreign = bearer(hub, theirs)
    answer = post(hub, {ours["sku"]: update(ours, 1)}, foreign).json()[ours["sku"]]
    assert answer["attribute_errors"][0]["path"] == "locations[0].id"
    answer = post(hub, {ours["sku"]: update(theirs["skus"][0], 1)}, foreign).json()
    assert answer == {ours["sku"]: {"status": "SUCCESS"}}
    assert hub.levels(ours["sku"]) == before
    answer = hub.client.get(LISTINGS + ours["sku"], headers=foreign).json()
    assert answer["available"][ours["sku"]]["locations"][0]["id"] not in ours["locations"]


def test_another_connection_of_the_account_has_its_own_listings_and_locations(hub: Hub) -> None:
    def unit(connection: Connection) -> dict[str, str]:
        link = channels.Link(0, "flipkart", "Second", locations=[3])
        made = channels.add_link(connection, hub.account, link, 1)
        listing = channels.Listing(0, made.id, "SECOND", 13, attributes={"product_id": "P" * 16})
        channels.add_listing(connection, hub.account, listing, 1)
        return setup.credentials(connection, hub.account, made, hub.clock())

    headers, known = bearer(hub, hub.write(unit)), hub.section["skus"][0]
    answer = post(hub, {known["sku"]: update(known, 1), "SECOND": update(known, 1)}, headers).json()
    assert answer[known["sku"]]["errors"][0]["code"] == 1001
    assert [one["code"] for one in answer["SECOND"]["attribute_errors"]] == [2005, 2009]


def test_credentials_for_an_account_that_has_no_connection_yet(hub: Hub) -> None:
    account = hub.run(partial(people.add_account, hub.inventory, name="newcomer"))["id"]

    def issue(scopes: str) -> dict[str, Any]:
        wish = KeyWish(scopes=scopes)
        return hub.write(lambda c: setup.issue(c, account, hub.clock(), wish), account)

    told, more = issue("write"), issue("read")
    assert told.keys() == {"app_id", "app_secret", "locations", "principal"}
    assert (told["principal"], told["locations"]) == (more["principal"], more["locations"])
    assert post(hub, {"A": 1}, bearer(hub, told)).status_code == 200
    assert post(hub, {"A": 1}, bearer(hub, more)).status_code == 403
    [place] = told["locations"]
    assert place["name"] == "main"
    assert re.fullmatch("LOC[0-9a-f]{32}", place["id"])


def test_the_first_update_of_a_new_account_and_that_of_a_location_that_came_later(migrated_url: str) -> None:
    with demo_hub(migrated_url, "flipkart") as hub:
        grown(hub)


def grown(hub: Hub) -> None:
    """A new account's first update, and one of a location that it has since then."""
    account = hub.run(partial(people.add_account, hub.inventory, name="newcomer"))["id"]

    def issue() -> dict[str, Any]:
        return hub.write(lambda c: setup.issue(c, account, hub.clock(), KeyWish()), account)

    def grow(connection: Connection) -> None:
        seller = catalog.sellers(connection, account)[0].id
        for name, kind in (("north", "stock"), ("broken", "held"), ("FBA", "mirrored")):
            catalog.add_location(connection, account, catalog.Location(0, name, seller, kind), 1)

    def offer(connection: Connection) -> None:
        link = channels.links(connection, account, "flipkart")[0].id
        item = catalog.add_items(connection, account, [catalog.Item(0, "MUG")], 1)[0].id
        channels.add_listing(connection, account, channels.Listing(0, link, "MUG", item), 1)

    first = issue()
    headers = bearer(hub, first)
    hub.write(offer, account)
    hub.write(grow, account)
    known = {"product_id": "P" * 13, "locations": [one["id"] for one in issue()["locations"]]}
    assert [one["name"] for one in issue()["locations"]] == ["main", "north"]
    assert known["locations"][:1] == [one["id"] for one in first["locations"]]
    assert post(hub, {"MUG": update(known, 4, 5)}, headers).json() == {"MUG": {"status": "SUCCESS"}}
    shown = hub.client.get(LISTINGS + "MUG", headers=headers).json()["available"]["MUG"]["locations"]
    assert [(one["id"], one["inventory"]) for one in shown] == list(
        zip(known["locations"], (4, 5), strict=True)
    )


@pytest.mark.parametrize(
    "wish", [KeyWish(seller=1), KeyWish(integration="etsy"), KeyWish(scopes=""), KeyWish(scopes="admin")]
)
def test_wishes_that_flipkart_has_no_word_for(hub: Hub, wish: KeyWish) -> None:
    with pytest.raises(ValueError, match="Flipkart"):
        hub.write(lambda c: setup.issue(c, hub.account, hub.clock(), wish))


def test_the_line_to_paste_is_a_shell_line_that_asks_for_a_token_first(hub: Hub) -> None:
    line = setup.curl(hub.section, hub.section["base_url"])
    known = hub.section["skus"][0]
    # A curl that prints its arguments, and answers the inner call as the token endpoint does.
    told = ask_token(hub).text
    fake = f"""curl() {{
        case "$*" in *oauth-service*) printf '%s' '{told}';; *) printf '%s\\n' "$@";; esac
    }}
    """
    shell = subprocess.run(["bash", "-c", fake + line], capture_output=True, text=True, check=True)
    said = shell.stdout.splitlines()
    assert said[1] == "http://testserver" + UPDATE
    assert f"Authorization: Bearer {json.loads(told)['access_token']}" in said
    answer = post(hub, said[-1].encode())
    assert answer.json() == {known["sku"]: {"status": "SUCCESS"}}


def test_tokens_and_updates_on_postgresql(postgres_url: str) -> None:
    with demo_hub(postgres_url, "flipkart") as hub:
        app = basic(f"{hub.section['app_id']}:{hub.section['app_secret']}")
        asked = hub.together([Call("GET", TOKEN, {"params": GRANT, "headers": app})] * 8)
        [token] = {answer.json()["access_token"] for answer in asked}
        headers, known = {"Authorization": f"Bearer {token}"}, hub.section["skus"][0]
        answer = post(hub, {known["sku"]: update(known, 7, 8), "é'": update(known, 1)}, headers).json()
        assert [one["status"] for one in answer.values()] == ["SUCCESS", "FAILURE"]
        shown = hub.client.get(f"{LISTINGS}{known['sku']},NOT-OURS,%00", headers=headers)
        assert conforms(shown, "Listings")
        found = shown.json()["available"][known["sku"]]["locations"]
        assert [one["inventory"] for one in found] == [7, 8]
        assert ask_token(hub, hub.section | {"app_id": "a\0b"}).status_code == 401
        link = hub.read(lambda c: channels.links(c, hub.account, "flipkart"))[0].id
        assert hub.write(lambda c: keys.revoke(c, hub.account, setup.principal(link), hub.clock())) == 2
        assert post(hub, {"A": 1}, headers).status_code == 401
        assert ask_token(hub).status_code == 401
