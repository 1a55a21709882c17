"""Runs a program under strace, and reads from its log what it did to files, and what it sent."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

STRACE = shutil.which("strace") or ""
CALLS = (
    "openat,pwrite64,write,writev,sendto,sendmsg,ftruncate,fallocate,fdatasync,fsync,link,linkat,unlink,"
    "unlinkat,rename,renameat,renameat2,pwritev,sync_file_range,copy_file_range,sendfile"
)
LONGEST = 4_200_000
"""Bytes of one call's data that are logged."""

HARMLESS = frozenset({"sync_file_range"})
KNOWN = frozenset({"pwrite64", "write", "ftruncate", "fdatasync", "fsync"})
NAMES = frozenset({"openat", "link", "unlink", "unlinkat", "rename"})
SENDS = frozenset({"write", "writev", "sendto", "sendmsg"})


class Call(NamedTuple):
    """A system call: when it began and ended (seconds), its name, the file's path, and what goes with it."""

    began: float
    ended: float
    name: str
    path: str
    data: bytes = b""
    offset: int = 0
    other: str = ""
    """The new name of a link or of a rename."""


class Unknown(Exception):
    """The program did something to a file that is not understood here."""


def strace(log: Path, *words: object) -> list[str]:
    """The command line that runs ``words``, as the process that is started, and writes ``log``."""
    options = ["-D", "-f", "--seccomp-bpf", "-y", "-xx", "-ttt", "-T", "-s", str(LONGEST)]
    return [STRACE, *options, "-o", str(log), "-e", f"trace={CALLS}", *(str(word) for word in words)]


def missing() -> str:
    """Why nothing can be traced here; "" if it can."""
    if not STRACE:
        return "strace is not installed"
    tried = [STRACE, "-f", "--seccomp-bpf", "-o", os.devnull, "true"]
    done = subprocess.run(tried, check=False, capture_output=True, text=True)
    return f"strace cannot trace here: {done.stderr.strip()}" if done.returncode else ""


def run(log: Path, *words: object) -> int:
    """Run a program to its end under strace; its number as a process."""
    with subprocess.Popen(strace(log, *words), stdout=subprocess.DEVNULL) as process:
        assert process.wait() == 0
        return process.pid


_LINE = re.compile(r"^(\d+)\s+(\d+\.\d+) (.*)$", re.S)
_RESUMED = re.compile(r"^<\.\.\. (\w+) resumed>(.*)$", re.S)
_ENDED = re.compile(r"^(\w+)\((.*)\)\s+= (-?\d+|\?)(.*?)(?: <(\d+\.\d+)>)?$", re.S)
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_FILE = re.compile(r"^(?:AT_FDCWD|\d+)<((?:\\x[0-9a-f]{2})*|[^>]*)>")


def calls(log: Path, folder: Path) -> Iterator[Call]:
    """What was done to files in ``folder``, and what was sent (its path is ""), in the order of beginning.
    What failed is left out. Raises Unknown for what is not understood."""
    found = [one for one in _all(log) if one.path == "" or Path(one.path).is_relative_to(folder)]
    yield from sorted(found, key=lambda one: one.began)


def _all(log: Path) -> Iterator[Call]:
    begun: dict[str, tuple[float, str]] = {}
    with log.open(encoding="ascii") as lines:
        for line in lines:
            whole = _LINE.match(line.rstrip("\n"))
            if whole is None:
                continue
            thread, at, words = whole[1], float(whole[2]), whole[3]
            if words.endswith("<unfinished ...>"):
                begun[thread] = (at, words.removesuffix("<unfinished ...>"))
                continue
            began, ended = at, None
            if resumed := _RESUMED.match(words):
                began, first = begun.pop(thread)
                ended, words = at, first.rstrip() + resumed[2]
            if (call := _ENDED.match(words)) and not call[3].startswith(("-", "?")):
                ended = ended or began + float(call[5] or 0)
                yield from _call(began, ended, call[1], call[2], call[3])


def _call(began: float, ended: float, name: str, words: str, result: str) -> Iterator[Call]:
    texts = [_bytes(text) for text in _TEXT.findall(words)]
    file = _FILE.match(words)
    path = _bytes(file[1]).decode(errors="replace") if file else ""
    if name in SENDS and not path.startswith("/"):
        if path.startswith(("TCP", "socket")):
            yield Call(began, ended, "send", "", b"".join(texts))
    elif name in NAMES:
        names = [str(Path(path or "/") / text.decode()) for text in texts]
        if name == "openat":
            opened = "create" if "O_CREAT" in words else "open"
            yield Call(began, ended, opened, names[0], b"cut" if "O_TRUNC" in words else b"")
        else:
            yield Call(began, ended, name.removesuffix("at"), names[0], other=names[-1])
    elif name in ("linkat", "renameat", "renameat2"):
        old, new = (text.decode() for text in texts)
        yield Call(began, ended, name.rstrip("2").removesuffix("at"), old, other=new)
    elif name in KNOWN:
        last = words.rsplit(",", 1)[-1].strip()
        offset = int(last) if name in ("pwrite64", "ftruncate") else -1
        data = texts[0][: int(result)] if texts else b""
        yield Call(began, ended, name, path, data, offset)
    elif name not in HARMLESS:
        yield Call(began, ended, f"?{name}", path)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", "")) if text.startswith("\\x") else text.encode()


def refuse_unknown(found: Sequence[Call]) -> None:
    """Raise Unknown if something else was done to a file than what a `disk.Disk` can follow."""
    for one in found:
        if one.name.startswith("?"):
            raise Unknown(f"{one.name[1:]} of {one.path}")
