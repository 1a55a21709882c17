"""Runs the command line: the way in of ``onhand`` and of ``python -m onhand``."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys

STOPPED = 130
"""The exit code of a command that was stopped by Ctrl-C."""

TERMINATED = 143
FIRST = 1
"""The process that a container begins with: no signal ends it that it does not ask for."""


def main() -> None:
    """Run the command line. Until it is imported, which takes a while, Ctrl-C just ends the process."""
    _open_streams()
    usual = signal.getsignal(signal.SIGINT)
    if usual is signal.default_int_handler:  # and not ignored, as in the background of a shell
        signal.signal(signal.SIGINT, lambda number, frame: os._exit(STOPPED))
    if os.getpid() == FIRST:
        signal.signal(signal.SIGTERM, lambda number, frame: os._exit(TERMINATED))
    # Not at the top: that would be before anybody could say what Ctrl-C means. What is imported stays: to
    # look for what of it could go, while it comes and once more at the end, took a third of a short command.
    gc.disable()
    cli = importlib.import_module("onhand.cli")
    gc.freeze()
    gc.enable()
    signal.signal(signal.SIGINT, usual)
    cli.main()


def _open_streams() -> None:
    """Let a stream that was closed lead nowhere: else the next file that is opened takes its place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115 - for as long as the process lives


if __name__ == "__main__":
    main()
