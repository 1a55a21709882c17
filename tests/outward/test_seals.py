"""Secrets at rest: an envelope opens with its key, for its account and connection, and nowhere else."""

from __future__ import annotations

import asyncio
import base64
import os
import resource
import stat
from pathlib import Path
from typing import Any

import pytest

from onhand import seals
from onhand.connectors.channel import Secret
from onhand.seals import BadKey, Key, Seals, fresh, key_of, read_keys
from onhand.settings import BadSetting, Settings, load

VALUES = {"access_token": "5ecret", "expires_at": 7, "nested": {"k": ["v"]}}


def sealer(*keys: Key) -> Seals:
    return Seals(lambda: keys)


def test_what_is_sealed_can_be_opened() -> None:
    mine = sealer(fresh())
    envelope = mine.seal(1, 2, VALUES)
    assert mine.open(1, 2, envelope) == VALUES
    assert "5ecret" not in envelope and base64.b64encode(b"5ecret").decode() not in envelope
    assert envelope != mine.seal(1, 2, VALUES)


def tampered(envelope: str, at: int) -> str:
    parts = envelope.split(".")
    text = parts[at]
    parts[at] = ("A" if text[20] != "A" else "B").join((text[:20], text[21:]))
    return ".".join(parts)


@pytest.mark.parametrize(
    ("account", "connection", "change"),
    [
        (2, 2, str),
        (1, 3, str),
        (2, 1, str),
        (12, 0, str),
        (1, 2, lambda one: tampered(one, 2)),
        (1, 2, lambda one: tampered(one, 3)),
        (1, 2, lambda one: one[:-8]),
        (1, 2, lambda one: one.replace("1.", "2.", 1)),
        (1, 2, lambda one: one + ".x"),
        (1, 2, lambda one: one[:11] + "!!" + one[13:]),
        (1, 2, lambda one: ""),
        (1, 2, lambda one: "1...."),
    ],
)
def test_it_opens_nowhere_else(account: int, connection: int, change: Any) -> None:
    mine = sealer(fresh())
    envelope = change(mine.seal(1, 2, VALUES))
    with pytest.raises(ValueError, match=r"envelope|key") as failure:
        mine.open(account, connection, envelope)
    assert "5ecret" not in str(failure.value)


def test_parts_of_two_envelopes_do_not_fit_together() -> None:
    mine = sealer(fresh())
    one, two = mine.seal(1, 2, VALUES).split("."), mine.seal(1, 2, {"a": 1}).split(".")
    with pytest.raises(ValueError, match="damaged"):
        mine.open(1, 2, ".".join((*one[:3], two[3])))


def test_another_key_is_asked_for_by_its_id() -> None:
    old, new = fresh(), fresh()
    envelope = sealer(old).seal(1, 2, VALUES)
    with pytest.raises(ValueError, match=old.id):
        sealer(new).open(1, 2, envelope)
    assert sealer(new, old).open(1, 2, envelope) == VALUES
    again = sealer(new, old).again(1, 2, envelope)
    assert again is not None and key_of(again) == new.id
    assert sealer(new).open(1, 2, again) == VALUES
    assert sealer(new, old).again(1, 2, again) is None


def test_nothing_shows_a_key() -> None:
    key = fresh()
    words = key.words()
    settings = load({"ONHAND_SECRET_KEY": words})
    for shown in (repr(key), str(key), repr(sealer(key)), repr(settings), str(settings)):
        assert words not in shown and words[:12] not in shown


@pytest.mark.parametrize("text", ["", "x", "AAAA", "ä" * 8, base64.b64encode(b"1" * 31).decode()])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(BadSetting):
        read_keys(text)


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_keys_of_the_environment(encode: Any) -> None:
    raw, old = os.urandom(30) + b"\xfb\xff", fresh()
    settings = load(
        {"ONHAND_SECRET_KEY": f"{encode(raw).decode()}, {old.words()}", "ONHAND_DB": "postgresql://x"}
    )
    found = seals.seals(settings)
    assert key_of(found.seal(1, 1, {})) == Key(raw).id
    assert found.open(1, 1, sealer(old).seal(1, 1, VALUES)) == VALUES


def test_postgresql_needs_to_be_told() -> None:
    found = seals.seals(Settings(db="postgresql://x"))
    with pytest.raises(BadKey, match="ONHAND_SECRET_KEY"):
        found.seal(1, 1, {})


def test_a_file_beside_the_database_is_made_on_first_use(tmp_path: Path) -> None:
    settings = Settings(db=str(tmp_path / "onhand.db"))
    file = tmp_path / "onhand.db.key"
    found = seals.seals(settings)
    assert not file.exists()
    envelope = found.seal(3, 4, VALUES)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert seals.seals(settings).open(3, 4, envelope) == VALUES
    assert [one.name for one in tmp_path.iterdir()] == ["onhand.db.key"]


def test_a_key_that_has_no_room_on_the_disk(tmp_path: Path) -> None:
    file = tmp_path / "hub.db.key"
    seals.write_file(file, [fresh()])
    before = file.read_bytes()
    most, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(BadKey, match=r"key cannot be written: File too large"):
            seals.write_file(file, [fresh(), fresh()])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    assert (file.read_bytes(), list(tmp_path.iterdir())) == (before, [file])


def test_many_make_one_file(tmp_path: Path) -> None:
    file = tmp_path / "key"

    async def run() -> set[str]:
        found = await asyncio.gather(*(asyncio.to_thread(seals.read_file, file) for _ in range(20)))
        return {keys[0].id for keys in found}

    assert len(asyncio.run(run())) == 1


def test_a_file_that_holds_something_else(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("hello")
    settings = Settings(secret_key_file=str(tmp_path / "key"))
    with pytest.raises(BadKey):
        seals.seals(settings).seal(1, 1, {})
    assert (tmp_path / "key").read_text() == "hello"


@pytest.mark.parametrize("how", ["garbage", "folder", "too many"])
def test_a_key_file_that_is_none_is_a_reason_why_an_envelope_does_not_open(tmp_path: Path, how: str) -> None:
    """Couriers and webhooks ask for ValueError: anything else would pass by them as an accident."""
    file = tmp_path / "key"
    settings = Settings(secret_key_file=str(file))
    envelope = seals.seals(settings).seal(1, 1, VALUES)
    many = file.read_text() * (seals.KEYS_LIMIT + 1)
    file.unlink()
    if how == "folder":
        file.mkdir()
    else:
        file.write_text("hello" if how == "garbage" else many)
    with pytest.raises(ValueError, match="key") as failure:
        seals.seals(settings).open(1, 1, envelope)
    assert isinstance(failure.value, BadKey)
    with pytest.raises(ValueError, match="ONHAND_SECRET_KEY"):
        seals.seals(Settings(db="postgresql://x")).open(1, 1, envelope)


def test_secrets_in_settings_are_text() -> None:
    assert load({"ONHAND_SECRET_KEY": "x"}).secret_key == Secret("x")
