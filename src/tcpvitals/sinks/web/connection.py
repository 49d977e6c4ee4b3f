"""One connection: uvicorn's HTTP/1.1, under an absolute deadline.

A connection owes us a request, or we owe it an answer, or it is idle.  The deadline runs while
anything is owed, and it is not moved by a byte now and then, in either direction.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from tcpvitals.sinks.web.limits import PIECE_BYTES, Connections, Limits, Stage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from uvicorn.config import Config

    from tcpvitals.sinks.web.bodies import SlowReaders
    from tcpvitals.sinks.web.tls import Tls

# How long one who sent nonsense may take to read what we think of it, and one who is leaving to go.
_PARTING_S: Final = 1.0
_NO_LINGER: Final = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Shared:
    """What all connections of a server have in common; `tls`, if any, is asked for each new one."""

    config: Config
    limits: Limits
    connections: Connections
    tls: Callable[[], Awaitable[Tls | None]] | None
    slow: SlowReaders
    state: ServerState = field(default_factory=ServerState)


class Connection(H11Protocol):
    """A client, from its accept on: the TLS handshake is under the deadline, too."""

    def __init__(self, shared: Shared) -> None:
        """Make one for a connection that is about to be accepted."""
        super().__init__(shared.config, shared.state, {"client": self})
        self._limits = shared.limits
        self._all = shared.connections
        self._tls = shared.tls
        self._slow = shared.slow
        self._handshake: asyncio.Task[None] | None = None
        self._early = b""
        self._ready = False
        self._parting = False
        self._idle = False
        self._served = False
        self._received = 0
        self._timer: asyncio.TimerHandle | None = None
        self._since = self.loop.time()
        self._stage: Stage | None = Stage.ASKING

    # What the limits want to know and do

    def _note_stage(self) -> None:
        """Note a change of what it does, by which it is kept or dropped when room is needed."""
        if self._idle:
            stage = Stage.IDLE if self._served else Stage.REFUSED
        else:
            stage = Stage.ANSWERING if self._is_answering() else Stage.ASKING
        if stage is not self._stage:
            self._stage = stage
            self._all.move(self, stage)

    def abort(self) -> None:
        """Drop it at once, here and in the kernel, without waiting for anything to be sent."""
        self._forget()
        with suppress(OSError):  # closed already
            # Else what a slow reader has not taken stays in the kernel, for minutes.
            self._wire.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER
            )
        self._wire.abort()
        if self._handshake is not None:
            self._handshake.cancel()

    def abort_as_slow(self) -> None:
        """Drop it, and count it among those that read too slowly."""
        self._slow.note()
        self.abort()

    @property
    def is_gone(self) -> bool:
        """Whether it takes nothing any more."""
        return self._wire.is_closing()

    def vouch(self) -> None:
        """Note that it is given a page: idle, it is kept longer than one that never was."""
        self._served = True

    def _forget(self) -> None:
        self._all.forget(self)
        if self._timer is not None:
            self._timer.cancel()

    # From the accept to the first byte of HTTP

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, with TLS if that is spoken."""
        self._wire = transport
        transport.set_write_buffer_limits(PIECE_BYTES)
        self._all.admit(self)
        self._watch(self._limits.deadline_s)
        if self._tls is None:
            self._begin(transport)
        else:
            transport.pause_reading()  # until the handshake reads
            self._handshake = self.loop.create_task(self._shake_hands(self._tls))

    def _begin(self, transport: asyncio.Transport) -> None:
        self._ready = True
        super().connection_made(transport)
        early, self._early = self._early, b""
        if early:
            self.data_received(early)

    async def _shake_hands(self, current: Callable[[], Awaitable[Tls | None]]) -> None:
        with suppress(OSError, ssl.SSLError, asyncio.CancelledError):
            if tls := await current():
                await self._start_tls(tls)
        if not self._ready:
            self.abort()

    async def _start_tls(self, tls: Tls) -> None:
        transport = await self.loop.start_tls(
            self._wire,
            self,
            tls.context,
            server_side=True,
            ssl_handshake_timeout=self._limits.deadline_s,
            ssl_shutdown_timeout=_PARTING_S,
        )
        if transport is not None and tls.admits(transport.get_extra_info("peercert")):
            transport.set_write_buffer_limits(PIECE_BYTES)
            self._begin(transport)

    # Bytes

    def data_received(self, data: bytes) -> None:
        """Read a piece of a request."""
        self._received += len(data)
        if self._received > self._limits.received_bytes:
            self.abort()
        elif not self._ready:
            self._early += data  # the task that waited for the handshake is about to run
        elif not self._parting:
            self._wake()
            super().data_received(data)
            self._settle()
            self._note_stage()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Take note that no more requests come; the one being answered still gets its answer.

        Returns whether to keep the other direction open.
        """
        whole = self.conn.their_state is h11.DONE and not self.conn.trailing_data[0]
        if not (self._ready and self.transport is self._wire and self._is_answering() and whole):
            return False
        self.conn.receive_data(b"")
        self.conn.next_event()  # h11 knows now that it must close after the answer
        return True

    def on_response_complete(self) -> None:
        """Go on to the next request, or to being idle."""
        super().on_response_complete()
        self._unset_keepalive_if_required()  # ours counts from the same moment, and to the end
        if not self.transport.is_closing() and not self._settle() and self._is_next_begun():
            self._restart()
        self._note_stage()

    def send_400_response(self, msg: str) -> None:
        """Say what was wrong with what cannot be read on, and leave time to read it.

        Closing at once would reset the connection, if the client is still sending, and with it
        what we said.
        """
        error = sys.exception()
        status = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        if self.cycle is not None:
            self.cycle.disconnected = True
        try:
            self.transport.write(self._last_words(HTTPStatus(status or 400), msg))
        except h11.LocalProtocolError:  # in the middle of an answer
            self.abort()
            return
        self._parting = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._watch(min(_PARTING_S, self._limits.deadline_s))

    def _last_words(self, status: HTTPStatus, text: str) -> bytes:
        body = f"{text}\n".encode()
        headers = [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
        answer = h11.Response(status_code=status, headers=headers, reason=status.phrase.encode())
        pieces = (self.conn.send(answer), self.conn.send(h11.Data(data=body)))
        return b"".join(piece or b"" for piece in pieces) + (
            self.conn.send(h11.EndOfMessage()) or b""
        )

    # Time

    def _watch(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, self._on_time)

    def _restart(self) -> None:
        """Begin a new deadline, unless something from before is still to be sent."""
        self._idle = False
        self._stage = None  # another request is a new beginning, even of the same
        if not self._unsent():
            self._since = self.loop.time()
            self._received = 0
            self._watch(self._limits.deadline_s)

    def _wake(self) -> None:
        if self._idle:
            self._restart()

    def _settle(self) -> bool:
        """Become idle if nothing is owed; the deadline stays until what was said is sent."""
        owing = not (self._is_between_requests() and not self.conn.trailing_data[0])
        if owing or self._idle or self.transport.is_closing():
            return self._idle
        self._idle = True
        self._since = self.loop.time()
        if not self._unsent():
            self._watch(self._limits.idle_s)
        return True

    def _is_between_requests(self) -> bool:
        return self.conn.our_state is h11.IDLE and self.conn.their_state is h11.IDLE

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _is_next_begun(self) -> bool:
        """Whether what is owed now is another request's; not the rest of a refused body."""
        return self.conn.our_state is not h11.DONE

    def _unsent(self) -> int:
        """Return the bytes that the kernel has not taken yet."""
        unsent = self._wire.get_write_buffer_size()
        if self.transport is not self._wire and not self.transport.is_closing():
            unsent += self.transport.get_write_buffer_size()
        return unsent

    def _on_time(self) -> None:
        """End it: the deadline has passed, or the idle time."""
        if self._ready and self._unsent():
            self.abort_as_slow()
            return
        if not (self._ready and self._idle) or self.transport.is_closing():
            self.abort()
            return
        # Where the deadline found the answer sent after all, the idle time has been running.
        left = self._since + self._limits.idle_s - self.loop.time()
        if left > 0:
            self._watch(left)
        else:
            self.shutdown()

    # The end

    def shutdown(self) -> None:
        """Close it: at once if nothing is being answered, else with the answer."""
        if not self._ready or self._parting:
            self.abort()
            return
        with suppress(h11.LocalProtocolError):
            super().shutdown()
        if self.transport.is_closing():
            self._watch(_PARTING_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that it is gone."""
        self._forget()
        if self._ready:
            super().connection_lost(exc)
