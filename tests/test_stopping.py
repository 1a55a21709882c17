"""A hub that is asked to stop while somebody waits for what may not happen soon."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import httpx2
import pytest

from onhand import merchandise
from onhand.__main__ import TERMINATED
from servers import PROGRAM, STOP_SECONDS, clean_environment, demo_server

SOON = 5.0
"""Seconds; less than what is under way is given to end, and than the wait."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_waits_for_channels_is_answered_at_once(tmp_path: Path, number: signal.Signals) -> None:
    with demo_server(tmp_path, ONHAND_COURIER="false") as (server, demo):
        api = httpx2.Client(
            base_url=demo["native"]["base_url"],
            headers={"Authorization": f"Bearer {demo['native']['api_key']}"},
            timeout=60,
        )
        changes = [
            {"op": "adjust", "sku": one.sku, "location": "MAIN", "delta": 1, "reason": "receipt"}
            for one in merchandise.GOODS
        ]
        made = api.post("/changes", json={"changes": changes}).json()
        found: list[httpx2.Response] = []
        waiting = threading.Thread(
            target=lambda: found.append(api.get(f"/changes/{made['token']}/seen", params={"wait": "30"}))
        )
        waiting.start()
        time.sleep(0.5)
        began = time.monotonic()
        assert server.stop(number) == 0
        assert time.monotonic() - began < SOON
        waiting.join()
        assert (found[0].status_code, found[0].json()["seen"]) == (200, False)
        assert "Traceback" not in server.err.read_text(encoding="utf-8")
        api.close()


def apart() -> bool:
    """Whether a process can be the first one of its own here, as in a container."""
    try:
        return subprocess.run(["unshare", "-pf", "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not apart(), reason="needs unshare, and the right to use it")
def test_the_first_process_of_a_container_can_be_stopped_while_it_starts(tmp_path: Path) -> None:
    words = ["unshare", "-pf", *PROGRAM, "serve", "--db", tmp_path / "a.db", "--port", "0"]
    with subprocess.Popen([str(word) for word in words], env=clean_environment()) as outer:
        children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
        ends = time.monotonic() + STOP_SECONDS
        while outer.poll() is None and time.monotonic() < ends:
            for child in children.read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(child), signal.SIGTERM)
            time.sleep(0.05)
        assert outer.wait(STOP_SECONDS) == TERMINATED
