"""A hub that is asked to stop while somebody waits for what may not happen soon."""

import signal
import threading
import time
from pathlib import Path

import httpx2
import pytest

from onhand import merchandise
from servers import demo_server

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
