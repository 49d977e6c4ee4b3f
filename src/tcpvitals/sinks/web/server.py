"""The server: accepts connections on a socket that listens already, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from uvicorn.config import Config

from tcpvitals.model.printable import printable
from tcpvitals.sinks.web.app import App, Page
from tcpvitals.sinks.web.bodies import SlowReaders
from tcpvitals.sinks.web.connection import Connection, Shared
from tcpvitals.sinks.web.exposure import check_exposure
from tcpvitals.sinks.web.hosts import allowed_hosts, own_names
from tcpvitals.sinks.web.limits import TURNS, Connections, Limits
from tcpvitals.sinks.web.listening import BACKLOG, ListenAddress

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from tcpvitals.sinks.web.hosts import AllowedHosts
    from tcpvitals.sinks.web.reloading import WebConfigFile
    from tcpvitals.sinks.web.tls import Tls

# uvicorn logs what clients do wrong; that is for them to know.
_SILENT: Final = logging.CRITICAL + 1
_POLL_S: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """How to serve; `report` gets one line for everything that goes wrong meanwhile."""

    listen: ListenAddress
    report: Callable[[str], None]
    web: WebConfigFile | None = None
    insecure: bool = False
    added_hosts: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)


class Server:
    """Serves pages over HTTP or HTTPS."""

    def __init__(
        self, pages: Mapping[str, Page], listener: socket.socket, options: ServerOptions
    ) -> None:
        """Make one for `listener`, a socket of `listening.open_listener()`, which it will close.

        Raises:
            UsageError: the address may not be served on like this, or an added host is no name.
        """
        self._listener = listener
        self._options = options
        self._check(options)
        # Who gave away privileges may not be able to look them up again.
        self._own_names = tuple(own_names())
        hosts = self._hosts(options.added_hosts)
        speaks_tls = options.web is not None and options.web.current.tls is not None
        self._app = App(pages, hosts, options.limits, web=options.web, report=options.report)
        self._connections = Connections(options.limits.connections)
        self._slow = SlowReaders(options.report)
        self._shared = Shared(
            _config(self._app, options),
            options.limits,
            self._connections,
            self._tls if speaks_tls else None,
            self._slow,
        )

    def _hosts(self, added: tuple[str, ...]) -> AllowedHosts:
        return allowed_hosts(self._options.listen, added, self._own_names)

    def allow(self, added: tuple[str, ...]) -> None:
        """From now on answer to these names, and to our own as ever.

        Raises:
            UsageError: one is no host name; nothing has changed.
        """
        self._app.hosts = self._hosts(added)

    async def _tls(self) -> Tls | None:
        return (await self._options.web.follow()).tls if self._options.web else None

    @staticmethod
    def _check(options: ServerOptions) -> None:
        """Hold the web config, now and whenever it is read again, to what the address needs."""
        web = options.web
        check_exposure(
            options.listen, web.current.config if web else None, insecure=options.insecure
        )
        if web is not None:
            web.check = lambda config: check_exposure(
                options.listen, config, insecure=options.insecure
            )

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set; then finish what is being answered, for `stop_s` at most.

        No signal is touched: whoever has them sets `stop`.
        """
        loop = asyncio.get_running_loop()
        before = loop.get_exception_handler()
        loop.set_exception_handler(self._on_loop_error)
        try:
            server = await loop.create_server(
                lambda: Connection(self._shared),
                sock=self._listener,
                backlog=self._options.limits.accepts,
            )
            self._listener.listen(BACKLOG)
            await stop.wait()
            # What was accepted already must become a connection first: a closed server has no place
            # for it, and would forget its socket.
            loop.remove_reader(self._listener)
            await _turns()
            server.close()
            await self._finish()
        finally:
            # However it ends: who is cancelled still wants to tell a reader that does not read.
            for connection in self._connections:
                connection.abort()
            self._slow.flush()
            self._listener.close()
            self._app.close()
            if self._options.web:
                self._options.web.close()
            loop.set_exception_handler(before)

    async def _finish(self) -> None:
        for connection in self._connections:
            connection.shutdown()
        await self._wait_until_gone(self._options.limits.stop_s)
        for connection in self._connections:
            connection.abort()
        tasks = list(self._shared.state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await _turns()

    async def _wait_until_gone(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while self._connections and loop.time() < deadline:  # noqa: ASYNC110 once, at the end
            await asyncio.sleep(_POLL_S)

    def _on_loop_error(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        why = f": {type(error).__name__}: {error}" if error else ""
        self._options.report(f"serving: {printable(context['message'] + why)}")


async def _turns() -> None:
    """Let what is under way in the loop happen."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


def _config(app: App, options: ServerOptions) -> Config:
    """Return uvicorn's settings: the protocol alone is used, so no more than that."""
    config = Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        interface="asgi3",
        loop="asyncio",
        workers=1,
        log_config=None,
        log_level=_SILENT,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        h11_max_incomplete_event_size=options.limits.header_bytes,
    )
    config.load()
    return config
