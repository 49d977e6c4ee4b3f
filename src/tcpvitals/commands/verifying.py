"""`--verify`: our totals of each network namespace beside the kernel's own, at each print."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final, TextIO

from tcpvitals.commands.naming import Naming
from tcpvitals.commands.output import output_errors
from tcpvitals.errors import UnexplainedError
from tcpvitals.kernel import netns_counters
from tcpvitals.model.verification import has_unexplained
from tcpvitals.sinks.verification import VerificationConsoleSink, VerificationJsonSink
from tcpvitals.sources.comparing import Comparer

if TYPE_CHECKING:
    from tcpvitals.sources.live import LiveSockets

_TRIES: Final = 5


class Verifier:
    """Compares, shows, and remembers whether anything was left without an explanation."""

    def __init__(self, stream: TextIO, *, json: bool, shows_errors: bool) -> None:
        """Make one for a run; it reads nothing until `before_attaching`."""
        self._sink = (
            VerificationJsonSink(stream=stream) if json else VerificationConsoleSink(stream=stream)
        )
        self._comparer = Comparer(netns_counters.read_all, shows_errors=shows_errors, tries=_TRIES)
        self._naming = Naming()
        self._wanted = False
        self._unexplained = False

    def before_attaching(self) -> None:
        """Read where the kernel's counters stand, just before anything is attached."""
        self._wanted = True
        self._comparer.before_attaching()

    def after_attaching(self) -> None:
        """And just after."""
        self._comparer.after_attaching()

    def show(self, live: LiveSockets) -> None:
        """Compare, if that was asked for, and show it."""
        if not self._wanted:
            return
        reports = self._comparer.compare(live.namespaces, lambda: live.losses()["recursion"])
        self._unexplained |= has_unexplained(reports)
        names = self._naming.names({report.inode for report in reports})
        with output_errors():
            self._sink.show(reports, dt.datetime.now().astimezone(), names)

    def check(self) -> None:
        """At the end.

        Raises:
            UnexplainedError: a difference was left without an explanation.
        """
        if self._unexplained:
            message = "the kernel's counters differ from ours, and nothing explains it"
            raise UnexplainedError(message)
