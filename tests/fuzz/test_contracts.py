"""Each API is fuzzed against its own contract: the real hub over HTTP, and no answer that is not promised.

`make fuzz EXAMPLES=1000` looks longer, with chains of calls and another seed each time.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from commands import onhand
from fuzz.targets import TARGETS, configuration, document
from servers import clean_environment, demo_server

LONG = os.environ.get("EXAMPLES")
EXAMPLES = "6"
SECONDS = 400 if LONG is None else 24 * 3600
BOUNDED = ("--generation-deterministic", "-n", EXAMPLES, "--phases")
KEPT = {"HYPOTHESIS_STORAGE_DIRECTORY": str(Path(__file__).parents[2] / ".hypothesis")}
"""Where Hypothesis keeps its tables of Unicode, which take a second or two to make; examples are not kept."""


@pytest.mark.parametrize("name", TARGETS)
def test_every_answer_is_in_the_contract(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    with demo_server(tmp_path) as (server, demo):
        settings = tmp_path / "schemathesis.toml"
        settings.write_text(configuration(target, demo), encoding="utf-8")
        command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(settings)]
        command += ["run", str(document(target)), "--no-color", "--warnings", "off"]
        command += (*BOUNDED, target.phases) if LONG is None else ("-n", LONG, "--continue-on-failure")
        command += target.choice
        done = subprocess.run(
            command,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env=clean_environment() | KEPT,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert " passed" in done.stdout
        server.stop()
        assert "Traceback" not in server.err.read_text(encoding="utf-8")
    verified = onhand("verify", "--db", tmp_path / "hub.db")
    assert verified.code == 0, verified.out
