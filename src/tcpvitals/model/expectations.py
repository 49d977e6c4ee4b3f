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
# TCP_DEFER_ACCEPT of up to 127 s: 1 + 2 + 4 ... + 64.
_DEFERRED_TIMEOUTS: Final = 7
_PROBES: Final = "TcpExtTCPLossProbes"


@dataclass(frozen=True, slots=True)
class Missed:
    """What our programs did not see, in whichever namespace.

    Attributes:
        skipped: runs that the kernel says it skipped.
        ends: connections that ended without any program: what they did last is in no total.
        closes: connections of which only the socket's end was seen.
        left_out, timeouts_left_out: what connections had retransmitted, and their timeouts, before
            a program saw them, if that may have been before we began.
    """

    skipped: int = 0
    ends: int = 0
    closes: int = 0
    left_out: int = 0
    timeouts_left_out: int = 0


@dataclass(frozen=True, slots=True)
class View:
    """An observation as the expectations see it."""

    seen: Observation
    shows_errors: bool
    missed: Missed

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
        """Segments that were retransmitted, but in no event that we saw."""
        seen = self.ours(*Cause) + (self.ours("segments_failed") if self.shows_errors else 0)
        return self.ours("segments_retransmitted") - seen

    @property
    def unattributed(self) -> int:
        """Those of them that did leave this host, as far as the kernel's count of failures says."""
        failed = 0 if self.shows_errors else max(0, self.grown(_FAILED))
        return max(0, self.without_cause - failed)


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


def _unattributed(view: View) -> Allowance:
    """What the sockets themselves counted, so that only its cause was missed."""
    return Allowance(view.unattributed, "unattributed: {n} of at most {most}")


def _ends(view: View) -> Allowance:
    """One for each connection whose last counters were not read."""
    return Allowance(view.missed.ends, "connections whose end was not seen: {n} of at most {most}")


def _begins(most: int) -> Allowance:
    """What may have been before the baseline."""
    return Allowance(most, "connections whose beginning was not seen: {n} of at most {most}")


def _expect_retransmitted(view: View) -> Expectation:
    """Exact: __tcp_retransmit_skb adds to it and to the socket's total_retrans, failed or not.

    tcp_rtx_synack adds a SYN-ACK to it, which the request counts, too.  A socket whose end was not
    seen may have more of them than we read last: one is allowed for each.
    """
    begins = _begins(view.missed.left_out)
    return Expectation(view.ours("segments_retransmitted"), more=(_ends(view), begins))


def _expect_syn(view: View) -> Expectation:
    """Exact, where none failed: __tcp_retransmit_skb counts a SYN before it sends it.

    tcp_rtx_synack counts a SYN-ACK after it was sent.
    """
    failed = Allowance(view.failed, "at most {n} SYN{s} that did not leave this host")
    return Expectation(view.ours(Cause.SYN, Cause.SYNACK), more=(failed, _unattributed(view)))


def _expect_failed(view: View) -> Expectation:
    """Exact: __tcp_retransmit_skb counts all that the transmission refused, but for EBUSY.

    Where the tracepoint is silent about failures they are what was retransmitted without any event.
    """
    ours = view.ours("segments_failed") if view.shows_errors else view.without_cause
    busy = Allowance(view.put_off, "at most {n} refused by a busy queue (EBUSY)")
    return Expectation(ours, less=(busy, _unattributed(view)), reads=(_RETRANSMITTED,))


def _expect_timeouts(view: View) -> Expectation:
    """Every expiry of a retransmission timer: tcp_retransmit_timer's, and of a request's own.

    The first are counted by the socket itself, as long as it goes on, and by us where one gives it
    up.  A request counts its own, too, and tells them when a SYN-ACK is retransmitted or when it
    becomes a connection.  Unknown are the last one, at which it is given up, and before 6.7 those
    of a deferred accept, at which no SYN-ACK is sent.
    """
    waiting = view.ours("handshakes_timed_out") - view.ours("handshakes_late")
    deferred = _DEFERRED_TIMEOUTS * max(0, view.grown(_DEFERRED))
    # Before 6.7 a socket forgets its timeouts at the next ACK; from 6.17 on that is long past.
    unsent = 0 if view.shows_errors else view.failed + view.put_off
    return Expectation(
        view.ours("timeouts", "timeouts_last"),
        more=(
            Allowance(waiting, "handshakes given up (tcp_syn_ack_timeout): {n} of at most {most}"),
            Allowance(
                unsent, "timeouts whose retransmission failed or was put off: {n} of at most {most}"
            ),
            Allowance(
                deferred,
                "timeouts of deferred accepts (tcp_syn_ack_timeout): {n} of at most {most}",
            ),
            Allowance(
                view.missed.closes,
                "connections whose close was not seen (given up?): {n} of at most {most}",
            ),
            _ends(view),
            _begins(view.missed.timeouts_left_out),
        ),
    )


def _expect_probes(view: View) -> Expectation:
    """At least the retransmitted ones: tcp_send_loss_probe prefers new data, if there is any."""
    retransmitted = view.ours(Cause.TLP)
    new = Allowance(
        max(0, view.grown(_PROBES) - retransmitted),
        "probes with new data (tcp_send_loss_probe): {n}",
    )
    return Expectation(retransmitted, more=(new,))


def _expect_fast(view: View) -> Expectation:
    """Exact: tcp_xmit_retransmit_queue files here all that it sent in any state but Loss."""
    return Expectation(view.ours(Cause.FAST, Cause.OTHER), more=(_unattributed(view),))


def _expect_slow_start(view: View) -> Expectation:
    """Exact: tcp_xmit_retransmit_queue files here what it sent in state Loss."""
    return Expectation(view.ours(Cause.SLOW_START), more=(_unattributed(view),))


EXPECTATIONS: Final[Mapping[str, Callable[[View], Expectation]]] = {
    _RETRANSMITTED: _expect_retransmitted,
    "TcpExtTCPSynRetrans": _expect_syn,
    _FAILED: _expect_failed,
    _TIMEOUTS: _expect_timeouts,
    _PROBES: _expect_probes,
    "TcpExtTCPFastRetrans": _expect_fast,
    "TcpExtTCPSlowStartRetrans": _expect_slow_start,
}
