"""Where the figures go: console, JSON lines.  Each sink is a small class with one method.

A sink writes to the text stream it is given.  It reads no clock, touches no kernel, and lets
errors of the stream through, for the command to report.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tcpvitals.model.rtt_report import RttPrint


class Sink(Protocol):
    """Whatever can show one print."""

    def show(self, print_: RttPrint) -> None:
        """Show it and flush.

        Raises:
            OSError: the stream could not be written.
        """
