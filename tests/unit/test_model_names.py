"""What the numbers of namespaces, cgroups, processes and states are called."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from tcpvitals.model.event import Cause, Ends, TcpState, state_name
from tcpvitals.model.key import Field, Grouping, GroupKey, Process
from tcpvitals.model.names import Names

NAMES = Names(netns={7: "blue"}, cgroups={9: "/system.slice/nginx.service", 10: "/a\nb"})
NO_NAMES = Names()
BY_PROCESS, BY_CGROUP = Grouping.parse("process"), Grouping.parse("cgroup")


@pytest.mark.parametrize(("inode", "name"), [(7, "blue"), (8, "8"), (0, "0")])
def test_a_namespace_without_a_name_is_its_inode_number(inode: int, name: str) -> None:
    assert NAMES.namespace(inode) == name


@pytest.mark.parametrize(
    ("number", "name"),
    [(9, "/system.slice/nginx.service"), (10, "/a\nb"), (11, "11"), (0, "-")],
)
def test_a_cgroup_without_a_path_is_its_number_and_one_that_nobody_knows_a_dash(
    number: int, name: str
) -> None:
    assert NAMES.cgroup(number) == name


def test_without_any_names_everything_is_its_number() -> None:
    assert (NO_NAMES.namespace(7), NO_NAMES.cgroup(9), NO_NAMES.cgroup(0)) == ("7", "9", "-")


# --- in a key ----------------------------------------------------------------------------


def test_process_and_cgroup_are_fields_to_group_by() -> None:
    assert Grouping.parse("process,cgroup").fields == (Field.PROCESS, Field.CGROUP)


def test_a_process_is_shown_with_its_id_first() -> None:
    key = GroupKey(process=Process(1234, b"nginx"))
    assert key.labels(BY_PROCESS, NAMES) == {"process": "1234/nginx"}
    assert key.title(BY_PROCESS, NAMES) == "1234/nginx"


@pytest.mark.parametrize(
    ("comm", "label", "title"),
    [
        (b"bl\xc3\xa5", "1/bl\u00e5", "1/bl\u00e5"),
        (b"not \xff", r"1/not \xff", r"1/not \xff"),
        (b"\x1b[31m", "1/\x1b[31m", r"1/\x1b[31m"),
        (b"", "1/", "1/"),
    ],
)
def test_what_a_process_calls_itself_is_made_safe_only_where_it_is_shown(
    comm: bytes, label: str, title: str
) -> None:
    key = GroupKey(process=Process(1, comm))
    assert key.labels(BY_PROCESS, NAMES) == {"process": label}
    assert key.title(BY_PROCESS, NAMES) == title


def test_a_cgroup_is_shown_by_its_path_or_else_by_its_number() -> None:
    assert GroupKey(cgroup=9).labels(BY_CGROUP, NAMES) == {"cgroup": "/system.slice/nginx.service"}
    assert GroupKey(cgroup=9).labels(BY_CGROUP, NO_NAMES) == {"cgroup": "9"}
    assert GroupKey(cgroup=10).title(BY_CGROUP, NAMES) == r"/a\x0ab"


def test_an_owner_that_nobody_knows_is_unknown() -> None:
    grouping = Grouping.parse("process,cgroup")
    expected = {"process": "unknown", "cgroup": "unknown"}
    assert GroupKey().labels(grouping, NAMES) == expected


def test_two_processes_of_one_name_are_two_groups() -> None:
    assert GroupKey(process=Process(1, b"sh")) != GroupKey(process=Process(2, b"sh"))
    assert GroupKey(process=Process(1, b"sh")) == GroupKey(process=Process(1, b"sh"))


# --- in an event -------------------------------------------------------------------------


def test_states_have_the_kernels_numbers_and_the_names_that_ss_shows() -> None:
    assert [state_name(number) for number in range(14)] == [
        "0",
        "ESTABLISHED",
        "SYN_SENT",
        "SYN_RECV",
        "FIN_WAIT1",
        "FIN_WAIT2",
        "TIME_WAIT",
        "CLOSE",
        "CLOSE_WAIT",
        "LAST_ACK",
        "LISTEN",
        "CLOSING",
        "NEW_SYN_RECV",
        "13",
    ]
    assert len(TcpState) == 12


def test_causes_are_written_as_in_the_documentation() -> None:
    assert list(Cause) == ["rto", "fast", "slow-start", "tlp", "syn", "synack", "other"]


@pytest.mark.parametrize(("address", "family"), [("10.0.0.1", 4), ("::1", 6)])
def test_the_family_of_two_ends_is_that_of_their_addresses(address: str, family: int) -> None:
    assert Ends(ip_address(address), 1, ip_address(address), 2, 7).family == family
