"""One writer for a SQLite file: who holds it, and where that hub can be reached."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from pathlib import Path
from typing import NamedTuple

from onhand.store.engine import StoreError, require_folder


class Holder(NamedTuple):
    """The hub that has a database open: its process, address and the token for its own machine."""

    pid: int
    url: str
    token: str


class Held(StoreError):
    """Another process has the database open for writing."""

    def __init__(self, path: Path, holder: Holder | None) -> None:
        who = f"process {holder.pid}, on {holder.url}" if holder else "another process"
        super().__init__(f"{path} is being written by {who}: stop it first")
        self.holder = holder


class Lock:
    """An exclusive claim on a SQLite file. It ends with the process, however that ends."""

    def __init__(self, path: Path) -> None:
        self.path = _beside(path)
        self._database = path
        self._file: int | None = None
        self.token = secrets.token_urlsafe(32)

    def take(self) -> None:
        """Claim the file. Raises Held, with the holder if it says who it is; StoreError without a folder."""
        require_folder(self.path)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise Held(self._database, holder(self._database)) from None
        os.ftruncate(descriptor, 0)
        self._file = descriptor

    def announce(self, url: str) -> None:
        """Write where this process can be reached, for command lines on this machine."""
        if self._file is None:
            return
        words = json.dumps({"pid": os.getpid(), "url": url, "token": self.token})
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, words.encode(), 0)

    def release(self) -> None:
        """Give the claim back. The file stays: removing it would race with the next claim."""
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None


def holder(path: Path) -> Holder | None:
    """Who says that it holds the database; None when nobody does."""
    try:
        found = json.loads(_beside(path).read_text())
        return Holder(int(found["pid"]), str(found["url"]), str(found["token"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _beside(path: Path) -> Path:
    """The file that is claimed: beside the database itself, whatever link it was reached by."""
    real = Path(os.path.realpath(path))
    return real.with_name(real.name + ".lock")
