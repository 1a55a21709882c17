"""How the hub logs: readable lines for a person, JSON for a machine; always on standard error."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading

import structlog

from onhand.wording import harmless


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

    One that cannot be written (its reader has gone, or the disk that it goes to is full) is lost, and nothing
    else: most are written where something has failed already, by a loop or a writer that must go on.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def msg(self, line: str) -> None:
        """Write a line."""
        with self._lock, contextlib.suppress(OSError, ValueError):
            if sys.stderr is not None:
                sys.stderr.write(line + "\n")
                sys.stderr.flush()

    debug = info = warning = error = critical = msg


_LINES = _Lines()


def _harmless(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Nothing that a client or a channel has said steers the terminal that the log is read on."""
    return {name: harmless(value) if isinstance(value, str) else value for name, value in event.items()}
