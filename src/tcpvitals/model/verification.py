"""Holds our totals of each network namespace against the kernel's own counters, and explains.

Pure: who reads what, and when, is decided elsewhere.  A counter is compared with what the programs
must have counted for it; where the kernel is known to count more, or one of the two was read a
moment earlier, the difference has an explanation with a bound.  What exceeds all bounds is a
defect, ours or the kernel's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from tcpvitals.model.expectations import EXPECTATIONS, Allowance, Missed, View

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tcpvitals.model.expectations import Expectation
    from tcpvitals.model.totals import Totals

Status: TypeAlias = Literal["equal", "explained", "unexplained"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What was read of one namespace; the kernel's counters have the names that `nstat` uses.

    Attributes:
        inode: the namespace's inode number.
        ours: our totals since the baseline: fields of struct retrans_counters, causes by `Cause`.
        base_low: the kernel's just before our baseline was read, right after attaching; empty for a
            namespace that was born later.
        base_high: the kernel's just after our baseline; likewise.
        now_low: the kernel's just before `ours` was read; empty for one that was born in between.
        now_high: the kernel's just after.
    """

    inode: int
    ours: Mapping[str, int]
    base_low: Mapping[str, int]
    base_high: Mapping[str, int]
    now_low: Mapping[str, int]
    now_high: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One counter: `difference` is ours less the kernel's, `kernel` what it counted since.

    `explanation` is None where there is nothing to explain, or where nothing explains it all.
    `allowed` is how great a difference that way all known reasons explain together, 0 where there
    is none.
    """

    counter: str
    ours: int
    kernel: int
    difference: int
    explanation: str | None
    status: Status
    allowed: int = 0


@dataclass(frozen=True, slots=True)
class NamespaceReport:
    """One namespace's comparisons."""

    inode: int
    comparisons: tuple[Comparison, ...]

    @property
    def active(self) -> bool:
        """Whether either side counted anything at all."""
        return any(one.ours or one.kernel for one in self.comparisons)

    @property
    def explained(self) -> bool:
        """Whether no difference is left without an explanation."""
        return all(one.status != "unexplained" for one in self.comparisons)


@dataclass(frozen=True, slots=True, eq=False)
class Gone:
    """Namespaces in which we counted, and which cannot be read any more: how many, and how much."""

    namespaces: int
    totals: Totals

    @property
    def retransmitted(self) -> int:
        """Segments that were retransmitted there."""
        return self.totals["segments_retransmitted"]


@dataclass(frozen=True, slots=True, eq=False)
class Verification:
    """All comparisons of one moment.

    Attributes:
        reports: one of each namespace that can be compared.
        unknown: inode numbers of those whose identity could not be read: they are not compared.
        gone: those that are not compared because they cannot be read, which is no failure.
    """

    reports: tuple[NamespaceReport, ...]
    unknown: tuple[int, ...]
    gone: Gone

    @property
    def explained(self) -> bool:
        """Whether no difference is left without an explanation."""
        return all(report.explained for report in self.reports)


def verify(
    observations: Iterable[Observation],
    *,
    shows_errors: bool,
    missed: Missed,
    overflow: Mapping[str, int],
) -> list[NamespaceReport]:
    """Compare every counter that this kernel has, in each namespace.

    Args:
        observations: one of each namespace.
        shows_errors: the tracepoint tcp_retransmit_skb tells failures too (6.17).
        missed: what our programs did not see.
        overflow: our totals of namespaces for which there was no slot; empty if there were none.
    """
    return [_report(View(one, shows_errors, missed), overflow) for one in observations]


def _report(view: View, overflow: Mapping[str, int]) -> NamespaceReport:
    comparisons = (
        _compare(view, counter, expect(view), expect(view.of(overflow)).ours if overflow else 0)
        for counter, expect in EXPECTATIONS.items()
        if counter in view.seen.now_high
    )
    return NamespaceReport(view.seen.inode, tuple(comparisons))


def _compare(view: View, counter: str, expected: Expectation, overflow: int) -> Comparison:
    kernel = view.grown(counter)
    difference = expected.ours - kernel
    own = expected.less if difference > 0 else expected.more
    general = (
        *_moved(view, counter, expected.reads, ours_more=difference > 0),
        *_general(view),
        Allowance(0 if difference > 0 else overflow, "namespaces past the limit: at most {most}"),
    )
    explanation = _explain(abs(difference), (*own, *general))
    allowed = sum(max(0, one.most) for one in (*own, *general)) if difference else 0
    status: Status = "explained" if explanation else "unexplained"
    return Comparison(
        counter.removeprefix("TcpExt").removeprefix("Tcp"),
        expected.ours,
        kernel,
        difference,
        explanation,
        status if difference else "equal",
        allowed,
    )


def _moved(
    view: View, counter: str, reads: tuple[str, ...], *, ours_more: bool
) -> tuple[Allowance, ...]:
    """What moved while it was read.

    `kernel` is the most that it may have counted: from its first reading at the baseline to its
    last reading now.  So its own movement can only make it more than ours.  That of the others that
    ours is made of goes either way.
    """
    counters = reads if ours_more else (counter, *reads)
    now = sum(view.moved(one) for one in counters)
    base = sum(view.moved_at_baseline(one) for one in counters)
    return (
        Allowance(now, "moved while reading: {n} of at most {most}"),
        Allowance(base, "moved while the baseline was read: {n} of at most {most}"),
    )


def _general(view: View) -> tuple[Allowance, ...]:
    """What may make any counter differ, either way."""
    return (Allowance(view.missed.skipped, "runs that the kernel skipped: at most {most}"),)


def _explain(difference: int, allowances: Iterable[Allowance]) -> str | None:
    """Name the reasons, as many as it takes; None if there is no difference or all don't do."""
    rest, words = difference, []
    for allowance in allowances:
        if rest > 0 and allowance.most > 0:
            taken = min(rest, allowance.most)
            plural = "" if taken == 1 else "s"
            words.append(allowance.words.format(n=taken, s=plural, most=allowance.most))
            rest -= taken
    return None if rest else "; ".join(words) or None
