"""`--verify`: our totals of each network namespace beside the kernel's own, at each print."""

from __future__ import annotations

import datetime as dt
import shutil
from typing import TYPE_CHECKING, Final, TextIO

from tcpvitals.commands.naming import Naming
from tcpvitals.commands.output import output_errors
from tcpvitals.errors import UnexplainedError
from tcpvitals.sinks.verification import VerificationConsoleSink, VerificationJsonSink
from tcpvitals.sources.comparing import Comparer

if TYPE_CHECKING:
    from tcpvitals.sources.live import LiveSockets

_TRIES: Final = 5


class Verifier:
    """Compares, shows, and remembers whether anything was left without an explanation."""

    def __init__(self, stream: TextIO, *, json: bool) -> None:
        """Make one for a run; it compares nothing until `begin`."""
        size = shutil.get_terminal_size if stream.isatty() else None
        self._sink = (
            VerificationJsonSink(stream=stream)
            if json
            else VerificationConsoleSink(stream=stream, size=size)
        )
        self._comparer: Comparer | None = None
        self._naming = Naming()
        self._unexplained = False

    def begin(self, live: LiveSockets) -> None:
        """Read where both sides stand, right after attaching, if namespaces are counted."""
        if live.namespaces:
            self._comparer = Comparer(
                live.namespaces.kernel,
                live.namespaces.totals,
                shows_errors=live.shows_errors,
                tries=_TRIES,
            )
            self._comparer.begin()

    def show(self, live: LiveSockets) -> None:
        """Compare, if that was asked for, and show it."""
        if not self._comparer:
            return
        found = self._comparer.compare(live.missed)
        self._unexplained |= not found.explained
        names = self._naming.names({report.inode for report in found.reports})
        with output_errors():
            self._sink.show(found, dt.datetime.now().astimezone(), names)

    def check(self) -> None:
        """At the end.

        Raises:
            UnexplainedError: a difference was left without an explanation.
        """
        if self._unexplained:
            message = "the kernel's counters differ from ours, and nothing explains it"
            raise UnexplainedError(message)
