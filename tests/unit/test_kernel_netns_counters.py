"""Where network namespaces are found and what their counters are called; what needs no root."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tcpvitals.kernel import netns, netns_counters
from tcpvitals.kernel.libbpf.setns import join_network_namespace
from tcpvitals.model.namespaces import Netns

if TYPE_CHECKING:
    from collections.abc import Iterator

SNMP = """\
Ip: Forwarding DefaultTTL InReceives
Ip: 1 64 23
Tcp: RtoAlgorithm RtoMin RtoMax MaxConn RetransSegs
Tcp: 1 200 120000 -1 18446744073709551615
Udp: InDatagrams
Udp: 7
"""
NETSTAT = """\
TcpExt: TCPTimeouts TCPSynRetrans
TcpExt: 3 2
IpExt: InOctets
IpExt: 1234
"""


@pytest.fixture
def inode() -> int:
    """Return our namespace's inode number."""
    return Path("/proc/self/ns/net").stat().st_ino


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder of names."""
    monkeypatch.setattr(netns, "NAMED", tmp_path)
    return tmp_path


@pytest.fixture
def ordinary_file(tmp_path: Path) -> Iterator[int]:
    """Return the descriptor of a file that is no namespace."""
    fd = os.open(tmp_path / "file", os.O_CREAT | os.O_RDONLY)
    yield fd
    os.close(fd)


def test_tcp_counters_of_snmp_are_named_as_nstat_names_them() -> None:
    assert netns_counters.parse_counters(SNMP) == {"TcpRetransSegs": 2**64 - 1}


def test_tcp_counters_of_netstat_are_named_as_nstat_names_them() -> None:
    assert netns_counters.parse_counters(NETSTAT) == {
        "TcpExtTCPTimeouts": 3,
        "TcpExtTCPSynRetrans": 2,
    }


def test_a_counter_is_found_by_its_name_wherever_another_kernel_has_it() -> None:
    for names, values in (("TCPSynRetrans New TCPTimeouts", "5 6 7"), ("TCPTimeouts", "8")):
        found = netns_counters.parse_counters(f"TcpExt: {names}\nTcpExt: {values}\n")
        wanted = dict(zip(names.split(), map(int, values.split()), strict=True))
        assert found == {f"TcpExt{name}": wanted[name] for name in names.split() if name != "New"}


def test_a_process_that_has_ended_is_passed_over_and_another_one_tried(inode: int) -> None:
    found = netns_counters.read_through([(inode, 9, 0), (inode, 9, os.getpid())])

    assert list(found) == [Netns(inode, 9)]
    assert next(iter(found[Netns(inode, 9)])) == "TcpRetransSegs"


def test_namespaces_with_the_same_inode_number_are_read_one_by_one(inode: int) -> None:
    mine = os.getpid()
    found = netns_counters.read_through([(inode, 1, mine), (inode, 2, mine), (inode, 1, mine)])

    assert list(found) == [(inode, 1), (inode, 2)]


def test_a_namespace_of_many_processes_that_have_ended_is_tried_four_times(inode: int) -> None:
    found = netns_counters.read_through([*[(inode, 1, 0)] * 4, (inode, 1, os.getpid())])

    assert found == {}


def test_where_no_place_is_known_no_thread_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(netns_counters, "ThreadPoolExecutor")

    assert netns_counters.read_apart({}) == {}


def test_what_is_no_namespace_cannot_be_joined(ordinary_file: int) -> None:
    with pytest.raises(OSError, match="joining a network namespace: Invalid argument") as raised:
        join_network_namespace(ordinary_file)
    assert raised.value.errno == errno.EINVAL


def test_a_namespace_of_another_kind_cannot_be_joined() -> None:
    fd = os.open("/proc/self/ns/uts", os.O_RDONLY)
    try:
        with pytest.raises(OSError, match="joining") as raised:
            join_network_namespace(fd)
    finally:
        os.close(fd)
    assert raised.value.errno == errno.EINVAL


def test_a_closed_descriptor_cannot_be_joined() -> None:
    with pytest.raises(OSError, match="joining") as raised:
        join_network_namespace(-1)
    assert raised.value.errno == errno.EBADF
