"""Full histograms as text, in the layout of bcc's tcprtt.

Each block is a key, a log2 histogram with its unit named, and a line of figures from the fine
buckets.  The seed and bcc label slot i as if it ended at 2**i - 1; it holds 2**i to 2**(i+1) - 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from tcpvitals.model.columns import PERCENTILES
from tcpvitals.model.histogram import LOG2_SLOTS, fold_log2, log2_edges
from tcpvitals.model.key import Grouping
from tcpvitals.model.measurement import Measurement, Unit
from tcpvitals.sinks.figures import exact, human, human_or_none
from tcpvitals.sinks.notes import notes

if TYPE_CHECKING:
    from tcpvitals.model.rtt import Distribution
    from tcpvitals.model.rtt_report import RttPrint

LEAST_BLOCK_LINES = 6
"""Lines of the smallest block: key, blank, header, one slot (or what is clean), figures, blank."""

_STARS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleSink:
    """Writes a block for each group with samples, the newest and busiest first.

    `extension` adds the sum of the samples and their count, as the seed's -show-ext does;
    `timestamp` the time of day; `top` is the most groups shown, None for all.
    """

    stream: TextIO
    measurement: Measurement = field(default_factory=Measurement)
    grouping: Grouping = field(default_factory=Grouping)
    extension: bool = False
    timestamp: bool = False
    top: int | None = None

    def show(self, print_: RttPrint) -> None:
        """Write one print, with a blank line after it."""
        self.stream.write(self.text(print_))
        self.stream.flush()

    def text(self, print_: RttPrint) -> str:
        """Return what `show` writes."""
        rows = print_.rows()
        chosen = print_.shown.table.take(rows[: self.top])
        # For all rows at once: one by one it is most of the time that a print takes.
        quantiles = chosen.quantiles(tuple(PERCENTILES.values())).tolist()
        blocks = [self._block(print_, *each) for each in zip(rows, quantiles, strict=False)]
        remarks = notes(print_, len(rows) - len(blocks))
        if remarks:
            blocks.append(remarks)
        clock = f"{print_.wall_time:%H:%M:%S}\n" if self.timestamp else ""
        return clock + "".join("\n".join(block) + "\n\n" for block in blocks)

    def _block(self, print_: RttPrint, row: int, quantiles: list[float]) -> list[str]:
        shown, unit = print_.shown, self.measurement.unit
        distribution = shown.table.row(row)
        return [
            f"Key: {shown.keys[row].title(self.grouping, print_.names)}",
            *(_extension(distribution, unit) if self.extension else ()),
            "",
            *histogram_lines(distribution, unit),
            figures_line(distribution, quantiles, unit),
            *clean_lines(distribution),
        ]


def _extension(distribution: Distribution, unit: Unit) -> tuple[str, str]:
    return f"Latency = {exact(distribution.sum_us, unit)}", f"Cnt = {distribution.count}"


def histogram_lines(distribution: Distribution, unit: Unit) -> list[str]:
    """Return the header and the log2 rows, up to the last slot that is not empty."""
    slots = [int(count) for count in fold_log2(distribution.buckets)]
    last = max((slot for slot in range(LOG2_SLOTS) if slots[slot]), default=-1)
    header = f"{f'     ({unit})':<25}: count    distribution"
    return [header, *(_slot_line(slot, slots[slot], max(slots)) for slot in range(last + 1))]


def _slot_line(slot: int, count: int, most: int) -> str:
    low, high = log2_edges(slot)
    stars = "*" * (count * _STARS // most)
    return f"{low:>10} -> {high:<10} : {count:<8} |{stars:<{_STARS}}|"


def figures_line(distribution: Distribution, quantiles: list[float], unit: Unit) -> str:
    """Return percentiles, maximum, average and count of a distribution.

    `quantiles` are those of PERCENTILES, good to a fine bucket (6.25 %).  The maximum is exact
    since the start, and of an interval alone as exact as it can be known.
    """
    count = distribution.count
    figures = {
        name.value: human(quantile * unit.divisor)
        for name, quantile in zip(PERCENTILES, quantiles, strict=True)
    }
    figures["max"] = human_or_none(distribution.max_us)
    figures["avg"] = human_or_none(distribution.sum_us / count if count else None)
    text = "  ".join(f"{name} {value}" for name, value in figures.items())
    return f"{text}  count {count}"


def clean_lines(distribution: Distribution) -> list[str]:
    """Return what stands beside clean samples, on a line of its own; none of others."""
    context = distribution.context
    if context is None:
        return []
    text = f"clean {distribution.count} of {context.samples} samples"
    text += f"  min RTT {human_or_none(context.floor_us)}"
    handshake = human_or_none(context.mean_handshake_us)
    return [f"{text}  handshake {handshake} (average of {context.handshakes})"]
