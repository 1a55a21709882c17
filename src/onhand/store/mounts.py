"""Says when a file lies on another machine, which then decides what is synced, and who holds it."""

from __future__ import annotations

import os
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
"""Linux's list of what is mounted; elsewhere there is none, and nothing is known."""

DISTANT = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs"})
DISTANT |= {f"fuse.{name}" for name in ("sshfs", "s3fs", "rclone", "gcsfuse", "goofys")}
"""Kinds of file systems that are another machine's, or no file system at all. Those of a cluster, which keep
locks and syncs for all their machines, are not among them."""


def distant(path: Path, mounts: Path | None = None) -> str | None:
    """The kind of the file system that ``path`` lies on, if that is another machine's."""
    try:
        device = Path(os.path.realpath(path)).parent.stat().st_dev
        lines = (mounts or MOUNTS).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    kinds = [_kind(line) for line in lines if _device(line) == (os.major(device), os.minor(device))]
    return kinds[-1] if kinds and kinds[-1] in DISTANT else None


def _device(line: str) -> tuple[int, int] | None:
    """Which device a line is about: its third word, as 0:52."""
    words = line.split(" ", 3)
    major, _, minor = words[2].partition(":") if len(words) > 2 else ("", "", "")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else None


def _kind(line: str) -> str:
    """The first word behind the dash; a blank in a name is written as \\040."""
    return line.partition(" - ")[2].partition(" ")[0]
