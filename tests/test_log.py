"""The log: on a terminal what others have said cannot steer it, and a lost line is all that is lost."""

import contextlib
import io
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from onhand import log

SAID = "ev\x1b]0;x\x07il\u009b2J\u202e"
SHOWN = "ev\\x1b]0;x\\x07il\\x9b2J\\u202e"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.mark.parametrize("where", ["value", "event", "exception"])
def test_a_terminal_is_not_steered(
    where: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    log.configure()
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
    shown = capsys.readouterr().err
    assert SHOWN in shown
    assert not any(steers in shown for steers in ("\x1b]", "\x07", "\u009b", "\u202e"))


def _unread() -> io.TextIOWrapper:
    reading, writing = os.pipe()
    os.close(reading)
    return os.fdopen(writing, "w")


def _closed() -> io.TextIOWrapper:
    with Path(os.devnull).open("w") as stream:
        return stream


def _full() -> io.TextIOWrapper:
    return os.fdopen(os.open("/dev/full", os.O_WRONLY), "w")


@pytest.mark.parametrize("made", [_full, _unread, _closed, lambda: None])
def test_a_log_that_takes_no_line_fails_nobody(
    made: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most lines are written where something has failed already, by what must go on all the same."""
    log.configure()
    stream = made()
    monkeypatch.setattr(sys, "stderr", stream)
    for _ in range(100):
        structlog.get_logger().error("the disk is full", words="x" * 1_000)
    monkeypatch.undo()
    with contextlib.suppress(OSError):
        if stream is not None:
            stream.close()


def test_a_reader_that_does_not_read_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who looks at the log through a pager, or stops the terminal, does not stop the hub."""
    monkeypatch.setattr(log, "PATIENCE_SECONDS", 0.01)
    log.configure()
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as reader, os.fdopen(writing, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        logger = structlog.get_logger()

        def many() -> None:
            for number in range(30):
                logger.error("the disk is full", number=number, words="x" * 10_000)

        thread = threading.Thread(target=many, daemon=True)
        thread.start()
        thread.join(10)
        assert not thread.is_alive()
        read = reader.read(1 << 20)
        logger.error("it reads again")
        *told, half, last = (read + reader.read(1 << 20)).splitlines()
    assert [json.loads(line)["number"] for line in told] == list(range(len(told)))
    assert half.endswith(b"x")
    assert json.loads(last)["event"] == "it reads again"


def test_lines_of_many_threads_are_whole(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure()
    logger = structlog.get_logger()

    def many() -> None:
        for _ in range(200):
            logger.info("a thing", words="x" * 100)

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = capsys.readouterr().err.splitlines()
    assert len([json.loads(line) for line in lines]) == 800
