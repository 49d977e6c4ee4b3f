"""The exporter at work: one refresh loop, and pages that show its newest snapshot.

Everything slow, refreshing and writing, is done in one thread of its own, one after the other; the
event loop has nothing to do but HTTP.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from tcpvitals import __version__
from tcpvitals.commands.background import BackgroundWriter
from tcpvitals.commands.glances import Glances
from tcpvitals.commands.naming import Naming
from tcpvitals.commands.reloading import changes
from tcpvitals.commands.wall import wall_clock
from tcpvitals.commands.warming import Warming
from tcpvitals.errors import TcpvitalsError
from tcpvitals.kernel.host import Paths, files_left
from tcpvitals.model.health import Health
from tcpvitals.model.printable import printable
from tcpvitals.sinks.prometheus import Exposition, Options, edges_for, usual_edges
from tcpvitals.sinks.prometheus.negotiation import choose
from tcpvitals.sinks.web.limits import Limits, limits_for
from tcpvitals.sinks.web.listening import bound_address
from tcpvitals.sinks.web.pages import health_page, landing_page, metrics_page
from tcpvitals.sinks.web.server import Server, ServerOptions
from tcpvitals.sources.live import boot_time_ns

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from tcpvitals.commands.front import Front
    from tcpvitals.commands.serve_options import ServeOptions
    from tcpvitals.commands.stopping import StopRequest
    from tcpvitals.model.measurement import Sample
    from tcpvitals.model.vitals import VitalsSnapshot
    from tcpvitals.sinks.prometheus import Edges
    from tcpvitals.sinks.prometheus.negotiation import Format
    from tcpvitals.sources.vitals import LiveVitals


# For refreshes, certificates and configuration files.
_SPARE_FILES: Final = 24
# So often there is something to do between two refreshes.
_KEEP_UP_S: Final = 1.0


def _once(loop: asyncio.AbstractEventLoop, fd: int, then: Callable[[], None]) -> None:
    """Do it, and look no more at what stays readable: the loop would turn without a pause."""
    loop.remove_reader(fd)
    then()


def _limits() -> Limits:
    """Return limits that leave the files that a refresh has to open."""
    return limits_for(files_left(Paths().open_files) - _SPARE_FILES)


def _edges(options: ServeOptions) -> Mapping[Sample, Edges]:
    if options.buckets:
        return dict.fromkeys(options.histograms, edges_for(options.buckets))
    return usual_edges(options.histograms)


class Service:
    """One run of `tcpvitals serve`."""

    def __init__(  # noqa: PLR0913, PLR0917 - made in one place
        self,
        options: ServeOptions,
        live: LiveVitals,
        front: Front,
        host_netns: int,
        attach: str,
        stream: TextIO | None,
    ) -> None:
        """Make everything ready to serve what `live` counts; privileges may go after that.

        Tables are shown on `stream`, if there is one.
        """
        self._options, self._live, self._web = options, live, front.web
        self._log, self._screen = front.log, BackgroundWriter(stream, lambda _lost: "")
        self._host_netns, self._attach = host_netns, attach
        self._listen = bound_address(options.listen, front.listener)
        self._naming, self._wall = Naming(), wall_clock()
        self._glances = self._glances_on(stream) if stream else None
        self._health = Health(live.start_ns)
        self._exposition = self._exposing()
        self._warming: Warming[tuple[Format, bool]] = Warming()
        self._server = self._serving(front.listener)
        self._worker = ThreadPoolExecutor(1, "refresh")
        self._reading = ThreadPoolExecutor(1, "reload")
        self._is_refreshing = False
        self._changed = asyncio.Event()

    def _glances_on(self, stream: TextIO) -> Glances:
        options = self._options
        sample = options.histograms[0]
        port = self._listen.port
        return Glances(stream, options.grouping, sample, port, self._wall, self._screen.write)

    def _exposing(self) -> Exposition:
        options = self._options
        return Exposition(
            Options(
                grouping=options.grouping,
                version=__version__,
                kernel=os.uname().release,
                attach=self._attach,
                wall=self._wall,
                edges=_edges(options),
                flows_shown=options.max_flows,
            )
        )

    def run(self, stop: StopRequest, read: Callable[[], ServeOptions], remark: str) -> None:
        """Serve until the end; `read` reads the options again, `remark` is shown at the start."""
        self._announce(remark)
        with self._log, self._screen:
            try:
                asyncio.run(self._run(stop, read))
            finally:
                self._worker.shutdown()
                self._reading.shutdown(wait=False)

    async def _run(self, stop: StopRequest, read: Callable[[], ServeOptions]) -> None:
        loop, stopping = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(stop.fd, _once, loop, stop.fd, stopping.set)
        if self._options.duration_s is not None:
            loop.call_later(self._options.duration_s, stopping.set)
        reloads: set[asyncio.Task[None]] = set()

        def reload(*_signal: object) -> None:
            task = loop.create_task(self._reload(read))
            reloads.add(task)
            task.add_done_callback(reloads.discard)

        # Not by the loop, which would leave the signal to its default action when it closes.
        signal.signal(signal.SIGHUP, lambda *_: loop.call_soon_threadsafe(reload))
        refreshing = loop.create_task(self._refresh_for_ever())
        try:
            await self._server.run(stopping)
        finally:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            refreshing.cancel()
            await asyncio.gather(refreshing, *reloads, return_exceptions=True)

    def _serving(self, listener: socket.socket) -> Server:
        options = self._options
        pages = {
            "/": landing_page(self._facts),
            "/metrics": metrics_page(self._render),
            "/healthz": health_page(self._complaint),
        }
        return Server(
            pages,
            listener,
            ServerOptions(
                listen=self._listen,
                report=self._log.report,
                web=self._web,
                insecure=options.insecure_listen,
                added_hosts=options.allow_hosts,
                limits=_limits(),
            ),
        )

    # --- refreshing ----------------------------------------------------------------------

    async def _refresh_for_ever(self) -> None:
        """Absolute deadlines: slow refreshes do not add up, and what is missed is left out."""
        loop = asyncio.get_running_loop()
        due_s = time.monotonic()
        while True:
            self._is_refreshing = True
            await loop.run_in_executor(self._worker, self._refresh)
            await loop.run_in_executor(self._worker, self._warm)
            self._is_refreshing = False
            due_s = await self._next(due_s)

    async def _next(self, before_s: float) -> float:
        """Wait until the next refresh is due, by the interval as it is by then; return when."""
        while True:
            due_s = before_s + self._options.refresh_s
            left_s = due_s - time.monotonic()
            if left_s <= 0:
                return max(due_s, time.monotonic())
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), min(left_s, _KEEP_UP_S))
            except TimeoutError:
                await asyncio.get_running_loop().run_in_executor(self._worker, self._keep_up)

    def _keep_up(self) -> None:
        with suppress(TcpvitalsError, OSError):  # the next refresh meets and reports the same
            self._live.keep_up()

    def _refresh(self) -> None:
        try:
            self._show(self._snapshot())
        except (TcpvitalsError, OSError) as error:
            self._failed(str(error))
        except Exception as error:  # noqa: BLE001 - told, and tried again; else nobody would know
            self._failed(f"{type(error).__name__}: {error}")

    def _show(self, snapshot: VitalsSnapshot) -> None:
        self._exposition.show(snapshot)
        self._health.refreshed(snapshot.taken_ns, snapshot.losses)
        if self._glances and self._glances.show(snapshot):
            self._glances = None

    def _snapshot(self) -> VitalsSnapshot:
        grouping = self._options.grouping
        return self._live.snapshot(
            self._host_netns, lambda keys: self._naming.for_keys(keys, grouping)
        )

    def _failed(self, why: str) -> None:
        """Told once, until it is something else."""
        if self._health.failure != why:
            self._log.report(f"cannot refresh: {printable(why)}")
        self._health.failed(printable(why))

    def _warm(self) -> None:
        """Write what will be asked for next, so that the scrape need not wait for it."""
        with suppress(Exception):  # whoever asks for it hears of it
            for chosen, compressed in self._warming.due(time.monotonic(), self._options.refresh_s):
                self._exposition.render(chosen.content_type, gzip=compressed)

    # --- pages ---------------------------------------------------------------------------

    async def _render(self, accept: str, compressed: bool) -> tuple[str, bytes]:  # noqa: FBT001 - as the page asks
        loop = asyncio.get_running_loop()
        self._warming.asked((choose(accept), compressed), time.monotonic())
        # What was written before the refresh that is going on is no older than at its beginning.
        finished = self._exposition.finished(accept, gzip=compressed, previous=self._is_refreshing)
        if finished:
            return finished
        return await loop.run_in_executor(
            self._worker, lambda: self._exposition.render(accept, gzip=compressed)
        )

    def _complaint(self) -> str | None:
        return self._health.complaint(boot_time_ns(), self._options.refresh_s)

    def _facts(self) -> dict[str, str]:
        return {
            "version": __version__,
            "kernel": os.uname().release,
            "hook": self._attach,
            "grouped by": ", ".join(self._options.grouping.fields) or "whole host",
            "health": self._complaint() or "ok",
        }

    # --- talking -------------------------------------------------------------------------

    def _announce(self, remark: str) -> None:
        if self._glances:
            secure = self._web is not None and self._web.current.tls is not None
            url = f"{'https' if secure else 'http'}://{self._listen}/metrics"
            self._glances.announce(url, remark)

    async def _reload(self, read: Callable[[], ServeOptions]) -> None:
        """Read in a thread: the file may be slow to read, and the options to parse."""
        loop = asyncio.get_running_loop()
        try:
            reload = changes(self._options, await loop.run_in_executor(self._reading, read))
            self._apply(reload.applied)
        except TcpvitalsError as error:
            self._log.report(f"SIGHUP: {error} (nothing was changed)")
            return
        for option in reload.refused:
            self._log.report(f"SIGHUP: {option} takes a restart")
        self._log.report(f"SIGHUP: {', '.join(reload.changed) or 'nothing'} changed")

    def _apply(self, options: ServeOptions) -> None:
        """Only what can be changed while everything stays attached."""
        edges = _edges(options)
        if self._web and options.web_config_file:
            self._web.move_to(Path(options.web_config_file))
        self._server.allow(options.allow_hosts)
        self._options = options
        self._changed.set()
        self._live.set_idle(options.idle_s)
        self._exposition.change(edges, options.max_flows)
