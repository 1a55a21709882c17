"""A disk that has kept what was synced, and of the rest what chance would have it: whole, torn or not at all.

It is stricter than any file system must be: a file's bytes last once that file is synced, and its name once
its folder is; what was written later may be there without what was written before.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

from powerloss.traced import Call

SECTORS = (512, 4096)
KEPT = (0.0, 0.1, 0.5, 0.9, 1.0)
"""How likely one unsynced write is on the disk, drawn anew for every power cut."""


class File:
    """A file's bytes: what lasts, and what was done to it since, each with the moment it began."""

    def __init__(self) -> None:
        self.lasting = bytearray()
        self.now = bytearray()
        self.since: list[Call] = []

    def change(self, call: Call) -> None:
        """Write or cut."""
        if call.name == "write":
            call = call._replace(name="pwrite64", offset=len(self.now))
        self.since.append(call)
        _do(self.now, call)

    def sync(self, began: float) -> None:
        """What had been done before lasts."""
        while self.since and self.since[0].ended <= began:
            _do(self.lasting, self.since.pop(0))

    def after_power_loss(self, chance: random.Random, kept: float) -> bytes:
        """What may be there."""
        found = bytearray(self.lasting)
        for call in self.since:
            if chance.random() < kept:
                _do(found, call)
            elif call.name == "pwrite64" and chance.random() < kept:
                _tear(found, call, chance)
        return bytes(found)


def _do(on: bytearray, call: Call) -> None:
    end = call.offset + len(call.data)
    if call.name == "ftruncate":
        del on[call.offset :]
    if len(on) < end:
        on.extend(bytes(end - len(on)))
    if call.data:
        on[call.offset : end] = call.data


def _tear(on: bytearray, call: Call, chance: random.Random) -> None:
    sector = chance.choice(SECTORS)
    at, end = call.offset, call.offset + len(call.data)
    while at < end:
        stop = min((at // sector + 1) * sector, end)
        if chance.random() < 0.5:
            _do(on, call._replace(offset=at, data=call.data[at - call.offset : stop - call.offset]))
        at = stop


Name = tuple[str, File | None]


class Disk:
    """The files of one folder, as calls change them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lasting: dict[str, File] = {}
        self._now: dict[str, File] = {}
        self._since: list[tuple[float, Name]] = []

    def fill(self, files: Iterable[Path]) -> None:
        """These files are there and last."""
        for path in files:
            file = File()
            file.lasting, file.now = bytearray(path.read_bytes()), bytearray(path.read_bytes())
            self._lasting[str(path)] = self._now[str(path)] = file

    def follow(self, call: Call) -> None:
        """Do what a call did. A sync counts for what had ended when it began."""
        match call.name:
            case "create" if call.path not in self._now:
                self._name(call, call.path, File())
            case "create" | "open" if call.data:
                self._now[call.path].change(call._replace(name="ftruncate", data=b"", offset=0))
            case "pwrite64" | "write" | "ftruncate":
                if (file := self._now.get(call.path)) is not None:
                    file.change(call)
            case "fsync" | "fdatasync" if call.path == str(self._folder):
                self._sync(call.began)
            case "fsync" | "fdatasync":
                if (file := self._now.get(call.path)) is not None:
                    file.sync(call.began)
            case "unlink":
                self._name(call, call.path, None)
            case "link" | "rename":
                self._name(call, call.other, self._now[call.path])
                if call.name == "rename":
                    self._name(call, call.path, None)
            case _:
                pass  # a look, or a message

    def _name(self, call: Call, path: str, file: File | None) -> None:
        self._since.append((call.ended, (path, file)))
        _put(self._now, (path, file))

    def _sync(self, began: float) -> None:
        while self._since and self._since[0][0] <= began:
            _put(self._lasting, self._since.pop(0)[1])

    def lose_power(self, chance: random.Random, into: Path) -> None:
        """Write into a folder what may be there after it."""
        kept = chance.choice(KEPT)
        names = dict(self._lasting)
        for _, name in self._since:
            if chance.random() < kept:
                _put(names, name)
        for path, file in names.items():
            (into / Path(path).name).write_bytes(file.after_power_loss(chance, kept))


def _put(names: dict[str, File], name: Name) -> None:
    path, file = name
    if file is None:
        names.pop(path, None)
    else:
        names[path] = file
