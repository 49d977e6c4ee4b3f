"""`--verify` from readings to exit status: what is read when, and what is remembered to the end."""

from __future__ import annotations

import io
import json
import signal
import sys
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from test_kernel_madeup import host

from tcpvitals.commands import main
from tcpvitals.commands.verifying import Verifier
from tcpvitals.errors import UnexplainedError
from tcpvitals.kernel import probe
from tcpvitals.model.expectations import Missed
from tcpvitals.model.namespaces import NamespaceTotals, Netns
from tcpvitals.model.snapshot import Snapshot
from tcpvitals.model.totals import FIELDS, Totals, TotalsSnapshot, TotalsTable
from tcpvitals.sources import live

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from tcpvitals.kernel.netns_counters import Counters

INODE, OTHER_INODE, COOKIE = 4026539999, 4026539998, 7
UNEXPLAINED = "the kernel's counters differ from ours, and nothing explains it"


def kernel(retransmitted: int, inode: int = INODE, cookie: int = COOKIE) -> Counters:
    """Return a namespace whose only counter is RetransSegs."""
    return {Netns(inode, cookie): {"TcpRetransSegs": retransmitted}}


def totals(retransmitted: int) -> Totals:
    """Return totals of which nothing else is known."""
    values = [retransmitted if name == "segments_retransmitted" else 0 for name in FIELDS]
    return Totals(np.array(values, np.uint64))


def counted(retransmitted: int, *, other: int = 0, retirements: int = 0) -> NamespaceTotals:
    """Return ours of the one namespace, of those without a slot, and how often it was retired."""
    one = Netns(INODE, COOKIE)
    retired = {one: retirements} if retirements else {}
    return NamespaceTotals(
        {one: totals(retransmitted)}, totals(other), totals(7 * retirements), retirements, retired
    )


class MadeUpNamespaces:
    """Answers each reading with the next of a list, and with the last one from then on."""

    def __init__(self) -> None:
        """Have no namespaces at all."""
        self.readings: list[Counters] = [{}]
        self.ours: list[NamespaceTotals] = [counted(0)]
        self.read = self.read_ours = 0

    def kernel(self) -> Counters:
        """Return the kernel's."""
        self.read += 1
        return self.readings[min(self.read, len(self.readings)) - 1]

    def totals(self) -> NamespaceTotals:
        """Return ours."""
        self.read_ours += 1
        return self.ours[min(self.read_ours, len(self.ours)) - 1]


class MadeUpSockets:
    """Sockets of those namespaces."""

    start_ns = 0
    shows_errors = True
    recursion = 0
    namespaces: MadeUpNamespaces | None = None

    def __init__(self, *_request: object) -> None:
        """Take what a command asks for."""

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """Nothing to close."""

    def keep_up(self) -> None:
        """Have nothing to do."""

    def losses(self) -> dict[str, int]:
        """Return what the kernel skipped."""
        return {"recursion": self.recursion}

    def missed(self) -> Missed:
        """Return the same, as the comparison takes it."""
        return Missed(self.recursion)

    def totals(self) -> TotalsSnapshot:
        """Return no groups: nothing but namespaces matters here."""
        nothing = Totals.empty()
        return Snapshot(1, (), TotalsTable.empty(), nothing, nothing, self.losses(), 1)


@pytest.fixture(autouse=True)
def made_up(monkeypatch: pytest.MonkeyPatch) -> MadeUpNamespaces:
    """Return the namespaces that everything is about."""
    namespaces = MadeUpNamespaces()
    monkeypatch.setattr(MadeUpSockets, "namespaces", namespaces)
    return namespaces


@pytest.fixture
def _handlers() -> Iterator[None]:
    """A command takes the signals over."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def sockets(recursion: int = 0) -> live.LiveSockets:
    """Return made-up sockets in place of live ones."""
    made_up = MadeUpSockets()
    made_up.recursion = recursion
    return cast("live.LiveSockets", made_up)


def attached(stream: io.StringIO) -> Verifier:
    """Return a verifier that has its baseline."""
    verifier = Verifier(stream, json=True)
    verifier.begin(sockets())
    return verifier


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """Return what was shown."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def shown() -> dict[str, Any]:
    """Compare once, and return RetransSegs of the only namespace with any."""
    stream = io.StringIO()
    attached(stream).show(sockets())
    [line] = lines(stream)
    retransmitted: dict[str, Any] = line["counters"]["RetransSegs"]
    return retransmitted


# --- what the end remembers ---------------------------------------------------------------


def test_equal_counters_end_well(made_up: MadeUpNamespaces) -> None:
    made_up.readings = [kernel(10), kernel(10), kernel(15)]
    made_up.ours = [counted(0), counted(5)]
    stream = io.StringIO()
    verifier = attached(stream)
    verifier.show(sockets())
    verifier.check()

    [line] = lines(stream)
    assert line["counters"]["RetransSegs"]["difference"] == 0


def test_an_unexplained_difference_is_an_error_with_status_3(made_up: MadeUpNamespaces) -> None:
    made_up.readings = [kernel(10), kernel(10), kernel(16)]
    made_up.ours = [counted(0), counted(5)]
    verifier = attached(io.StringIO())
    verifier.show(sockets())

    with pytest.raises(UnexplainedError, match=UNEXPLAINED) as raised:
        verifier.check()
    assert raised.value.exit_code == 3


def test_a_difference_in_any_print_is_remembered_to_the_end(made_up: MadeUpNamespaces) -> None:
    """The next print may be equal: what was lost came back, and it is told nevertheless."""
    made_up.readings = [kernel(0), kernel(0), kernel(6)]
    made_up.ours = [counted(0), counted(5), counted(6)]
    verifier = attached(io.StringIO())
    verifier.show(sockets())
    verifier.show(sockets())

    with pytest.raises(UnexplainedError):
        verifier.check()


def test_runs_that_the_kernel_skipped_explain_a_difference(made_up: MadeUpNamespaces) -> None:
    made_up.readings = [kernel(0), kernel(0), kernel(6)]
    made_up.ours = [counted(0), counted(5)]
    stream = io.StringIO()
    verifier = attached(stream)
    verifier.show(sockets(recursion=1))
    verifier.check()

    [line] = lines(stream)
    assert line["counters"]["RetransSegs"]["difference"] == -1


def test_without_verify_nothing_is_read_shown_or_missed(
    made_up: MadeUpNamespaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MadeUpSockets, "namespaces", None)
    stream = io.StringIO()
    verifier = attached(stream)
    verifier.show(sockets())
    verifier.check()

    assert (made_up.read, made_up.read_ours, stream.getvalue()) == (0, 0, "")


@pytest.mark.usefixtures("_handlers")
@pytest.mark.parametrize(
    ("ours", "status", "complaint"), [(6, 0, ""), (5, 3, f"tcpvitals: {UNEXPLAINED}\n")]
)
def test_the_commands_status_is_3_when_a_difference_is_left_without_an_explanation(  # noqa: PLR0913, PLR0917 - fixtures
    made_up: MadeUpNamespaces,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ours: int,
    status: int,
    complaint: str,
) -> None:
    made_up.readings = [kernel(0), kernel(0), kernel(6)]
    made_up.ours = [counted(0), counted(ours)]
    monkeypatch.setattr(live, "LiveSockets", MadeUpSockets)
    monkeypatch.setattr(probe, "collect_facts", host)
    words = ["retrans", "--by", "netns", "--verify", "--json", "-d", "0.01"]
    monkeypatch.setattr(sys, "argv", ["tcpvitals", *words])

    with pytest.raises(SystemExit) as ended:
        main.run()
    said = capsys.readouterr()
    assert (ended.value.code, said.err) == (status, complaint)
    assert [json.loads(line)["type"] for line in said.out.splitlines()] == ["totals", "verify"]


# --- which readings are compared ----------------------------------------------------------


def test_ours_is_read_again_until_the_kernel_stands_still_meanwhile(
    made_up: MadeUpNamespaces,
) -> None:
    made_up.readings = [kernel(count) for count in (0, 0, 3, 4, 5)]
    made_up.ours = [counted(0), counted(5)]
    assert shown() == {
        "ours": 5,
        "kernel": 5,
        "difference": 0,
        "allowed": 0,
        "explanation": None,
        "explained": True,
    }


def test_where_it_never_stands_still_the_calmest_reading_is_compared(
    made_up: MadeUpNamespaces,
) -> None:
    made_up.readings = [kernel(count) for count in (0, 0, 10, 20, 30, 34, 44, 54, 64)]
    made_up.ours = [counted(count) for count in (0, 12, 25, 31, 40, 50)]
    found = shown()
    assert (found["kernel"], found["difference"], found["allowed"]) == (34, -3, 4)
    assert found["explanation"] == "moved while reading: 3 of at most 4"


def test_what_both_counted_before_the_baseline_is_not_compared(made_up: MadeUpNamespaces) -> None:
    """Amid loss, 912 segments were retransmitted while programs were being attached."""
    made_up.readings = [kernel(1000), kernel(1000), kernel(1010)]
    made_up.ours = [counted(88), counted(97)]
    found = shown()
    assert (found["ours"], found["kernel"], found["explained"]) == (9, 10, False)


def test_what_moved_at_the_calmest_baseline_is_all_that_is_allowed_for_it(
    made_up: MadeUpNamespaces,
) -> None:
    """Five readings, of which the third moved least, by 2."""
    made_up.readings = [kernel(count) for count in (0, 9, 18, 20, 29, 38, 50)]
    made_up.ours = [counted(count) for count in (4, 13, 20, 24, 33, 50)]
    found = shown()
    assert (found["ours"], found["kernel"], found["allowed"]) == (30, 32, 2)
    assert found["explanation"] == "moved while the baseline was read: 2 of at most 2"


def test_a_namespace_in_which_we_saw_nothing_is_compared_all_the_same(
    made_up: MadeUpNamespaces,
) -> None:
    made_up.readings = [kernel(0), kernel(0), kernel(6)]
    found = shown()
    assert (found["ours"], found["kernel"], found["explained"]) == (0, 6, False)


def test_each_namespace_has_a_line_of_its_own(made_up: MadeUpNamespaces) -> None:
    quiet = kernel(0, OTHER_INODE, COOKIE + 1)
    made_up.readings = [kernel(0) | quiet] * 2 + [kernel(5) | kernel(2, OTHER_INODE, COOKIE + 1)]
    made_up.ours = [counted(0), counted(5)]
    stream = io.StringIO()
    attached(stream).show(sockets())

    found = {line["netns"]: line["explained"] for line in lines(stream)}
    assert found == {str(INODE): True, str(OTHER_INODE): False}


# --- identity -----------------------------------------------------------------------------


def test_another_namespace_with_the_same_inode_number_is_another(
    made_up: MadeUpNamespaces,
) -> None:
    """Ours is gone; the number has passed on to one that had retransmissions that we missed."""
    made_up.readings = [kernel(0), kernel(0), kernel(9, cookie=COOKIE + 1)]
    made_up.ours = [counted(0), counted(5)]
    stream = io.StringIO()
    verifier = attached(stream)
    verifier.show(sockets())

    compared, others = lines(stream)
    assert (compared["counters"]["RetransSegs"]["ours"], compared["explained"]) == (0, False)
    assert (others["gone"], others["gone_retransmitted"]) == (1, 5)
    with pytest.raises(UnexplainedError):
        verifier.check()


def test_where_the_kernels_side_has_no_identity_it_is_not_compared(
    made_up: MadeUpNamespaces,
) -> None:
    made_up.readings = [kernel(0, cookie=0), kernel(0, cookie=0), kernel(47, cookie=0)]
    made_up.ours = [counted(0), counted(14)]
    stream = io.StringIO()
    verifier = attached(stream)
    verifier.show(sockets())
    verifier.check()

    [line] = lines(stream)
    assert (line["type"], line["unknown"], line["gone"]) == ("not_verified", 1, 0)


def test_a_namespace_that_was_retired_is_compared_from_where_it_was_seen_again(
    made_up: MadeUpNamespaces,
) -> None:
    """7 of ours are with the retired; it comes back, and 3 are retransmitted from then on."""
    made_up.readings = [kernel(0), kernel(0), kernel(9), kernel(9), kernel(12), kernel(12)]
    made_up.ours = [counted(0), counted(2, retirements=1), counted(5, retirements=1)]
    stream = io.StringIO()
    verifier = attached(stream)
    verifier.show(sockets())
    verifier.show(sockets())

    [line] = [line for line in lines(stream) if line["type"] == "verify"]
    one = line["counters"]["RetransSegs"]
    assert (one["ours"], one["kernel"], one["difference"]) == (3, 3, 0)


def test_what_found_no_slot_is_the_bound_of_what_it_explains(made_up: MadeUpNamespaces) -> None:
    made_up.readings = [kernel(0), kernel(0), kernel(6)]
    made_up.ours = [counted(0), counted(2, other=4)]
    assert shown()["explanation"] == "namespaces past the limit: at most 4"
    made_up.read, made_up.read_ours = 0, 0
    made_up.ours = [counted(0), counted(2, other=3)]
    assert shown()["explanation"] is None
