"""Litestream copies the log of a hub that writes: the copy is whole, and lacks no more than the last moments.

Runs where `litestream` is on the PATH, or LITESTREAM names it; 0.5 is what it was written against. With -s
it prints how much was lost.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from backup.test_sqlite import references
from backup.trading import trading
from commands import onhand
from servers import demo_server, serving

LITESTREAM = os.environ.get("LITESTREAM") or shutil.which("litestream")
TRADE_SECONDS = 12
WINDOW_SECONDS = 8
"""What a copy may lack on a machine that has other things to do; its own interval is a second."""

SETTINGS = """
dbs:
  - path: {db}
    replica:
      type: file
      path: {copies}
      sync-interval: 1s
"""


@contextlib.contextmanager
def replicating(binary: str, settings: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Litestream at work, until it is killed or the block ends."""
    with settings.with_suffix(".log").open("wb") as said:
        command = [binary, "replicate", "-config", str(settings)]
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(LITESTREAM is None, reason="litestream is not installed")
def test_a_copy_lacks_the_last_moments_only(tmp_path: Path) -> None:
    assert LITESTREAM is not None
    db, copy, settings = tmp_path / "hub.db", tmp_path / "copy.db", tmp_path / "litestream.yml"
    settings.write_text(SETTINGS.format(db=db, copies=tmp_path / "copies"))
    with demo_server(tmp_path) as (hub, demo), replicating(LITESTREAM, settings) as litestream:
        key = demo["native"]["api_key"]
        with trading(hub, key) as acknowledged:
            time.sleep(TRADE_SECONDS)
            # What is not copied by now stays here, as if this machine were gone.
            litestream.kill()
            lost_at = time.monotonic()
        assert hub.stop() == 0
    restore = [LITESTREAM, "restore", "-config", str(settings), "-o", str(copy), str(db)]
    subprocess.run(restore, check=True, capture_output=True)
    verified = onhand("verify", "--db", copy)
    assert verified.code == 0, verified.out + verified.err
    kept = references(copy)
    missing = [at for name, at in acknowledged.items() if at <= lost_at and name not in kept]
    window = lost_at - min(missing) if missing else 0.0
    print(f"{len(acknowledged)} acknowledged, {len(missing)} not in the copy: the last {window:.2f} s")
    assert window < WINDOW_SECONDS
    assert len(acknowledged) > len(missing)
    with serving(copy) as other:
        headers = {"Authorization": f"Bearer {key}"}
        assert httpx2.get(f"{other.url}/api/v1/levels", headers=headers).status_code == 200
        assert other.stop() == 0
