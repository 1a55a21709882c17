"""The log on a terminal: what others have said cannot steer it."""

import sys

import pytest
import structlog

from onhand import log

SAID = "ev\x1b]0;x\x07il\u009b2J\u202e"
SHOWN = "ev\\x1b]0;x\\x07il\\x9b2J\\u202e"


@pytest.mark.parametrize("where", ["value", "event", "exception"])
def test_a_terminal_is_not_steered(
    where: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    before = structlog.get_config()
    log.configure()
    try:
        logger = structlog.get_logger()
        match where:
            case "value":
                logger.info("a thing", words=SAID)
            case "event":
                logger.info(SAID)
            case _:
                try:
                    raise ValueError(SAID)
                except ValueError:
                    logger.exception("a thing")
    finally:
        structlog.configure(**before)
    shown = capsys.readouterr().err
    assert SHOWN in shown
    assert not any(steers in shown for steers in ("\x1b]", "\x07", "\u009b", "\u202e"))
