"""The front door's protocol: uvicorn's, bounded, handing the application whole requests only."""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import httptools
import uvicorn
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from onhand.doorman import (
    RETRY_AFTER_SECONDS,
    SMALL_BODY,
    Limits,
    Placed,
    Refusal,
    Shape,
    crowded,
    host_of,
    judge,
    oversized_body,
    oversized_head,
    path_of,
    unread,
)

TRY_AGAIN = 503
HELD_UP_SECONDS = 1.0
"""How late a deadline may be noticed. Later than that it was we who stood still, and not the client."""


class Arriving:
    """How many bytes of bodies that are not whole yet all connections of a server hold."""

    __slots__ = ("bytes",)

    def __init__(self) -> None:
        self.bytes = 0


class Terms(NamedTuple):
    """What the application tells the door: bounds, which paths take bulk bodies, how refusals look, and
    which path a request means that was sent to a host name of its own; and what its connections share."""

    limits: Limits
    bulk: Callable[[str], bool]
    shape: Shape
    placed: Placed
    arriving: Arriving


class Reception(HttpToolsProtocol):
    """uvicorn's protocol, bounded: a request is handed on once its last byte is here, and not before.

    So a stalled or oversized body never occupies the application, and a refused request has changed nothing.
    Refusals wait for the answers to earlier requests on the connection; after one the connection is closed.
    Built on uvicorn's `pipeline` and `_start_asgi_task`, which the tests hold in place.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        terms: Terms,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.terms = terms
        self.limits = terms.limits
        self.timeout_keep_alive = cast(int, terms.limits.keep_alive_seconds)
        self.url = b""
        self.host = ""
        self.body_limit = 0
        self.held_bytes = 0
        # Raw bytes since the last headers, body bytes or end of a request: a head, a chunk extension or a
        # trailer that is still growing shows up nowhere else, because the parser collects it in silence.
        self.idle_bytes = 0
        self.advanced = False
        self.receiving = False
        self.in_body = False
        self.stand_in = b""
        self.held: tuple[RequestResponseCycle, ASGI3Application] | None = None
        self.running: RequestResponseCycle | None = None
        self.verdict: Refusal | None = None
        self.last_words: bytes | None = None
        self.receive_timer: asyncio.TimerHandle | None = None
        self.send_timer: asyncio.TimerHandle | None = None

    # --- the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect()
        if len(self.connections) > self.limits.connections:
            self._refuse(Refusal(503, "There are too many connections; try again shortly"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_expecting()
        self._stop_watching()
        self._unset_keepalive_if_required()
        self._arrived()
        self.held = None
        self.pipeline.clear()
        if self.running is not None:
            self.running.disconnected = True
            self.running.message_event.set()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Closes what is idle or half received, and lets the request that is being answered finish."""
        if self.running is None:
            self.transport.close()
        else:
            self.running.keep_alive = False

    def timeout_keep_alive_handler(self) -> None:
        """Ends an idle connection, at once if its client has not even read the last answer."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    # --- bytes in

    def data_received(self, data: bytes) -> None:
        if self.last_words is not None:
            return
        self._unset_keepalive_if_required()
        self.advanced = False
        try:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as stop:
                self._stay(memoryview(data)[stop.args[0] :])
        except httptools.HttpParserError as error:
            if self.receiving and not self.url:
                self.url, self.headers = unread(data)
            self._refuse(self.verdict or _meant(error))
            return
        if not self.advanced:
            self.idle_bytes += len(data)
            if self.idle_bytes > self.limits.head_bytes:
                self._refuse(oversized_head(self.limits))
                return
        if self.receive_timer is None and (self.receiving or (self.running is None and not self.pipeline)):
            self._expect()

    def _stay(self, rest: memoryview) -> None:
        """Reads on in HTTP/1.1 behind a head that asked for another protocol: nobody must grant that.

        Some clients ask for HTTP/2 with every request, writes among them. The parser takes it that no body
        follows such a head, so another one is told of the body that does.
        """
        while True:
            if self.stand_in:
                url = self.url
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
                self.parser.feed_data(self.stand_in)
                self.url, self.stand_in = url, b""
            try:
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as stop:
                rest = rest[stop.args[0] :]
            else:
                return

    def on_message_begin(self) -> None:
        self.receiving = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        # In uvicorn's place, because white space behind a value is no part of it, of a secret's neither.
        name, value = name.lower(), value.strip(b" \t")
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self.stand_in:
            return
        self._advance()
        self.host = host_of(self.headers)
        try:
            length = judge(self.url, self.headers, self.parser.get_http_version(), self.limits)
            self._bound_body(length)
        except Refusal as refusal:
            self.verdict = refusal
            raise
        super().on_headers_complete()
        self.in_body = True
        if length != 0 and self.parser.should_upgrade():
            body = b"Transfer-Encoding: chunked" if length is None else b"Content-Length: %d" % length
            last = b"" if self.cycle.keep_alive else b"Connection: close\r\n"
            self.stand_in = b"POST / HTTP/1.1\r\n%b%b\r\n\r\n" % (last, body)
        # Trailers would be appended to the headers that the application trusts.
        self.headers = []

    def _bound_body(self, length: int | None) -> None:
        limit = self.limits.body_bytes
        if length is None or length > limit:
            if self.terms.bulk(self._path()):
                limit = self.limits.bulk_bytes
        if length is not None and length > limit:
            raise oversized_body(limit)
        self.body_limit = limit

    def _path(self) -> str:
        """Which path the request under way means, as far as it has been read."""
        # Behind the head, what is in `headers` are trailers.
        host = self.host if self.in_body else host_of(self.headers)
        return self.terms.placed(host, path_of(self.url))

    def on_body(self, body: bytes) -> None:
        self._advance()
        received = self.cycle.body
        received += body
        self.held_bytes += len(body)
        self.terms.arriving.bytes += len(body)
        if len(received) > self.body_limit:
            self.verdict = oversized_body(self.body_limit)
            raise self.verdict
        if len(received) > SMALL_BODY and self.terms.arriving.bytes > self.limits.arriving_bytes:
            self.verdict = crowded()
            raise self.verdict

    def on_message_complete(self) -> None:
        if self.stand_in:
            return
        self._advance()
        self._stop_expecting()
        self._arrived()
        self.receiving = False
        self.in_body = False
        self.cycle.more_body = False
        self.cycle.message_event.set()
        if self.held is not None:
            cycle, app = self.held
            self.held = None
            self._start_asgi_task(cycle, app)

    def _arrived(self) -> None:
        self.terms.arriving.bytes -= self.held_bytes
        self.held_bytes = 0

    def _advance(self) -> None:
        self.advanced = True
        self.idle_bytes = 0

    # --- answers

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if not cycle.more_body:
            self.running = cycle
            super()._start_asgi_task(cycle, app)
            return
        self.held = (cycle, app)
        if cycle.waiting_for_100_continue:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            cycle.waiting_for_100_continue = False

    def on_response_complete(self) -> None:
        self.running = None
        super().on_response_complete()
        if self.transport.is_closing():
            if self.transport.get_write_buffer_size():
                self._watch_sending()
        elif self.pipeline:
            # uvicorn reads on after each answer, so that a flood of small requests would pile up here.
            self.flow.pause_reading()
        elif self.last_words is not None and self.running is None:
            self._say_last_words()

    def _refuse(self, refusal: Refusal) -> None:
        self._stop_expecting()
        self.last_words = self._worded(refusal)
        if self.held is not None:
            self.held = None
        elif self.in_body:
            self.pipeline.popleft()
        if self.running is None:
            self._say_last_words()

    def _worded(self, refusal: Refusal) -> bytes:
        path = self._path() if self.receiving else ""
        body, fields = self.terms.shape(path, refusal.status, refusal.message)
        lines = [STATUS_LINE[refusal.status]]
        lines += [b"%b: %b\r\n" % field for field in (*self.server_state.default_headers, *fields)]
        if refusal.status == TRY_AGAIN:
            lines.append(b"retry-after: %b\r\n" % RETRY_AFTER_SECONDS.encode())
        lines.append(b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body))
        if not (self.receiving and self.url and self.parser.get_method() == b"HEAD"):
            lines.append(body)
        return b"".join(lines)

    def _say_last_words(self) -> None:
        self._unset_keepalive_if_required()
        self.transport.write(self.last_words or b"")
        self.transport.write_eof()
        # Closing while the client still sends would reset the connection and lose it the answer.
        self.flow.resume_reading()
        self.receive_timer = self.loop.call_later(self.limits.linger_seconds, self.transport.abort)

    # --- deadlines

    def _expect(self) -> None:
        self.receive_timer = self.loop.call_later(self.limits.receive_seconds, self._late)

    def _stop_expecting(self) -> None:
        if self.receive_timer is not None:
            self.receive_timer.cancel()
            self.receive_timer = None

    def _late(self) -> None:
        timer, self.receive_timer = self.receive_timer, None
        held_up = 0.0 if timer is None else self.loop.time() - timer.when()
        if self.running is not None or held_up > HELD_UP_SECONDS:
            # The connection waits for an earlier answer of ours, during which we may not have read at all;
            # or this process stood still, and what has come meanwhile lies unread.
            self._expect()
        elif not self.transport.is_closing():
            seconds = f"{self.limits.receive_seconds:g}"
            self._refuse(Refusal(408, f"The request did not arrive whole within {seconds} seconds"))

    def pause_writing(self) -> None:
        """The client reads slower than we write: it has `send_seconds` to catch up."""
        super().pause_writing()
        self._watch_sending()

    def resume_writing(self) -> None:
        """The client has caught up."""
        super().resume_writing()
        self._stop_watching()

    def _watch_sending(self) -> None:
        if self.send_timer is None:
            self.send_timer = self.loop.call_later(self.limits.send_seconds, self.transport.abort)

    def _stop_watching(self) -> None:
        if self.send_timer is not None:
            self.send_timer.cancel()
            self.send_timer = None


def _meant(error: httptools.HttpParserError) -> Refusal:
    """Why the parser could not go on: a client that is told that its request is bad never sends it again."""
    if isinstance(error.__context__, MemoryError):
        return Refusal(TRY_AGAIN, "There is no memory for the request; try again shortly")
    return Refusal(400, "The request is not well-formed HTTP")
