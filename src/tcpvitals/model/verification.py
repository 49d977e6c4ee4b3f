"""Holds our totals of each network namespace against the kernel's own counters, and explains.

Pure: who reads what, and when, is decided elsewhere.  A counter is compared with what the programs
must have counted for it; where the kernel is known to count more, or one of the two was read a
moment earlier, the difference has an explanation with a bound.  What exceeds all bounds is a
defect, ours or the kernel's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from tcpvitals.model.event import Cause

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Status: TypeAlias = Literal["equal", "explained", "unexplained"]

_PUT_OFF: Final = "TcpExtTCPSpuriousRtxHostQueues"
_DEFERRED: Final = "TcpExtTCPDeferAcceptDrop"
_FAILED: Final = "TcpExtTCPRetransFail"
_RETRANSMITTED: Final = "TcpRetransSegs"
_TIMEOUTS: Final = "TcpExtTCPTimeouts"
_PROBES: Final = "TcpExtTCPLossProbes"


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
    reports = (_report(_View(one, shows_errors, skipped)) for one in observations)
    return [report for report in reports if report]


def has_unexplained(reports: Iterable[NamespaceReport]) -> bool:
    """Tell whether any difference is left without an explanation."""
    return not all(report.explained for report in reports)


@dataclass(frozen=True, slots=True)
class _View:
    """An observation as the expectations see it."""

    seen: Observation
    shows_errors: bool
    skipped: int

    def ours(self, *names: str) -> int:
        return sum(self.seen.ours.get(name, 0) for name in names)

    def now(self, counter: str) -> int:
        return (self.seen.now_high or {}).get(counter, 0)

    def grown(self, counter: str) -> int:
        """All that the kernel may have counted while we did."""
        return self.now(counter) - self.seen.before.get(counter, 0)

    def moved(self, counter: str) -> int:
        return self.now(counter) - self.seen.now_low.get(counter, 0)

    def attached(self, counter: str) -> int:
        return self.seen.after.get(counter, 0) - self.seen.before.get(counter, 0)

    @property
    def failed(self) -> int:
        """At most so many retransmissions did not leave this host."""
        return self.ours("segments_failed") if self.shows_errors else max(0, self.grown(_FAILED))

    @property
    def put_off(self) -> int:
        """At most so many retransmissions were put off, before the kernel counted them."""
        return self.ours("attempts_put_off") if self.shows_errors else max(0, self.grown(_PUT_OFF))

    @property
    def without_cause(self) -> int:
        """Segments that were sent again, but in no event that we saw."""
        told = self.ours(*Cause) + (self.ours("segments_failed") if self.shows_errors else 0)
        return self.ours("segments_retransmitted") - told


@dataclass(frozen=True, slots=True)
class _Allowance:
    """A reason for which the two may differ, by `most` at most; `words` may have {n}, {s}, {most}.

    {n} is how much of the difference it takes, {s} the plural's ending.
    """

    most: int
    words: str


@dataclass(frozen=True, slots=True)
class _Expectation:
    """What a counter should be: ours, and why the kernel may have more or less than that.

    `reads` are the kernel's counters that move together with what ours is made of.
    """

    ours: int
    more: tuple[_Allowance, ...] = ()
    less: tuple[_Allowance, ...] = ()
    reads: tuple[str, ...] = ()


def _expect_retransmitted(view: _View) -> _Expectation:
    """Exact: __tcp_retransmit_skb adds to it and to the socket's total_retrans, failed or not.

    tcp_rtx_synack adds a SYN-ACK to it, for which there is no socket yet: we count the events.
    """
    return _Expectation(view.ours("segments_retransmitted"))


def _expect_syn(view: _View) -> _Expectation:
    """Exact, where none failed: __tcp_retransmit_skb counts a SYN before it sends it.

    tcp_rtx_synack counts a SYN-ACK after it was sent.
    """
    failed = _Allowance(view.failed, "at most {n} SYN{s} that did not leave this host")
    return _Expectation(view.ours(Cause.SYN, Cause.SYNACK), more=(failed,))


def _expect_failed(view: _View) -> _Expectation:
    """Exact: __tcp_retransmit_skb counts all that the transmission refused, but for EBUSY.

    Where the tracepoint is silent about failures they are what was retransmitted without any event.
    """
    ours = view.ours("segments_failed") if view.shows_errors else view.without_cause
    busy = _Allowance(view.put_off, "at most {n} refused by a busy queue (EBUSY)")
    return _Expectation(ours, less=(busy,), reads=(_RETRANSMITTED,))


def _expect_timeouts(view: _View) -> _Expectation:
    """Every expiry of the timer: tcp_retransmit_timer, and tcp_syn_ack_timeout of a request's.

    The first counts before tcp_write_timeout may give up and before anything is sent, but nothing
    while the peer's window is closed.  The second counts expiries at which a SYN-ACK is sent, the
    last one, at which the handshake is given up, and those of a deferred accept, at which nothing
    is sent; a SYN-ACK may also be sent again without it, as an answer to a second SYN.
    """
    synacks = view.ours(Cause.SYNACK)
    deferred = view.grown(_TIMEOUTS) if view.grown(_DEFERRED) > 0 else 0
    unsent = view.failed + view.put_off
    return _Expectation(
        view.ours(Cause.RTO, Cause.SYN, "timeouts_synack") - view.ours("timeouts_closed_window"),
        more=(
            _Allowance(
                view.ours("timeouts_last"),
                "{n} connection{s} given up at a timeout (tcp_write_timeout)",
            ),
            _Allowance(synacks, "at most {n} handshake{s} given up (tcp_syn_ack_timeout)"),
            _Allowance(unsent, "at most {n} timeout{s} whose retransmission failed or was put off"),
            _Allowance(deferred, "{n} timeout{s} of deferred accepts (tcp_syn_ack_timeout)"),
        ),
    )


def _expect_probes(view: _View) -> _Expectation:
    """At least the retransmitted ones: tcp_send_loss_probe prefers new data, if there is any."""
    new = _Allowance(view.grown(_PROBES), "{n} probe{s} with new data (tcp_send_loss_probe)")
    return _Expectation(view.ours(Cause.TLP), more=(new,))


def _expect_fast(view: _View) -> _Expectation:
    """Exact: tcp_xmit_retransmit_queue files here all that it sent in any state but Loss."""
    return _Expectation(view.ours(Cause.FAST, Cause.OTHER))


def _expect_slow_start(view: _View) -> _Expectation:
    """Exact: tcp_xmit_retransmit_queue files here what it sent in state Loss."""
    return _Expectation(view.ours(Cause.SLOW_START))


_EXPECTATIONS: Final[Mapping[str, Callable[[_View], _Expectation]]] = {
    _RETRANSMITTED: _expect_retransmitted,
    "TcpExtTCPSynRetrans": _expect_syn,
    _FAILED: _expect_failed,
    _TIMEOUTS: _expect_timeouts,
    _PROBES: _expect_probes,
    "TcpExtTCPFastRetrans": _expect_fast,
    "TcpExtTCPSlowStartRetrans": _expect_slow_start,
}


def _report(view: _View) -> NamespaceReport | None:
    seen = view.seen
    if seen.now_high is None:
        return NamespaceReport(seen.inode, (), gone=True) if any(seen.ours.values()) else None
    comparisons = (
        _compare(view, counter, expect(view))
        for counter, expect in _EXPECTATIONS.items()
        if counter in seen.now_high
    )
    return NamespaceReport(seen.inode, tuple(comparisons))


def _compare(view: _View, counter: str, expected: _Expectation) -> Comparison:
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


def _general(view: _View, counters: tuple[str, ...]) -> tuple[_Allowance, ...]:
    """What may make any counter differ, either way."""
    moved = sum(view.moved(counter) for counter in counters)
    attached = sum(view.attached(counter) for counter in counters)
    # A run that was skipped may have been about a packet of many segments.
    skipped = max(view.skipped, view.without_cause) if view.skipped else 0
    return (
        _Allowance(moved, "moved while reading: at most {most}"),
        _Allowance(attached, "before all programs were attached: at most {most}"),
        _Allowance(skipped, "runs that the kernel skipped: at most {most}"),
    )


def _explain(difference: int, allowances: Iterable[_Allowance]) -> str | None:
    """Name the reasons, as many as it takes; None if there is no difference or all don't do."""
    rest, words = difference, []
    for allowance in allowances:
        if rest > 0 and allowance.most > 0:
            taken = min(rest, allowance.most)
            plural = "" if taken == 1 else "s"
            words.append(allowance.words.format(n=taken, s=plural, most=allowance.most))
            rest -= taken
    return None if rest else "; ".join(words) or None
