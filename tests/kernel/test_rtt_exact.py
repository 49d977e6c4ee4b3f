"""What is counted is what happened: compared with an independent count of the same traffic."""

from __future__ import annotations

import re
import signal
import struct
import subprocess
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from attaching import POLL_S, is_waiting
from conftest import IN_VM, WITNESS, libbpf_tool, netns_inode, skips_of, witness
from retrans_scenarios import wait_until_quiet

from tcpvitals.kernel import libbpf
from tcpvitals.model.histogram import bucket_index, fold_log2
from tcpvitals.model.selection import Selection
from tcpvitals.netlab.link import SERVER_IPV4, SERVER_IPV6, open_link
from tcpvitals.netlab.workload import exchange, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tcpvitals.kernel.plan import Attach
    from tcpvitals.netlab.link import Link
    from tcpvitals.sources.live import LiveRtt

# Where a host does not run programs in what interrupts certain tasks, all programs at a hook miss
# the same runs: two of them are equal there, too.


@pytest.fixture(scope="module")
def fast_link() -> Iterator[Link]:
    """Two namespaces and a wire of the kernel's own."""
    with open_link(lifetime_s=600) as link:
        yield link


@pytest.fixture(scope="module")
def fast_port(fast_link: Link) -> Iterator[int]:
    """An echo server at its far end."""
    with serve(fast_link.server) as port:
        yield port


def _busy(link: Link, port: int, address: str = SERVER_IPV4) -> None:
    exchange(link.client, "pingpong", address, port, count=300, connections=8, size=4000)


@pytest.mark.parametrize("by", ["", "raddr,rport,role", "netns"])
@pytest.mark.parametrize("address", [SERVER_IPV4, SERVER_IPV6])
def test_bucket_sums_equal_an_independent_count_slot_by_slot(  # noqa: PLR0913, PLR0917 - fixtures
    fast_link: Link,
    fast_port: int,
    attach: Attach,
    open_rtt: Callable[..., LiveRtt],
    by: str,
    address: str,
) -> None:
    """Attached to the same hook for the same traffic, the witness knows nothing of our code.

    Equal, but for runs that the kernel says it skipped, of one program or the other.
    """
    inode = netns_inode(fast_link.client)
    live = open_rtt(by, attach=attach, selection=Selection(netns_inode=inode))
    with witness(attach, inode) as read_witness:
        _busy(fast_link, fast_port, address)
        theirs, missed = read_witness()
    snapshot = live.snapshot()
    ours = fold_log2(snapshot.total().buckets)
    assert ours.sum() > 2000
    # Skipped runs may have been of the other end, which neither counts: a bound, not a term.
    explained = snapshot.losses["recursion"] + missed
    different = int(np.abs(ours.astype(int) - theirs.astype(int)).sum())
    assert different <= explained


def test_two_at_once_count_the_same(
    fast_link: Link, fast_port: int, open_rtt: Callable[..., LiveRtt]
) -> None:
    chosen = Selection(netns_inode=netns_inode(fast_link.client))
    one, two = open_rtt(selection=chosen), open_rtt("raddr", selection=chosen)
    _busy(fast_link, fast_port)
    snapshots = one.snapshot(), two.snapshot()
    first, second = (snapshot.total() for snapshot in snapshots)
    skipped = sum(snapshot.losses["recursion"] for snapshot in snapshots)
    assert first.count > 1000
    assert abs(first.count - second.count) <= skipped
    if first.count == second.count and not skipped:
        np.testing.assert_array_equal(first.buckets, second.buckets)
        assert (first.sum_us, first.min_us, first.max_us) == (
            second.sum_us,
            second.min_us,
            second.max_us,
        )


def test_the_bucket_function_of_the_kernel_half_is_that_of_the_model() -> None:
    """Around every power of two, and everything below 4096, through BPF_PROG_TEST_RUN."""
    edges = [(1 << power) + step for power in range(32) for step in (-1, 0, 1)]
    values = sorted({*range(4096), *edges, 2**32 - 1} - {2**32})
    with libbpf.Object(WITNESS.read_bytes(), "witness") as opened:
        for program in opened.programs.values():
            program.choose(wanted=program.name == "bucket_of_argument")
        opened.load()
        run = opened.programs["bucket_of_argument"].test_run
        found = [run(struct.pack("<Q", value)) for value in values]
    assert found == [int(bucket_index(value)) for value in values]


def _tcprtt_slots(text: str) -> dict[int, int]:
    """Its rows by slot; it labels slot i as 2^(i-1) .. 2^i - 1, from 0 or 1 on."""
    rows = re.findall(r"(\d+) -> (\d+)\s*: (\d+)", text)
    return {index: int(count) for index, (_, _, count) in enumerate(rows)}


@pytest.mark.skipif(not IN_VM, reason="a busy host has traffic of its own")
def test_libbpf_tools_tcprtt_sees_the_same_histogram(
    fast_link: Link, fast_port: int, open_rtt: Callable[..., LiveRtt]
) -> None:
    """Both count the whole guest, which has no traffic but this; tcprtt's filters load nowhere.

    Equal slot by slot, but for runs that the kernel says it skipped, of one program or the other.
    """
    live = open_rtt()
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", libbpf_tool("tcprtt"), "-i", "600"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        while not is_waiting(process.pid):
            assert process.poll() is None
            time.sleep(POLL_S)
        before = live.snapshot().total().count
        _busy(fast_link, fast_port)
        wait_until_quiet(fast_link)
        snapshot = live.snapshot()
        skipped = snapshot.losses["recursion"], skips_of("tcp_rcv")
    finally:
        process.send_signal(signal.SIGINT)
        text, _ = process.communicate(timeout=60)
    assert before == 0
    ours = dict(enumerate(fold_log2(snapshot.total().buckets).tolist()))
    theirs = {slot: _tcprtt_slots(text).get(slot, 0) for slot in ours}
    assert sum(ours.values()) + skipped[0] == sum(theirs.values()) + skipped[1]
    assert sum(abs(ours[slot] - theirs[slot]) for slot in ours) <= sum(skipped)
