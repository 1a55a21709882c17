"""How the front door begins and ends: an address of its own, a signal, and what is under way then."""

import contextlib
import errno
import signal
import socket
import subprocess
import sys
import time

import pytest
import uvloop

from doors import HOST, PATIENCE_SECONDS, echo, read_all, running, split
from onhand.frontdoor import serve

HALF = b"POST /fine HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\na"
SLOW = b"GET /slow/0.6 HTTP/1.1\r\n" + HOST + b"\r\n"


def test_stopping_finishes_what_is_under_way_and_drops_the_rest() -> None:
    with running() as door, door.connect() as busy, door.connect() as idle, door.connect() as half:
        busy.sendall(SLOW)
        half.sendall(HALF)
        time.sleep(0.2)
        door.stop()
        assert split(read_all(busy))[0].body == b"GET /slow/0.6 1 0"
        assert read_all(idle) == b""
        assert read_all(half) == b""
        with pytest.raises(ConnectionRefusedError):
            door.connect()


@pytest.mark.parametrize(("port", "number"), [(None, errno.EADDRINUSE), (70_000, None)])
def test_an_address_that_cannot_be_taken(port: int | None, number: int | None) -> None:
    with running() as door, pytest.raises(OSError) as caught:
        uvloop.run(serve(echo([]), "127.0.0.1", port or door.port, bulk=bool))
    assert number is None or caught.value.errno == number


ALONE = """
import uvloop
from doors import echo
from onhand.frontdoor import serve

uvloop.run(serve(echo([]), "127.0.0.1", 0, bulk=bool, on_ready=lambda port: print(port, flush=True)))
print("closed", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_it_cleanly(number: signal.Signals) -> None:
    places = {"PYTHONPATH": ":".join(sys.path)}
    # Whoever started the tests with nohup had this one ignored, which is handed on.
    heard = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)\n{ALONE}"
    with subprocess.Popen([sys.executable, "-c", heard], stdout=subprocess.PIPE, env=places) as hub:
        assert hub.stdout is not None
        port = int(hub.stdout.readline())
        with socket.create_connection(("127.0.0.1", port)):
            hub.send_signal(number)
            assert hub.wait(PATIENCE_SECONDS) == 0
        assert hub.stdout.read() == b"closed\n"


def test_it_outlives_its_terminal_where_that_is_wanted() -> None:
    """As nohup starts a program."""
    places = {"PYTHONPATH": ":".join(sys.path)}
    words = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", sys.executable, "-c", ALONE]
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=places) as hub:
        assert hub.stdout is not None
        port = int(hub.stdout.readline())
        hub.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            hub.wait(0.5)
        with socket.create_connection(("127.0.0.1", port)):
            hub.send_signal(signal.SIGTERM)
            assert hub.wait(PATIENCE_SECONDS) == 0


LIMITED = """
import asyncio, resource, sys
from doors import echo
from onhand.doorman import Limits
from onhand.frontdoor import serve
hard = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
stop = asyncio.Event()
few = Limits(connections=100)
asyncio.run(serve(echo([]), "127.0.0.1", 0, bulk=bool, on_ready=lambda _: stop.set(), stop=stop, limits=few))
print(resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(("hard", "soft"), [(2_000, 1_100), (600, 600)])
def test_as_many_connections_as_are_promised_find_room(hard: int, soft: int) -> None:
    words = [sys.executable, "-c", LIMITED, str(hard)]
    places = {"PYTHONPATH": ":".join(sys.path)}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=places) as hub:
        found, _ = hub.communicate(timeout=PATIENCE_SECONDS)
    assert found == f"({soft}, {hard})\n"


FILES = 60


def test_clients_do_not_take_all_the_files_that_the_system_gives() -> None:
    places = {"PYTHONPATH": ":".join(sys.path)}
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({FILES}, {FILES}))\n{ALONE}"
    with (
        subprocess.Popen([sys.executable, "-c", limited], stdout=subprocess.PIPE, env=places) as hub,
        contextlib.ExitStack() as clients,
    ):
        assert hub.stdout is not None
        address = "127.0.0.1", int(hub.stdout.readline())
        for _ in range(FILES // 2):
            clients.enter_context(socket.create_connection(address))
        last = clients.enter_context(socket.create_connection(address, timeout=PATIENCE_SECONDS))
        assert split(read_all(last))[0].status == 503
        hub.send_signal(signal.SIGTERM)
        assert hub.wait(PATIENCE_SECONDS) == 0
