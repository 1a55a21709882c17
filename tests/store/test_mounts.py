"""A SQLite file on another machine's file system: refused, unless the operator takes the risk by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from commands import onhand
from onhand.store import mounts
from onhand.store.engine import WeakDurability, durability_faults, open_store

HERE = "29 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw"
ELSE = "40 29 0:4711 / /else rw shared:5 - nfs4 server:/else rw,vers=4.2"


def listed(folder: Path, *kinds: str) -> Path:
    """A list of what is mounted, where the folder's own device is of these kinds, one over the other."""
    device = folder.stat().st_dev
    own = f"41 29 {os.major(device)}:{os.minor(device)} / /mnt/a\\040b rw,nosuid shared:1 -"
    path = folder / "mounts"
    path.write_text("\n".join([HERE, *(f"{own} {kind} server:/x rw" for kind in kinds), ELSE, "", "odd"]))
    return path


@pytest.mark.parametrize(
    ("kinds", "found"),
    [
        (("nfs4",), "nfs4"),
        (("cifs",), "cifs"),
        (("fuse.sshfs",), "fuse.sshfs"),
        (("ext4",), None),
        (("9p",), None),
        (("nfs4", "ext4"), None),
        ((), None),
    ],
)
def test_where_a_file_lies(tmp_path: Path, kinds: tuple[str, ...], found: str | None) -> None:
    assert mounts.distant(tmp_path / "hub.db", listed(tmp_path, *kinds)) == found


def test_where_nothing_is_known(tmp_path: Path) -> None:
    assert mounts.distant(tmp_path / "hub.db", tmp_path / "missing") is None
    assert mounts.distant(tmp_path / "missing" / "hub.db") is None


def test_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "hub.db")
    assert onhand("init", "--db", path).code == 0
    monkeypatch.setattr(mounts, "MOUNTS", listed(tmp_path, "nfs4"))
    with pytest.raises(WeakDurability, match="lies on nfs4, another machine's file system"):
        open_store(path)
    open_store(path, reads_only=True).close()
    store = open_store(path, accept_loss=True)
    assert len(durability_faults(store)) == 1
    store.close()
    assert onhand("serve", "--db", path, "--port", 0).code == 1
    assert "nfs4" in onhand("doctor", "--db", path).out
