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
from tcpvitals.kernel import netns_counters, probe
from tcpvitals.kernel.netns_counters import NetnsCounters
from tcpvitals.model.snapshot import Snapshot
from tcpvitals.model.totals import FIELDS, Totals, TotalsSnapshot, TotalsTable
from tcpvitals.sources import live

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

INODE, OTHER_INODE, COOKIE = 4026539999, 4026539998, 7
UNEXPLAINED = "the kernel's counters differ from ours, and nothing explains it"


def kernel(retransmitted: int, inode: int = INODE, cookie: int = COOKIE) -> NetnsCounters:
    """Return a namespace whose only counter is RetransSegs."""
    return NetnsCounters(inode, cookie, {"TcpRetransSegs": retransmitted})


def totals(retransmitted: int) -> Totals:
    """Return totals of which nothing else is known."""
    values = [retransmitted if name == "segments_retransmitted" else 0 for name in FIELDS]
    return Totals(np.array(values, np.uint64))


class MadeUpKernel:
    """Answers each reading with the next of a list, and with the last one from then on."""

    def __init__(self) -> None:
        """Have no namespaces at all."""
        self.readings: list[list[NetnsCounters]] = [[]]
        self.read = 0

    def read_all(self) -> dict[int, NetnsCounters]:
        """Return one reading."""
        found = self.readings[min(self.read, len(self.readings) - 1)]
        self.read += 1
        return {one.inode: one for one in found}


class MadeUpSockets:
    """Sockets that sent so many segments again, in one namespace."""

    start_ns = 0
    shows_errors = True
    retransmitted = 0
    recursion = 0

    def __init__(self, *_request: object) -> None:
        """Take what a command asks for."""

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """Nothing to close."""

    def find_owners(self) -> None:
        """Have none."""

    def losses(self) -> dict[str, int]:
        """Return what the kernel skipped."""
        return {"recursion": self.recursion}

    def namespaces(self) -> dict[tuple[int, int], Totals]:
        """Return our totals."""
        return {(INODE, COOKIE): totals(self.retransmitted)} if self.retransmitted else {}

    def totals(self) -> TotalsSnapshot:
        """Return no groups: nothing but namespaces matters here."""
        nothing = Totals.empty()
        return Snapshot(1, (), TotalsTable.empty(), nothing, nothing, self.losses(), 1)


@pytest.fixture(autouse=True)
def made_up(monkeypatch: pytest.MonkeyPatch) -> MadeUpKernel:
    """Return the kernel that everything is compared with."""
    kernel = MadeUpKernel()
    monkeypatch.setattr(netns_counters, "read_all", kernel.read_all)
    return kernel


@pytest.fixture
def _handlers() -> Iterator[None]:
    """A command takes the signals over."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def sockets(retransmitted: int, recursion: int = 0) -> live.LiveSockets:
    """Return made-up sockets in place of live ones."""
    made_up = MadeUpSockets()
    made_up.retransmitted, made_up.recursion = retransmitted, recursion
    return cast("live.LiveSockets", made_up)


def attached(stream: io.StringIO) -> Verifier:
    """Return a verifier that has read before and after attaching."""
    verifier = Verifier(stream, json=True, shows_errors=True)
    verifier.before_attaching()
    verifier.after_attaching()
    return verifier


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """Return what was shown."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def shown(live: live.LiveSockets) -> dict[str, Any]:
    """Compare once, and return RetransSegs of the only namespace with any."""
    stream = io.StringIO()
    attached(stream).show(live)
    [line] = lines(stream)
    retransmitted: dict[str, Any] = line["counters"]["RetransSegs"]
    return retransmitted


# --- what the end remembers ---------------------------------------------------------------


def test_equal_counters_end_well(made_up: MadeUpKernel) -> None:
    made_up.readings = [[kernel(10)], [kernel(10)], [kernel(15)]]
    stream = io.StringIO()
    verifier = attached(stream)
    verifier.show(sockets(5))
    verifier.check()

    [line] = lines(stream)
    assert line["counters"]["RetransSegs"]["difference"] == 0


def test_an_unexplained_difference_is_an_error_with_status_3(made_up: MadeUpKernel) -> None:
    made_up.readings = [[kernel(10)], [kernel(10)], [kernel(16)]]
    verifier = attached(io.StringIO())
    verifier.show(sockets(5))

    with pytest.raises(UnexplainedError, match=UNEXPLAINED) as raised:
        verifier.check()
    assert raised.value.exit_code == 3


def test_a_difference_in_any_print_is_remembered_to_the_end(made_up: MadeUpKernel) -> None:
    """The next print may be equal: what was lost came back, and it is told nevertheless."""
    made_up.readings = [[kernel(0)], [kernel(0)], [kernel(6)]]
    verifier = attached(io.StringIO())
    verifier.show(sockets(5))
    verifier.show(sockets(6))

    with pytest.raises(UnexplainedError):
        verifier.check()


def test_runs_that_the_kernel_skipped_explain_a_difference(made_up: MadeUpKernel) -> None:
    made_up.readings = [[kernel(0)], [kernel(0)], [kernel(6)]]
    stream = io.StringIO()
    verifier = attached(stream)
    verifier.show(sockets(5, recursion=1))
    verifier.check()

    [line] = lines(stream)
    assert line["counters"]["RetransSegs"]["difference"] == -1


def test_without_verify_nothing_is_read_shown_or_missed(made_up: MadeUpKernel) -> None:
    made_up.readings = [[kernel(6)]]
    stream = io.StringIO()
    verifier = Verifier(stream, json=True, shows_errors=True)
    verifier.show(sockets(5))
    verifier.check()

    assert (made_up.read, stream.getvalue()) == (0, "")


@pytest.mark.usefixtures("_handlers")
@pytest.mark.parametrize(
    ("ours", "status", "complaint"), [(6, 0, ""), (5, 3, f"tcpvitals: {UNEXPLAINED}\n")]
)
def test_the_commands_status_is_3_when_a_difference_is_left_without_an_explanation(  # noqa: PLR0913, PLR0917 - fixtures
    made_up: MadeUpKernel,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ours: int,
    status: int,
    complaint: str,
) -> None:
    made_up.readings = [[kernel(0)], [kernel(0)], [kernel(6)]]
    monkeypatch.setattr(MadeUpSockets, "retransmitted", ours)
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


def test_ours_is_read_again_until_the_kernel_stands_still_meanwhile(made_up: MadeUpKernel) -> None:
    made_up.readings = [[kernel(0)], [kernel(0)], [kernel(3)], [kernel(4)], [kernel(5)]]
    assert shown(sockets(5)) == {
        "ours": 5,
        "kernel": 5,
        "difference": 0,
        "explanation": None,
        "explained": True,
    }


def test_where_it_never_stands_still_what_moved_last_is_the_bound(made_up: MadeUpKernel) -> None:
    made_up.readings = [[kernel(count)] for count in (0, 0, *range(10, 100, 10))]
    found = shown(sockets(55))
    assert (found["kernel"], found["difference"]) == (60, -5)
    assert found["explanation"] == "moved while reading: at most 10"


def test_what_was_counted_while_attaching_may_be_missing(made_up: MadeUpKernel) -> None:
    made_up.readings = [[kernel(0)], [kernel(2)], [kernel(6)]]
    found = shown(sockets(4))
    assert found["explanation"] == "before all programs were attached: at most 2"


def test_a_namespace_in_which_we_saw_nothing_is_compared_all_the_same(
    made_up: MadeUpKernel,
) -> None:
    made_up.readings = [[kernel(0)], [kernel(0)], [kernel(6)]]
    found = shown(sockets(0))
    assert (found["ours"], found["kernel"], found["explained"]) == (0, 6, False)


def test_another_namespace_with_the_same_inode_number_is_another(made_up: MadeUpKernel) -> None:
    """Ours is gone, and the number has passed on to one that had its own retransmissions."""
    made_up.readings = [[kernel(0)], [kernel(0)], [kernel(9, cookie=COOKIE + 1)]]
    stream = io.StringIO()
    verifier = attached(stream)
    verifier.show(sockets(5))
    verifier.check()

    [line] = lines(stream)
    assert (line["gone"], line["counters"]) == (True, {})


def test_where_the_kernel_knows_no_cookies_the_inode_number_decides(made_up: MadeUpKernel) -> None:
    made_up.readings = [[kernel(0, cookie=0)], [kernel(0, cookie=0)], [kernel(5, cookie=0)]]
    assert shown(sockets(5))["difference"] == 0


def test_each_namespace_has_a_line_of_its_own(made_up: MadeUpKernel) -> None:
    quiet = kernel(0, OTHER_INODE, COOKIE + 1)
    made_up.readings = [[kernel(0), quiet], [kernel(0), quiet], [kernel(5), kernel(2, OTHER_INODE)]]
    stream = io.StringIO()
    attached(stream).show(sockets(5))

    found = {line["netns"]: line["explained"] for line in lines(stream)}
    assert found == {str(INODE): True, str(OTHER_INODE): False}
