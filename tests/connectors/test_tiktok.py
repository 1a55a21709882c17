"""TikTok Shop: what is said to it word for word, and what its answers mean."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest

from connectors.driver import NOW, SILENCE, answer, run, settings_of, target, wire
from fakes.tiktok import ACCESS, CIPHER, EXAMPLE, EXPIRES, KEY, SECRET, SHOP
from onhand.connectors import tiktok
from onhand.connectors.channel import Secret
from onhand.connectors.flow import (
    Accepted,
    Failed,
    Later,
    Rejected,
    Request,
    Response,
    Slot,
    Target,
    Unheard,
    Unsure,
    Verdict,
    Whole,
)

SETTINGS = settings_of(tiktok, **EXAMPLE.settings)
P, S1, S2 = "1729000000000000001", "1730000000000000001", "1730000000000000002"
W1, W2 = "7068517275539719942", "7068517275539719943"
LOOK = "/product/202309/inventory/search"
UPDATE = f"/product/202309/products/{P}/inventory/update"


def of(sku: str, offer: int, location: str | None = W1, number: int = 1, **slot: Any) -> Target:
    return target(number, offer, {"product": P, "sku": sku}, location, **slot)


def ok(data: Any) -> Response:
    return answer({"code": 0, "message": "Success", "data": data})


def shown(**skus: dict[str, int]) -> Response:
    rows = [
        {
            "id": sku,
            "warehouse_inventory": [{"warehouse_id": w, "available_quantity": q} for w, q in stock.items()],
        }
        for sku, stock in skus.items()
    ]
    return ok({"inventory": [{"product_id": P, "skus": rows}]})


BOTH = shown(**{S1: {W1: 4, W2: 9}, S2: {W1: 1}})


def said(request: Request) -> Any:
    return request.json["skus"]


def push(*targets: Target, answers: list[Response]) -> tuple[list[Request], list[Verdict]]:
    return run(tiktok.push(SETTINGS, targets), answers)


def test_a_product_is_one_call_that_names_every_warehouse() -> None:
    """A warehouse that no slot is for is told what it shows already; none is left out."""
    one, two = of(S1, 7), of(S2, 0, number=2)
    requests, verdicts = push(one, two, answers=[BOTH, ok({})])
    assert [(r.method, r.url) for r in requests] == [("POST", LOOK), ("POST", UPDATE)]
    assert requests[0].json == {"product_ids": [P]}
    assert said(requests[1]) == [
        {"id": S1, "inventory": [{"warehouse_id": W1, "quantity": 7}, {"warehouse_id": W2, "quantity": 9}]},
        {"id": S2, "inventory": [{"warehouse_id": W1, "quantity": 0}]},
    ]
    assert all(request.query == (("shop_cipher", CIPHER),) for request in requests)
    assert verdicts == [Accepted(one), Accepted(two)]


def test_a_single_warehouse_need_not_be_named_and_numbers_are_capped() -> None:
    requests, _ = push(of(S2, 250_000, None), answers=[BOTH, ok({})])
    assert said(requests[1]) == [{"id": S2, "inventory": [{"warehouse_id": W1, "quantity": 99_999}]}]


@pytest.mark.parametrize(
    ("aim", "words"),
    [
        (of(S1, 7, None), "names none"),
        (of(S1, 7, "w-foreign"), "not kept in warehouse w-foreign"),
        (of("1730000000000000009", 7), "no such SKU"),
    ],
    ids=["which warehouse", "foreign warehouse", "unknown sku"],
)
def test_what_cannot_be_said_is_refused_before_it_is_sent(aim: Target, words: str) -> None:
    _, verdicts = push(aim, answers=[BOTH])
    assert isinstance(verdicts[0], Rejected)
    assert words in verdicts[0].words


def test_errors_hide_in_a_reply_of_code_0() -> None:
    one, two = of(S1, 7), of(S2, 3, number=2)
    extra = [{"warehouse_id": W1, "code": 12019003, "message": "out of range"}]
    error = {
        "code": 12019001,
        "message": "invalid inventory",
        "detail": {"sku_id": S1, "extra_errors": extra},
    }
    _, verdicts = push(one, two, answers=[BOTH, ok({"errors": [error]})])
    assert verdicts == [
        Rejected(one, f"12019001 invalid inventory; warehouse {W1}: 12019003 out of range", "12019001"),
        Accepted(two),
    ]


def test_an_error_that_names_no_sku_of_ours_is_about_all() -> None:
    error = {"code": 5, "message": "no", "detail": {}}
    _, verdicts = push(of(S1, 7), of(S2, 3, number=2), answers=[BOTH, ok({"errors": [error]})])
    assert [type(verdict) for verdict in verdicts] == [Whole, Whole]


def test_the_same_sku_twice_is_said_in_two_calls() -> None:
    requests, verdicts = push(of(S2, 7), of(S2, 3, number=2), answers=[BOTH, ok({}), ok({})])
    assert [said(r)[0]["inventory"][0]["quantity"] for r in requests[1:]] == [7, 3]
    assert [type(verdict) for verdict in verdicts] == [Accepted, Accepted]


def refusal(code: int, message: str = "no", status: int = 200) -> Response:
    return answer({"code": code, "message": message}, status)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (refusal(12019113, "product status invalid"), Rejected),
        (refusal(12052048), Rejected),
        (refusal(12019022, "sku ID invalid"), Whole),
        (refusal(106001, "The 'sign' query parameter is invalid.", 401), Later),
        (refusal(105002, "Expired credentials", 401), Later),
        (refusal(36009002, "Slow down"), Later),
        (refusal(36009003, "Internal error"), Later),
        (refusal(12001000, "Internal error"), Later),
        (refusal(36004003), Later),
        (refusal(99, "Too many requests, slow down"), Later),
        (refusal(99, status=429), Later),
        (refusal(12000001, status=500), Later),
        (answer("<html>", 502), Later),
        (answer("<html>"), Unsure),
        (answer({"code": 0}, 500), Later),
        (answer({"message": "no code"}), Unsure),
        (SILENCE, Unsure),
    ],
)
def test_the_code_decides_and_not_the_status(reply: Response, kind: type[Verdict]) -> None:
    _, verdicts = push(of(S1, 7), of(S2, 3, number=2), answers=[BOTH, reply])
    assert {type(verdict) for verdict in verdicts} == {kind}


def test_after_a_throttle_the_other_products_are_not_tried() -> None:
    other = target(2, 3, {"product": "1729000000000000002", "sku": S2}, W1)
    look = ok(
        {
            "inventory": [
                {"product_id": p, "skus": [{"id": s, "warehouse_inventory": [W]}]}
                for p, s in ((P, S1), ("1729000000000000002", S2))
            ]
        }
    )
    requests, verdicts = push(of(S1, 7), other, answers=[look, refusal(9, status=429)])
    assert len(requests) == 2
    assert all(isinstance(verdict, Later) for verdict in verdicts)
    assert isinstance(verdicts[0], Later)
    assert verdicts[0].seconds == 2.0


W = {"warehouse_id": W1, "available_quantity": 4}


@pytest.mark.parametrize("reply", [SILENCE, answer("<html>", 503), answer("<html>"), refusal(105001)])
def test_when_the_look_fails_nothing_is_sent(reply: Response) -> None:
    requests, verdicts = push(of(S1, 7), answers=[reply])
    assert len(requests) == 1
    assert isinstance(verdicts[0], Later)


# --- a zero that is refused -----------------------------------------------------------------------------

ZERO = ok({"errors": [{"code": 12019003, "message": "out of range", "detail": {"sku_id": S1}}]})
ALONE = shown(**{S1: {W1: 4}})


def test_a_refused_zero_takes_a_product_of_one_sku_off_sale_and_back() -> None:
    requests, verdicts = push(of(S1, 0), answers=[ALONE, ZERO, ok({})])
    assert requests[-1].url == "/product/202309/products/deactivate"
    assert requests[-1].json == {"product_ids": [P]}
    assert verdicts == [Accepted(of(S1, 0), notes={"off_sale": "yes"})]
    closed = Target(1, {"product": P, "sku": S1}, (Slot(5, W1),), "k", notes={"off_sale": "yes"})
    requests, verdicts = push(closed, answers=[ALONE, ok({}), ok({})])
    assert requests[-1].url == "/product/202309/products/activate"
    assert verdicts == [Accepted(closed, notes={"off_sale": ""})]


def test_a_refused_zero_of_one_sku_among_others_is_told_to_a_person() -> None:
    empty = Target(1, {"product": P, "sku": S1}, (Slot(0, W1), Slot(0, W2)), "k")
    for aim in (of(S1, 0, W2), empty):
        requests, verdicts = push(aim, answers=[BOTH, ZERO])
        assert len(requests) == 2
        assert isinstance(verdicts[0], Rejected)


@pytest.mark.parametrize(("offer", "reply"), [(0, ok({})), (3, ZERO)], ids=["a zero is taken", "no zero"])
def test_nothing_else_takes_a_product_off_sale(offer: int, reply: Response) -> None:
    requests, _ = push(of(S1, offer), answers=[ALONE, reply])
    assert len(requests) == 2


def test_a_warehouse_that_shows_no_number_is_told_none() -> None:
    rows = [{"warehouse_id": W1, "available_quantity": 4}, {"warehouse_id": W2}]
    look = ok({"inventory": [{"product_id": P, "skus": [{"id": S1, "warehouse_inventory": rows}]}]})
    requests, _ = push(of(S1, 7), answers=[look, ok({})])
    assert said(requests[1])[0]["inventory"] == [{"warehouse_id": W1, "quantity": 7}]


def test_a_product_that_does_not_go_back_on_sale_is_tried_again() -> None:
    closed = Target(1, {"product": P, "sku": S1}, (Slot(5, W1),), "k", notes={"off_sale": "yes"})
    _, verdicts = push(closed, answers=[ALONE, ok({}), refusal(12019113)])
    assert isinstance(verdicts[0], Later)


# --- signing, shops, tokens -----------------------------------------------------------------------------


def test_the_signature_covers_path_sorted_query_and_the_bytes_of_the_body() -> None:
    request = run(tiktok.push(SETTINGS, [of(S2, 7)]), iter([BOTH, ok({})]))[0][1]
    sent = wire(tiktok, SETTINGS, request)
    given = dict(sent.query)
    assert sent.headers["x-tts-access-token"] == ACCESS
    assert sent.headers["Content-Type"] == "application/json"
    stamp = str(NOW // 1_000_000)
    assert (given["app_key"], given["timestamp"], given["shop_cipher"]) == (KEY, stamp, CIPHER)
    text = f"{SECRET}{UPDATE}app_key{KEY}shop_cipher{CIPHER}timestamp{stamp}{sent.body.decode()}{SECRET}"
    assert given["sign"] == hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
    assert json.loads(sent.body) == request.json


def shops(*names: str) -> Response:
    return ok({"shops": [{"id": name, "cipher": f"c-{name}", "name": f"S{name}"} for name in names]})


def test_the_only_shop_need_not_be_named() -> None:
    plain = settings_of(tiktok, app_key=KEY, app_secret=SECRET, access_token=ACCESS)
    requests, _ = run(tiktok.push(plain, [of(S2, 7)]), [shops("1"), BOTH, ok({})])
    assert requests[0].url == "/authorization/202309/shops"
    assert requests[0].query == ()
    assert requests[1].query == (("shop_cipher", "c-1"),)


@pytest.mark.parametrize(("known", "named"), [(("1", "2"), ""), ((), ""), (("1",), "7")])
def test_a_shop_that_is_not_clear_is_refused_in_words(known: tuple[str, ...], named: str) -> None:
    plain = settings_of(tiktok, app_key=KEY, app_secret=SECRET, access_token=ACCESS, shop_id=named)
    _, verdicts = run(tiktok.push(plain, [of(S2, 7)]), [shops(*known)])
    assert isinstance(verdicts[0], Rejected)
    assert "this login has" in verdicts[0].words


def naming(shop: str) -> Target:
    return Target(1, {"product": P, "sku": S2}, (Slot(5, W1),), "k", shop=shop)


def test_a_change_that_names_a_shop_goes_to_it() -> None:
    plain = settings_of(tiktok, app_key=KEY, app_secret=SECRET, access_token=ACCESS)
    requests, verdicts = run(tiktok.push(plain, [naming("2")]), [shops(SHOP, "2"), BOTH, ok({})])
    assert [dict(r.query).get("shop_cipher") for r in requests] == [None, "c-2", "c-2"]
    assert isinstance(verdicts[0], Accepted)


def test_changes_for_two_shops_each_go_to_their_own() -> None:
    plain = settings_of(tiktok, app_key=KEY, app_secret=SECRET, access_token=ACCESS)
    answers = [shops("1", "2"), BOTH, ok({}), shops("1", "2"), BOTH, ok({})]
    requests, verdicts = run(tiktok.push(plain, [naming("2"), naming("1")]), answers)
    told = ["c-2", "c-2", "c-1", "c-1"]
    assert [dict(r.query)["shop_cipher"] for r in requests if r.url != requests[0].url] == told
    assert [type(verdict) for verdict in verdicts] == [Accepted, Accepted]


@pytest.mark.parametrize("own", [{"shop_id": "1"}, {"shop_id": "1", "shop_cipher": "c-1"}, {}])
def test_a_change_for_another_shop_is_told_in_the_shop_of_the_listing(own: dict[str, str]) -> None:
    mine = settings_of(tiktok, app_key=KEY, app_secret=SECRET, access_token=ACCESS, **own)
    looked_up = [] if "shop_cipher" in own else [shops("1", "2") if own else shops("1")]
    other = naming("2" if own else "7")
    requests, verdicts = run(tiktok.push(mine, [other]), [*looked_up, BOTH, ok({})])
    assert dict(requests[-1].query)["shop_cipher"] == "c-1"
    assert isinstance(verdicts[0], Accepted)


def test_tokens_rotate_and_their_expiry_is_a_moment() -> None:
    reply = ok({"access_token": "a2", "refresh_token": "r2", "access_token_expire_in": EXPIRES})
    requests, fresh = run(tiktok.tokens(SETTINGS), [reply])
    assert requests[0].url == "https://auth.tiktok-shops.com/api/v2/token/refresh"
    assert not requests[0].signed
    assert dict(requests[0].query)["grant_type"] == "refresh_token"
    assert isinstance(dict(requests[0].query)["app_secret"], Secret)
    assert fresh == {"access_token": "a2", "refresh_token": "r2", "expires_at": EXPIRES * 1_000_000}


def test_the_first_pair_comes_for_the_code_of_the_consent_page() -> None:
    first = settings_of(tiktok, app_key=KEY, app_secret=SECRET, auth_code="consent-code-0001")
    requests, _ = run(tiktok.tokens(first), [ok({"access_token": "a", "refresh_token": "r"})])
    assert requests[0].url.endswith("/token/get")
    assert dict(requests[0].query)["grant_type"] == "authorized_code"


def test_a_refused_refresh_asks_for_a_new_login() -> None:
    with pytest.raises(Failed) as raised:
        run(tiktok.tokens(SETTINGS), [refusal(36004004, "refresh token is invalid")])
    assert raised.value.login


# --- looking, hearing -----------------------------------------------------------------------------------


def test_pull_reads_64_bit_ids_as_texts_and_says_what_cannot_be_written() -> None:
    row = {"id": S1, "seller_sku": "A", "inventory": [{"warehouse_id": W1, "quantity": 3}]}
    products = [
        {"id": P, "title": "Cup", "status": "ACTIVATE", "skus": [row]},
        {"id": "2", "status": "FREEZE", "skus": [{"id": S2, "inventory": []}]},
        {"id": "3", "status": "DELETED", "skus": [row]},
    ]
    requests, page = run(tiktok.pull(SETTINGS, "t1"), [ok({"products": products, "next_page_token": "t2"})])
    assert requests[0].query == (("shop_cipher", CIPHER), ("page_size", "100"), ("page_token", "t1"))
    assert page.cursor == "t2"
    assert [(seen.ids, seen.sku, seen.writable, seen.active) for seen in page.seen] == [
        ({"product": P, "sku": S1}, "A", True, True),
        ({"product": "2", "sku": S2}, None, False, False),
    ]
    assert page.seen[0].shown[0].quantity == 3


def test_pace_hears_a_throttle_inside_a_200() -> None:
    assert tiktok.pace(refusal(99, "Too many requests")) == 2.0
    assert tiktok.pace(answer({"code": 9}, 429, retry_after="7")) == 7.0
    assert tiktok.pace(ok({})) is None


def signed(raw: bytes) -> dict[str, str]:
    return {"authorization": hmac.new(SECRET.encode(), KEY.encode() + raw, hashlib.sha256).hexdigest()}


def message(kind: Any, shop: str = SHOP, **data: Any) -> bytes:
    said = {"type": kind, "tts_notification_id": "n-1", "shop_id": shop, "timestamp": 1, "data": data}
    return json.dumps(said).encode()


@pytest.mark.parametrize(
    ("raw", "polls", "looks"),
    [
        (message(1, order_id="5", order_status="UNPAID"), True, ()),
        (message(11, order_id="5"), True, ()),
        (message(71, product_id=P, sku_id=S1), False, (S1,)),
        (message(5, product_id=P), False, (P,)),
        (message(7), False, ()),
        (message(1, shop="other", order_id="5"), False, ()),
    ],
    ids=["order", "cancellation", "inventory", "product", "expiry", "another shop"],
)
def test_a_webhook_is_a_hint(raw: bytes, polls: bool, looks: tuple[str, ...]) -> None:
    heard = tiktok.hear(SETTINGS, signed(raw), raw, NOW)
    assert (heard.id, heard.poll_orders, heard.look_at, heard.orders) == ("n-1", polls, looks, ())
    assert tiktok.hear(SETTINGS, signed(raw), raw, NOW).id == heard.id, "a repetition has the same id"


@pytest.mark.parametrize("proof", ["", "00", signed(message(1))["authorization"][:-1] + "x"])
def test_a_webhook_of_somebody_else_is_not_heard(proof: str) -> None:
    with pytest.raises(Unheard):
        tiktok.hear(SETTINGS, {"authorization": proof}, message(1), NOW)


@pytest.mark.parametrize(
    ("reply", "is_so"),
    [
        (refusal(105002, "Expired", 200), True),
        (refusal(105005, "This app has not been granted the scope"), False),
        (refusal(36009004, "Invalid credentials. The `x-tts-access-token` header is invalid.", 400), True),
        (refusal(36009004, "Invalid credentials. The `access_token` header is invalid.", 400), True),
        (refusal(36009004, "Invalid timestamp.", 400), False),
        (refusal(12019113), False),
        (ok({}), False),
        (SILENCE, False),
    ],
)
def test_a_token_that_expired_is_known_by_its_code(reply: Response, is_so: bool) -> None:
    assert tiktok.expired(reply) is is_so
