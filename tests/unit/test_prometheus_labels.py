"""Labels: their values come from outside, and survive the way through a parser."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_madeup import (
    CLASSIC,
    HOST,
    OPENMETRICS,
    SENT,
    flow,
    flows,
    options,
    series,
    shown,
    snapshot,
)

from tcpvitals.model.key import Grouping, GroupKey, Process, Role
from tcpvitals.model.names import Names
from tcpvitals.model.printable import printable
from tcpvitals.sinks.prometheus import Exposition
from tcpvitals.sinks.prometheus.labels import group_labels, same_label

ALL = Grouping.parse("laddr,raddr/24/48,lport,rport,service,role,netns,process,cgroup")
BOTH = pytest.mark.parametrize("accept", [CLASSIC, OPENMETRICS])
HOSTILE = (
    b'quote"s',
    b"back\\slash\\n",
    b"new\nline",
    b"\xff\xfe\x00",
    "right\u202eto\u2066left".encode(),
    b'{a="b"} 1 # {x="y"}',
    b"50% of %s %d",
    b"\x01\x02\x03",
    b"",
    "Z\u00fcrich \u6771\u4eac".encode(),
)


def test_each_field_has_a_label_of_its_own() -> None:
    key = GroupKey(
        laddr=ip_address("10.0.0.1"),
        raddr=ip_network("192.0.2.0/24"),
        lport=40000,
        rport=443,
        service=443,
        role=Role.SERVER,
        netns=5,
        process=Process(12, b"nginx"),
        cgroup=77,
    )

    assert dict(group_labels(key, ALL, HOST).pairs) == {
        "local": "10.0.0.1",
        "remote": "192.0.2.0/24",
        "local_port": "40000",
        "remote_port": "443",
        "service_port": "443",
        "role": "server",
        "netns": "5",
        "process": "12/nginx",
        "cgroup": "77",
    }


def test_what_is_unknown_and_the_hosts_own_namespace_are_empty() -> None:
    labels = group_labels(GroupKey(netns=HOST), ALL, HOST)

    assert {value for _, value in labels.pairs} == {""}


def test_an_address_that_is_masked_already_has_its_prefix() -> None:
    key = GroupKey(raddr=ip_address("2001:db8:1::"))

    assert group_labels(key, Grouping.parse("raddr/24/48"), HOST).pairs == (
        ("remote", "2001:db8:1::/48"),
    )


def test_a_sum_has_the_same_value_for_every_label() -> None:
    assert same_label(Grouping.parse("role,netns"), "other").pairs == (
        ("netns", "other"),
        ("role", "other"),
    )


def exposed(comm: bytes, path: str, accept: str) -> dict[str, set[str]]:
    """Return the values of labels that a parser reads, for a hostile process and cgroup."""
    key = GroupKey(process=Process(1, comm), cgroup=77)
    exposition = Exposition(options(Grouping.parse("process,cgroup")))
    exposition.show(snapshot({1: (key, SENT, [10])}, names=Names(cgroups={77: path})))
    found: dict[str, set[str]] = {}
    for _, pairs in series(shown(exposition, accept)):
        for name, value in pairs:
            found.setdefault(name, set()).add(value)
    return found


@BOTH
@pytest.mark.parametrize("comm", HOSTILE)
def test_hostile_names_are_read_back_as_they_are_printed(comm: bytes, accept: str) -> None:
    path = comm.decode("utf-8", "surrogateescape")

    found = exposed(comm, path, accept)

    assert found["process"] == {printable(str(Process(1, comm))), "other", "retired"}
    assert found["path"] == {printable(path)}


@settings(deadline=None, max_examples=40)
@given(st.binary(max_size=15), st.text(max_size=30))
def test_any_name_is_read_back_as_it_is_printed(comm: bytes, path: str) -> None:
    for accept in (CLASSIC, OPENMETRICS):
        found = exposed(comm, path, accept)
        assert found["process"] == {printable(str(Process(1, comm))), "other", "retired"}
        assert found["path"] == {printable(path)}


@BOTH
def test_names_that_print_alike_are_one_series(accept: str) -> None:
    keys = [GroupKey(process=Process(1, comm)) for comm in (b"\xff", b"\\xff")]
    exposition = Exposition(options(Grouping.parse("process")))
    exposition.show(snapshot({n: (key, {"segments_sent": 2}, [9]) for n, key in enumerate(keys)}))

    found = series(shown(exposition, accept))

    pairs = frozenset({("process", "1/\\xff")})
    assert found["tcpvitals_sent_segments_total", pairs] == 4
    assert found["tcpvitals_rtt_seconds_count", pairs] == 2


def test_a_flow_has_the_names_that_dashboards_know() -> None:
    six = GroupKey(laddr=ip_address("::1"), lport=80, raddr=ip_address("2001:db8::2"), rport=0)
    exposition = Exposition(options())
    exposition.show(snapshot({}, flows=flows({1: (flow(1), 60), 2: (six, 3)})))

    found = series(shown(exposition))

    four_labels = {"ip_version": "4", "src_ip": "10.0.0.1", "src_port": "0"}
    four_labels |= {"dst_ip": "10.1.0.1", "dst_port": "443"}
    six_labels = {"ip_version": "6", "src_ip": "::1", "src_port": "80"}
    six_labels |= {"dst_ip": "2001:db8::2", "dst_port": "0"}
    assert found["tcp_retransmissions_total", frozenset(four_labels.items())] == 60
    assert found["tcp_retransmissions_total", frozenset(six_labels.items())] == 3
