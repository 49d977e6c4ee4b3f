"""What the benchmark of `serve` says of its rounds, and what it reads of pages and processes."""

import gzip
import os
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

from crowd import shares
from errors import CannotRunError
from exporter import Memory, Scrape
from programs import serve_request
from scrape_cost import Scrapes
from serve_process import Crowded, Traffic
from synchronising import SETTLE, USED, Synchronising
from tcpvitals.model.key import Grouping
from tcpvitals.model.measurement import Sample

PAGE = b"""# HELP tcpvitals_connections Connections that are open.
# TYPE tcpvitals_connections gauge
tcpvitals_connections{role="client"} 3
tcpvitals_connections{role="server"} 4
tcpvitals_connections_opened_total{role="client"} 100
tcpvitals_groups 2
# EOF
"""


# --- pages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("compressed", [False, True])
def test_a_page_that_has_what_was_made_is_measured(compressed: bool) -> None:  # noqa: FBT001
    scrape = Scrape(0.1, gzip.compress(PAGE) if compressed else PAGE, compressed)
    scrape.expect("tcpvitals_connections", 7)
    scrape.expect("tcpvitals_groups", 2)
    assert scrape.series() == 4


@pytest.mark.parametrize(
    ("name", "least", "said"),
    [("tcpvitals_connections", 8, "is 7, and was to be 8"), ("tcpvitals_flows", 1, "is 0")],
)
def test_a_page_without_it_is_no_measurement(name: str, least: int, said: str) -> None:
    with pytest.raises(CannotRunError, match=said):
        Scrape(0.1, PAGE, compressed=False).expect(name, least)


def test_a_row_of_scrapes_has_median_99th_percentile_and_the_slowest_in_milliseconds() -> None:
    scrapes = Scrapes("plain", [0.001] * 98 + [0.004, 0.5], 1_234_567, 4)
    assert scrapes.row() == ("plain", "100", "1.00", "4.00", "500.00", "1235 kB")


# --- processes ------------------------------------------------------------------------------------


def test_memory_is_told_in_millions_of_bytes_and_its_kinds_are_all_of_it() -> None:
    memory = Memory.of(os.getpid())
    kib = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert kib
    assert 0 < memory.total <= int(kib[1]) * 1024 / 1e6
    assert memory.total == pytest.approx(memory.anonymous + memory.file + memory.shared, rel=0.01)


def test_traffic_is_compared_round_by_round_and_shown_as_percent_of_a_core() -> None:
    traffic = Traffic({1: 20_000, 10: 200_000}, {1: [0.1, 0.2, 0.4], 10: [0.11, 0.21, 0.6]})
    assert traffic.ratio().median == pytest.approx(1.1)
    *_, less, more = traffic.report().splitlines()
    assert less.split() == ["20,000", "2.00", "1.00", "4.00"]
    assert more.split() == ["200,000", "2.10", "1.10", "6.00"]


def test_many_sockets_cost_a_part_of_a_core() -> None:
    memory = Memory(50, 30, 20, 0)
    assert Crowded(10_000, [0.3], [0.6, 0.3, 0.45], memory, memory).percent() == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("connections", "files", "expected"),
    [(10, 20_000, [10]), (9_950, 20_000, [9_950]), (9_951, 20_000, [4_976, 4_975])],
)
def test_no_process_has_more_connections_than_it_may_have_files(
    connections: int, files: int, expected: list[int]
) -> None:
    assert expected == shares(connections, files)


def test_a_synchronisation_is_judged_with_all_sockets_used() -> None:
    found = Synchronising(100_000, {(SETTLE, USED): [0.09, 0.2, 0.1]})
    assert found.most_ms() == pytest.approx(100)
    *_, row = found.report().splitlines()
    assert row.startswith("synchronisation, all used since the last time")
    assert row.split()[-3:] == ["100.0", "90.0", "200.0"]


def test_what_is_measured_is_what_serve_asks_for_by_default() -> None:
    request = serve_request()
    assert request.grouping == Grouping.parse("scope,role,service,raddr/24/48,netns")
    assert (request.groups, request.flows_limit) == (200, 8000)
    assert request.vitals == (Sample.RTT, Sample.NETWORK)
