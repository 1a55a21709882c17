"""How the hub logs: readable lines for a person, JSON for a machine; always on standard error."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import select
import sys
import threading
from typing import TextIO

import structlog

from onhand.wording import harmless

PIECE_BYTES = select.PIPE_BUF
"""What a pipe takes at once if it takes anything."""

PATIENCE_SECONDS = 1.0
"""How long a reader that does not read is waited for. Once: then lines are lost until it reads again."""


def configure(*, as_json: bool = False, level: int = logging.INFO) -> None:
    """Set the log up once, at the edge of the process."""
    person = sys.stderr is not None and sys.stderr.isatty() and not as_json
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if person else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            *([_harmless] if person else []),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _LINES,
        cache_logger_on_first_use=False,
    )


class _Lines:
    """Writes lines to standard error as it is then: one that was bound earlier may be closed by now.

    One that cannot be written (its reader has gone or stands still, the terminal is stopped, or the disk that
    it goes to is full) is lost, and nothing else: most are written where something has failed already, by a
    loop or a writer that must go on.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = True

    def msg(self, line: str) -> None:
        """Write a line."""
        stream = sys.stderr
        with self._lock, contextlib.suppress(OSError, ValueError):
            if stream is None:
                return
            if (number := _descriptor(stream)) is None:
                stream.write(line + "\n")
            else:
                begin = "" if self._taken else "\n"  # of one before this there may be a half
                self._send(number, (begin + line + "\n").encode(stream.encoding, "backslashreplace"))

    def _send(self, number: int, rest: bytes) -> None:
        poll = select.poll()
        poll.register(number, select.POLLOUT)
        while rest:
            self._taken = bool(poll.poll(PATIENCE_SECONDS * 1000 if self._taken else 0))
            if not self._taken:
                return
            rest = rest[os.write(number, rest[:PIECE_BYTES]) :]

    debug = info = warning = error = critical = msg


_LINES = _Lines()


def _descriptor(stream: TextIO) -> int | None:
    """The file behind a stream; None where it is kept in memory."""
    try:
        return stream.fileno()
    except io.UnsupportedOperation:
        return None


def _harmless(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Nothing that a client or a channel has said steers the terminal that the log is read on."""
    return {name: harmless(value) if isinstance(value, str) else value for name, value in event.items()}
