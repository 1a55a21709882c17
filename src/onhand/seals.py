"""Seals secrets for storing: AES-256-GCM envelopes that open for one account and connection only.

An envelope is ``1.<key id>.<wrapped data key>.<sealed values>``, the last two base64url of a 96-bit nonce and
what AES-256-GCM made. Each envelope has a data key of its own, drawn at random; only that is encrypted with
the hub's key, so the hub's key encrypts little. Both are bound to ``account|connection|key id``: an envelope
that is copied to another row does not open there.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection

from onhand.settings import BadSetting, Settings
from onhand.store import sealing
from onhand.store.engine import is_postgresql

VERSION = "1"
KEY_BYTES, NONCE_BYTES = 32, 12
KEYS_LIMIT = 10
DRAFT_BYTES = 4
"""How much chance there is in the name of a file of keys that is being written."""


class BadKey(BadSetting, ValueError):
    """The key for secrets is missing or is none, in words. A ValueError too: to who wants to open an envelope
    it is one more reason why that cannot be done."""


class Key:
    """A key of 256 bits; ``id`` names it without telling it."""

    __slots__ = ("_bytes", "id")

    def __init__(self, raw: bytes) -> None:
        if len(raw) != KEY_BYTES:
            raise BadKey(f"a key for secrets has {KEY_BYTES} bytes, in base64")
        self._bytes = raw
        self.id = hashlib.sha256(b"onhand key id" + raw).hexdigest()[:8]

    def __repr__(self) -> str:
        return f"Key({self.id})"

    def encrypt(self, data: bytes, bound: bytes) -> bytes:
        """Nonce and ciphertext."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + AESGCM(self._bytes).encrypt(nonce, data, bound)

    def decrypt(self, sealed: bytes, bound: bytes) -> bytes:
        """The data. Raises InvalidTag."""
        return AESGCM(self._bytes).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound)

    def words(self) -> str:
        """The key as it is stored."""
        return base64.b64encode(self._bytes).decode()


def fresh() -> Key:
    """A new key."""
    return Key(secrets.token_bytes(KEY_BYTES))


def read_keys(text: str) -> tuple[Key, ...]:
    """Keys in base64, by comma or line; the first one seals, all of them open. Raises BadKey."""
    words = text.replace(",", "\n").split()
    if not words:
        raise BadKey("there is no key for secrets")
    if len(words) > KEYS_LIMIT:
        raise BadKey(f"there are more than {KEYS_LIMIT} keys for secrets")
    try:
        return tuple(Key(base64.b64decode(word, altchars=_altchars(word), validate=True)) for word in words)
    except ValueError:
        raise BadKey(f"a key for secrets has {KEY_BYTES} bytes, in base64") from None


def _altchars(word: str) -> bytes | None:
    return b"-_" if "-" in word or "_" in word else None


class Seals:
    """Makes and opens envelopes. ``keys`` is asked each time, so that a rotation is noticed at once."""

    def __init__(self, keys: Callable[[], Sequence[Key]]) -> None:
        self._keys = keys

    def __repr__(self) -> str:
        return "Seals(***)"

    def seal(self, account: int, connection: int, values: Mapping[str, Any]) -> str:
        """An envelope with these values, which JSON can carry. Inside a unit of the writer, where it is to
        be stored: a rotation must not pass between. Raises BadKey."""
        key = self._keys()[0]
        bound = _bound(account, connection, key.id)
        data = fresh()
        inner = data.encrypt(msgspec.json.encode(dict(values)), bound)
        wrapped = key.encrypt(base64.b64decode(data.words()), bound)
        return ".".join((VERSION, key.id, _text(wrapped), _text(inner)))

    def open(self, account: int, connection: int, envelope: str) -> dict[str, Any]:
        """The values inside. Raises ValueError in words, without values; BadKey when there is no key."""
        version, _, rest = envelope.partition(".")
        parts = rest.split(".")
        if version != VERSION or len(parts) != 3:
            raise ValueError("this is no envelope of ours")
        name, wrapped, inner = parts
        key = next((one for one in self._keys() if one.id == name), None)
        if key is None:
            raise ValueError(
                f"the secrets were sealed with the key {name}, which is not here: put it back,"
                " or give the settings again (onhand reconnect)"
            )
        bound = _bound(account, connection, name)
        try:
            data = Key(key.decrypt(_bytes(wrapped), bound))
            found: dict[str, Any] = msgspec.json.decode(data.decrypt(_bytes(inner), bound))
        except (InvalidTag, binascii.Error, msgspec.DecodeError, ValueError, BadKey):
            raise ValueError("the envelope is damaged, or belongs to another connection") from None
        return found

    def first(self) -> str:
        """The id of the key that seals. Raises BadKey."""
        return self._keys()[0].id

    def again(self, account: int, connection: int, envelope: str) -> str | None:
        """The same sealed with the first key; None when it is so already. Raises ValueError."""
        if key_of(envelope) == self._keys()[0].id:
            return None
        return self.seal(account, connection, self.open(account, connection, envelope))


def key_of(envelope: str) -> str:
    """The id of the key that an envelope was sealed with."""
    return envelope.split(".", 2)[1] if envelope.count(".") >= 2 else ""


def _bound(account: int, connection: int, key: str) -> bytes:
    return f"{account}|{connection}|{key}".encode()


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


# --- where the keys are -------------------------------------------------------------------------------


def key_file(settings: Settings) -> Path | None:
    """The file that holds the keys; None when the environment does, or nobody."""
    if settings.secret_key is not None:
        return None
    if settings.secret_key_file:
        return Path(settings.secret_key_file)
    if is_postgresql(settings.db):
        return None
    return Path(settings.db + ".key")


def seals(settings: Settings) -> Seals:
    """The seals that these settings ask for. A SQLite file's key lies beside it and is made when the first
    secret is sealed; PostgreSQL needs ONHAND_SECRET_KEY or ONHAND_SECRET_KEY_FILE."""
    given = settings.secret_key
    if given is not None:
        keys = read_keys(given.reveal())
        return Seals(lambda: keys)
    file = key_file(settings)
    if file is None:
        return Seals(_nowhere)
    return Seals(lambda: read_file(file))


def only_looking(settings: Settings) -> Seals:
    """The same, for who opens and does not seal: no file of keys is made. Raises BadKey."""
    file = key_file(settings)
    if file is not None and not file.exists():
        return Seals(tuple)
    return seals(settings)


def _nowhere() -> Sequence[Key]:
    raise BadKey(
        "secrets need a key: set ONHAND_SECRET_KEY or ONHAND_SECRET_KEY_FILE ('onhand secrets new-key')"
    )


def read_file(file: Path) -> tuple[Key, ...]:
    """The keys in a file, which is made with a fresh one if it is not there. Raises BadKey."""
    try:
        return read_keys(file.read_text(encoding="ascii"))
    except FileNotFoundError:
        write_file(file, [fresh()], new=True)
        return read_keys(file.read_text(encoding="ascii"))
    except UnicodeDecodeError:
        raise BadKey(f"{file} is no file of keys") from None
    except OSError as error:
        raise BadKey(f"the file of keys {file} cannot be read: {error.strerror}") from None


def write_file(file: Path, keys: Sequence[Key], *, new: bool = False) -> None:
    """Write keys so that only their owner can read them, and never half. A ``new`` file does not replace
    one that another process has just made. Raises BadKey when it cannot be written."""
    draft = file.with_name(f"{file.name}.{os.getpid()}.{secrets.token_hex(DRAFT_BYTES)}")
    try:
        try:
            _write(draft, "".join(f"{key.words()}\n" for key in keys))
            if new:
                with contextlib.suppress(FileExistsError):
                    os.link(draft, file)
            else:
                draft.replace(file)
        finally:
            draft.unlink(missing_ok=True)
        folder = os.open(file.absolute().parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise BadKey(f"the file of keys {file} cannot be written: {error.strerror}") from error


def _write(draft: Path, words: str) -> None:
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(words)
        stream.flush()
        os.fsync(stream.fileno())


def remove_drafts(file: Path) -> None:
    """Remove what killed processes have left beside a file of keys that is there: keys lie in it."""
    ours = re.compile(re.escape(file.name) + rf"\.\d+\.[0-9a-f]{{{2 * DRAFT_BYTES}}}")
    for one in file.absolute().parent.iterdir():
        if ours.fullmatch(one.name):
            one.unlink(missing_ok=True)


# --- rotation -----------------------------------------------------------------------------------------


def reseal(connection: Connection, with_: Seals, account: int) -> tuple[int, dict[int, str]]:
    """Seal the secrets of an account's connections with the first key: how many were, and why others cannot
    be, by connection. For a unit of the writer. One that does not open must not keep the others on an old
    key."""
    count, closed = 0, dict[int, str]()
    sealing.hold(connection, account)
    for link, envelope in sealing.envelopes(connection, account):
        try:
            made = with_.again(account, link, envelope)
        except ValueError as error:
            closed[link] = str(error)
            continue
        if made is not None:
            sealing.keep(connection, account, link, made)
            count += 1
    return count, closed


def closed(connection: Connection, with_: Seals, account: int) -> dict[int, str]:
    """Why secrets of an account's connections cannot be opened, by connection; none is good."""
    found = dict[int, str]()
    for link, envelope in sealing.envelopes(connection, account):
        try:
            with_.open(account, link, envelope)
        except ValueError as error:
            found[link] = str(error)
    return found


def keys_in_use(connection: Connection, account: int) -> set[str]:
    """The ids of the keys that an account's envelopes were sealed with."""
    return {key_of(envelope) for _, envelope in sealing.envelopes(connection, account)}
