"""What each of the kernel's counters should be, made of ours, and why the two may differ.

Holds one expectation of each counter: which of our totals it equals, and the reasons, each with a
bound, for which the kernel may have counted more or less.  Leaves to `verification` what was read,
the comparing, and the reasons that hold for every counter.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from tcpvitals.model.event import Cause

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tcpvitals.model.verification import Observation

_PUT_OFF: Final = "TcpExtTCPSpuriousRtxHostQueues"
_DEFERRED: Final = "TcpExtTCPDeferAcceptDrop"
_FAILED: Final = "TcpExtTCPRetransFail"
_RETRANSMITTED: Final = "TcpRetransSegs"
_TIMEOUTS: Final = "TcpExtTCPTimeouts"
_PROBES: Final = "TcpExtTCPLossProbes"


@dataclass(frozen=True, slots=True)
class View:
    """An observation as the expectations see it."""

    seen: Observation
    shows_errors: bool
    skipped: int

    def ours(self, *names: str) -> int:
        """The sum of our totals of these names."""
        return sum(self.seen.ours.get(name, 0) for name in names)

    def now(self, counter: str) -> int:
        """The kernel's counter just after ours were read."""
        return (self.seen.now_high or {}).get(counter, 0)

    def grown(self, counter: str) -> int:
        """All that the kernel may have counted since the baseline."""
        return self.now(counter) - self.seen.base_low.get(counter, 0)

    def moved(self, counter: str) -> int:
        """What the kernel counted while ours were read."""
        return self.now(counter) - self.seen.now_low.get(counter, 0)

    def moved_at_baseline(self, counter: str) -> int:
        """What the kernel counted while the baseline was read."""
        return self.seen.base_high.get(counter, 0) - self.seen.base_low.get(counter, 0)

    def of(self, ours: Mapping[str, int]) -> View:
        """Return the same with other totals of ours."""
        return replace(self, seen=replace(self.seen, ours=ours))

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
class Allowance:
    """A reason for which the two may differ, by `most` at most; `words` may have {n}, {s}, {most}.

    {n} is how much of the difference it takes, {s} the plural's ending.
    """

    most: int
    words: str


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a counter should be: ours, and why the kernel may have more or less than that.

    `reads` are the kernel's counters that move together with what ours is made of.
    """

    ours: int
    more: tuple[Allowance, ...] = ()
    less: tuple[Allowance, ...] = ()
    reads: tuple[str, ...] = ()


def _expect_retransmitted(view: View) -> Expectation:
    """Exact: __tcp_retransmit_skb adds to it and to the socket's total_retrans, failed or not.

    tcp_rtx_synack adds a SYN-ACK to it, for which there is no socket yet: we count the events.
    """
    return Expectation(view.ours("segments_retransmitted"))


def _expect_syn(view: View) -> Expectation:
    """Exact, where none failed: __tcp_retransmit_skb counts a SYN before it sends it.

    tcp_rtx_synack counts a SYN-ACK after it was sent.
    """
    failed = Allowance(view.failed, "at most {n} SYN{s} that did not leave this host")
    return Expectation(view.ours(Cause.SYN, Cause.SYNACK), more=(failed,))


def _expect_failed(view: View) -> Expectation:
    """Exact: __tcp_retransmit_skb counts all that the transmission refused, but for EBUSY.

    Where the tracepoint is silent about failures they are what was retransmitted without any event.
    """
    ours = view.ours("segments_failed") if view.shows_errors else view.without_cause
    busy = Allowance(view.put_off, "at most {n} refused by a busy queue (EBUSY)")
    return Expectation(ours, less=(busy,), reads=(_RETRANSMITTED,))


def _expect_timeouts(view: View) -> Expectation:
    """Every expiry of the timer: tcp_retransmit_timer, and tcp_syn_ack_timeout of a request's.

    The first counts before tcp_write_timeout may give up and before anything is sent, but nothing
    while the peer's window is closed.  The second counts expiries at which a SYN-ACK is sent, the
    last one, at which the handshake is given up, and those of a deferred accept, at which nothing
    is sent; a SYN-ACK may also be sent again without it, as an answer to a second SYN.
    """
    synacks = view.ours(Cause.SYNACK)
    deferred = view.grown(_TIMEOUTS) if view.grown(_DEFERRED) > 0 else 0
    unsent = view.failed + view.put_off
    return Expectation(
        view.ours(Cause.RTO, Cause.SYN, "timeouts_synack") - view.ours("timeouts_closed_window"),
        more=(
            Allowance(
                view.ours("timeouts_last"),
                "{n} connection{s} given up at a timeout (tcp_write_timeout)",
            ),
            Allowance(synacks, "at most {n} handshake{s} given up (tcp_syn_ack_timeout)"),
            Allowance(unsent, "at most {n} timeout{s} whose retransmission failed or was put off"),
            Allowance(deferred, "{n} timeout{s} of deferred accepts (tcp_syn_ack_timeout)"),
        ),
    )


def _expect_probes(view: View) -> Expectation:
    """At least the retransmitted ones: tcp_send_loss_probe prefers new data, if there is any."""
    new = Allowance(view.grown(_PROBES), "{n} probe{s} with new data (tcp_send_loss_probe)")
    return Expectation(view.ours(Cause.TLP), more=(new,))


def _expect_fast(view: View) -> Expectation:
    """Exact: tcp_xmit_retransmit_queue files here all that it sent in any state but Loss."""
    return Expectation(view.ours(Cause.FAST, Cause.OTHER))


def _expect_slow_start(view: View) -> Expectation:
    """Exact: tcp_xmit_retransmit_queue files here what it sent in state Loss."""
    return Expectation(view.ours(Cause.SLOW_START))


EXPECTATIONS: Final[Mapping[str, Callable[[View], Expectation]]] = {
    _RETRANSMITTED: _expect_retransmitted,
    "TcpExtTCPSynRetrans": _expect_syn,
    _FAILED: _expect_failed,
    _TIMEOUTS: _expect_timeouts,
    _PROBES: _expect_probes,
    "TcpExtTCPFastRetrans": _expect_fast,
    "TcpExtTCPSlowStartRetrans": _expect_slow_start,
}
