"""On a terminal: full histograms while all of them fit, else one row a group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tcpvitals.sinks.console import LEAST_BLOCK_LINES

if TYPE_CHECKING:
    from tcpvitals.model.rtt_report import RttPrint
    from tcpvitals.sinks.compact import CompactSink
    from tcpvitals.sinks.console import ConsoleSink


@dataclass(frozen=True, slots=True)
class TerminalSink:
    """Chooses at each print, because groups come and terminals are resized."""

    full: ConsoleSink
    compact: CompactSink

    def show(self, print_: RttPrint) -> None:
        """Write one print with the sink that suits it."""
        _, height = self.compact.size()
        if fits(self.full, print_, height):
            self.full.show(print_)
        else:
            self.compact.show(print_)


def fits(full: ConsoleSink, print_: RttPrint, height: int) -> bool:
    """Tell whether the full text of a print and the cursor's line fit a terminal of this height.

    A single group always does: its histogram says more than a row would.
    """
    blocks = len(print_.rows()[: full.top])
    if blocks <= 1:
        return True
    # Ten thousand groups need not be drawn to see that they do not fit.
    return blocks * LEAST_BLOCK_LINES < height and full.text(print_).count("\n") < height
