"""How the hub logs: readable lines for a person, JSON for a machine; always on standard error."""

from __future__ import annotations

import logging
import sys

import structlog

from onhand.wording import harmless


def configure(*, as_json: bool = False, level: int = logging.INFO) -> None:
    """Set the log up once, at the edge of the process."""
    person = sys.stderr.isatty() and not as_json
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
        # Standard error as it is when something is logged: one that was bound here may be closed by then.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _harmless(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Nothing that a client or a channel has said steers the terminal that the log is read on."""
    return {name: harmless(value) if isinstance(value, str) else value for name, value in event.items()}
