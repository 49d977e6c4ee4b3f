"""Holds our totals of each network namespace against the kernel's own counters, and explains.

Pure: who reads what, and when, is decided elsewhere.  A counter is compared with what the programs
must have counted for it; where the kernel is known to count more, or one of the two was read a
moment earlier, the difference has an explanation with a bound.  What exceeds all bounds is a
defect, ours or the kernel's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from tcpvitals.model.expectations import EXPECTATIONS, Allowance, View

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tcpvitals.model.expectations import Expectation

Status: TypeAlias = Literal["equal", "explained", "unexplained"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What was read of one namespace; the kernel's counters have the names that `nstat` uses.

    Attributes:
        inode: the namespace's inode number.
        ours: our totals since we attached: fields of struct retrans_counters, causes by `Cause`.
        before: the kernel's just before attaching; empty for a namespace that was born later.
        after: the kernel's just after attaching; likewise.
        now_low: the kernel's just before `ours` was read; empty for one that was born in between.
        now_high: the kernel's just after; None if the namespace was gone by then.
    """

    inode: int
    ours: Mapping[str, int]
    before: Mapping[str, int]
    after: Mapping[str, int]
    now_low: Mapping[str, int]
    now_high: Mapping[str, int] | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One counter: `difference` is ours less the kernel's, `kernel` what it counted since.

    `explanation` is None where there is nothing to explain, or where nothing explains it all.
    """

    counter: str
    ours: int
    kernel: int
    difference: int
    explanation: str | None
    status: Status


@dataclass(frozen=True, slots=True)
class NamespaceReport:
    """One namespace's comparisons; none if it is gone, which is no failure."""

    inode: int
    comparisons: tuple[Comparison, ...]
    gone: bool = False

    @property
    def active(self) -> bool:
        """Whether either side counted anything at all."""
        return self.gone or any(one.ours or one.kernel for one in self.comparisons)

    @property
    def explained(self) -> bool:
        """Whether no difference is left without an explanation."""
        return all(one.status != "unexplained" for one in self.comparisons)


def verify(
    observations: Iterable[Observation], *, shows_errors: bool, skipped: int
) -> list[NamespaceReport]:
    """Compare every counter that this kernel has, in each namespace.

    Args:
        observations: one of each namespace; a namespace that is gone and in which we had counted
            nothing is left out of the result.
        shows_errors: the tracepoint tcp_retransmit_skb tells failures too (6.17).
        skipped: how many runs of our programs the kernel skipped, in whichever namespace.
    """
    reports = (_report(View(one, shows_errors, skipped)) for one in observations)
    return [report for report in reports if report]


def has_unexplained(reports: Iterable[NamespaceReport]) -> bool:
    """Tell whether any difference is left without an explanation."""
    return not all(report.explained for report in reports)


def _report(view: View) -> NamespaceReport | None:
    seen = view.seen
    if seen.now_high is None:
        return NamespaceReport(seen.inode, (), gone=True) if any(seen.ours.values()) else None
    comparisons = (
        _compare(view, counter, expect(view))
        for counter, expect in EXPECTATIONS.items()
        if counter in seen.now_high
    )
    return NamespaceReport(seen.inode, tuple(comparisons))


def _compare(view: View, counter: str, expected: Expectation) -> Comparison:
    kernel = view.grown(counter)
    difference = expected.ours - kernel
    own = expected.less if difference > 0 else expected.more
    general = _general(view, (counter, *expected.reads))
    explanation = _explain(abs(difference), (*own, *general))
    status: Status = "explained" if explanation else "unexplained"
    return Comparison(
        counter.removeprefix("TcpExt").removeprefix("Tcp"),
        expected.ours,
        kernel,
        difference,
        explanation,
        status if difference else "equal",
    )


def _general(view: View, counters: tuple[str, ...]) -> tuple[Allowance, ...]:
    """What may make any counter differ, either way."""
    moved = sum(view.moved(counter) for counter in counters)
    attached = sum(view.attached(counter) for counter in counters)
    return (
        Allowance(moved, "moved while reading: at most {most}"),
        Allowance(attached, "before all programs were attached: at most {most}"),
        Allowance(view.skipped, "runs that the kernel skipped: at most {most}"),
    )


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
