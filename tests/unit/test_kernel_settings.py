"""What the user chose, encoded, then read again the way the programs read it."""

from __future__ import annotations

import socket
from ipaddress import ip_network
from typing import Any

import numpy as np
import pytest
from test_kernel_madeup import OBJECTS, host, layouts, no

from tcpvitals.kernel.facts import Question
from tcpvitals.kernel.plan import Plan, make_plan
from tcpvitals.kernel.settings import Request, Telling, encode
from tcpvitals.model.key import Field, Grouping, Prefix
from tcpvitals.model.measurement import Measurement, Sample, Unit
from tcpvitals.model.scope import Scope
from tcpvitals.model.selection import PORTS_LIMIT, Family, Selection

ANYTHING = Selection()
WHOLE_HOST = Grouping()
SRTT = Measurement()


def request(
    grouping: Grouping = WHOLE_HOST,
    selection: Selection = ANYTHING,
    measurement: Measurement = SRTT,
) -> Request:
    """Return a request that differs in what is given."""
    return Request(grouping, selection, 64, measurement)


def plan(cpus: int = 4, *without: Question) -> Plan:
    """Return the plan of a host that lacks something."""
    return make_plan(host(*((question, no(question)) for question in without), cpus=cpus), None, 64)


def read(asked: Request, on: Plan | None = None, name: str = OBJECTS[0]) -> np.void:
    """Return what the programs will see."""
    record = layouts(name).struct("settings")
    encoded = encode(layouts(name), asked, on or plan())
    assert len(encoded) == record.itemsize
    return np.frombuffer(encoded, record)[0]  # type: ignore[no-any-return]


def in_order(address: np.void) -> bytes:
    """Return the bytes of a `struct address` as they lie in memory."""
    return bytes(address["words_be"].tobytes())


def mask(bits: int) -> bytes:
    """Return the bytes of a netmask, the leading `bits` of 128 set."""
    return (((1 << bits) - 1) << (128 - bits)).to_bytes(16, "big")


def test_asking_for_nothing_filters_nothing_and_remembers_no_socket() -> None:
    seen = read(request())
    for name in ("want_laddr", "want_raddr"):
        assert seen[name]["family"] == 0
    for name in ("want_lport", "want_rport"):
        assert seen[name]["count"] == 0
    assert (seen["want_family"], seen["want_netns_inode"], seen["key_parts"]) == (0, 0, 0)
    assert (seen["need_role"], seen["per_socket"]) == (0, 0)


@pytest.mark.parametrize("side", ["laddr", "raddr"])
@pytest.mark.parametrize(
    ("network", "first", "bits"),
    [
        ("10.1.2.3/32", "10.1.2.3", 32),
        ("10.1.2.0/24", "10.1.2.0", 24),
        ("0.0.0.0/0", "0.0.0.0", 0),  # noqa: S104 - an address, not a place to listen
        ("0.0.0.0/32", "0.0.0.0", 32),  # noqa: S104
    ],
)
def test_an_ipv4_filter_is_the_first_word_in_network_order(
    side: str, network: str, first: str, bits: int
) -> None:
    filters: dict[str, Any] = {side: ip_network(network)}
    seen = read(request(selection=Selection(**filters)))
    wanted = seen[f"want_{side}"]
    assert wanted["family"] == 4
    assert in_order(wanted["address"]) == socket.inet_aton(first).ljust(16, b"\0")
    assert in_order(wanted["mask"]) == mask(bits)
    other = seen["want_raddr" if side == "laddr" else "want_laddr"]
    assert other["family"] == 0


@pytest.mark.parametrize(
    ("network", "first", "bits"),
    [
        ("2001:db8:1:2::3/128", "2001:db8:1:2::3", 128),
        ("2001:db8:1::/48", "2001:db8:1::", 48),
        ("2001:db8:8000::/33", "2001:db8:8000::", 33),
        ("::/0", "::", 0),
    ],
)
def test_an_ipv6_filter_is_four_words_in_network_order(network: str, first: str, bits: int) -> None:
    wanted = read(request(selection=Selection(raddr=ip_network(network))))["want_raddr"]
    assert wanted["family"] == 6
    assert in_order(wanted["address"]) == socket.inet_pton(socket.AF_INET6, first)
    assert in_order(wanted["mask"]) == mask(bits)


def test_ports_are_kept_in_order_and_the_rest_of_the_list_is_empty() -> None:
    seen = read(request(selection=Selection(lports=(443, 80), rports=(65535,))))
    assert seen["want_lport"]["count"] == 2
    rest = [(0, 0)] * (PORTS_LIMIT - 2)
    assert seen["want_lport"]["ranges"].tolist() == [(443, 443), (80, 80), *rest]
    assert seen["want_rport"]["count"] == 1
    assert seen["want_rport"]["ranges"].tolist() == [(65535, 65535), (0, 0), *rest]


def test_a_range_of_ports_is_its_first_and_its_last() -> None:
    seen = read(request(selection=Selection(lports=(22, range(8000, 8011)))))
    assert seen["want_lport"]["count"] == 2
    assert seen["want_lport"]["ranges"].tolist()[:2] == [(22, 22), (8000, 8010)]


def test_scopes_and_a_process_are_what_was_asked_for_and_else_0() -> None:
    chosen = Selection(scopes=(Scope.LINK_LOCAL, Scope.PUBLIC), pid=4242)
    seen, plain = read(request(selection=chosen)), read(request())
    bits = layouts().enum("scope")
    assert seen["want_scopes"] == bits["SCOPE_LINK_LOCAL"] | bits["SCOPE_PUBLIC"]
    assert seen["want_tgid"] == 4242
    assert (plain["want_scopes"], plain["want_tgid"]) == (0, 0)


def test_owners_are_followed_where_only_one_process_is_wanted() -> None:
    assert request(selection=Selection(pid=7)).needs_owner
    assert not request(selection=Selection(scopes=(Scope.PUBLIC,))).needs_owner


def test_a_list_of_as_many_ports_as_there_may_be_fits() -> None:
    ports = tuple(range(1, PORTS_LIMIT + 1))
    seen = read(request(selection=Selection(lports=ports)))
    assert seen["want_lport"]["count"] == PORTS_LIMIT
    assert seen["want_lport"]["ranges"].tolist() == [(port, port) for port in ports]


@pytest.mark.parametrize("family", [4, 6])
def test_a_family_is_its_number(family: Family) -> None:
    assert read(request(selection=Selection(family=family)))["want_family"] == family


def test_a_namespace_is_its_inode() -> None:
    seen = read(request(selection=Selection(netns_inode=0xFFFFFFFF)))
    assert seen["want_netns_inode"] == 0xFFFFFFFF


# --- the key -----------------------------------------------------------------------------


def test_each_field_sets_the_bit_of_its_own_name() -> None:
    parts = layouts().enum("key_part")
    for field in Field:
        assert read(request(Grouping((field,))))["key_parts"] == parts[f"KEY_{field.upper()}"]


def test_all_fields_together_set_all_bits_in_any_order() -> None:
    every = sum(layouts().enum("key_part").values())
    assert read(request(Grouping(tuple(Field))))["key_parts"] == every
    assert read(request(Grouping(tuple(reversed(Field)))))["key_parts"] == every


@pytest.mark.parametrize("v4", [0, 1, 24, 31, 32])
@pytest.mark.parametrize("v6", [0, 48, 64, 127, 128])
def test_prefixes_become_masks_of_each_family_on_their_own_side(v4: int, v6: int) -> None:
    seen = read(request(Grouping((Field.LADDR, Field.RADDR), raddr_prefix=Prefix(v4, v6))))
    assert in_order(seen["raddr_mask_v4"]) == mask(v4)
    assert in_order(seen["raddr_mask_v6"]) == mask(v6)
    assert in_order(seen["laddr_mask_v4"]) == mask(32)
    assert in_order(seen["laddr_mask_v6"]) == mask(128)


def test_the_local_sides_prefix_is_not_the_remote_ones() -> None:
    seen = read(request(Grouping((Field.LADDR, Field.RADDR), laddr_prefix=Prefix(8, 32))))
    assert (in_order(seen["laddr_mask_v4"]), in_order(seen["laddr_mask_v6"])) == (mask(8), mask(32))
    assert in_order(seen["raddr_mask_v4"]) == mask(32)


# --- what is measured, and what must be remembered ---------------------------------------


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize("sample", Sample)
def test_the_sample_that_is_asked_for_has_the_first_histogram_and_no_other_has_one(
    name: str, sample: Sample
) -> None:
    seen = read(request(measurement=Measurement(sample)), name=name)
    assert {one: int(seen["histograms"][one]) for one in Sample} == {
        one: int(one is sample) for one in Sample
    }
    assert bool(seen["count_context"]) == (sample in {Sample.NETWORK, Sample.INFLATION})


def test_histograms_of_vitals_are_in_the_order_of_the_request() -> None:
    seen = read(Request(WHOLE_HOST, ANYTHING, 1, vitals=(Sample.RTT, Sample.NETWORK)))
    assert {one: int(seen["histograms"][one]) for one in Sample if seen["histograms"][one]} == {
        Sample.RTT: 1,
        Sample.NETWORK: 2,
    }
    assert not seen["count_context"]


@pytest.mark.parametrize(("unit", "divisor"), [(Unit.US, 1), (Unit.MS, 1000)])
def test_the_unit_is_its_divisor(unit: Unit, divisor: int) -> None:
    assert read(request(measurement=Measurement(unit=unit)))["unit_us"] == divisor


@pytest.mark.parametrize("field", Field)
def test_the_role_matters_to_those_fields_that_tell_ends_apart(field: Field) -> None:
    asked = request(Grouping((field,)))
    needed = field in {Field.ROLE, Field.SERVICE}
    assert asked.needs_role is needed
    assert read(asked)["need_role"] == needed


@pytest.mark.parametrize(
    ("asked", "needed"),
    [
        (request(), False),
        (request(measurement=Measurement(Sample.MIN)), False),
        (request(measurement=Measurement(Sample.RTT)), True),
        (request(measurement=Measurement(Sample.INFLATION)), True),
        (request(measurement=Measurement(Sample.NETWORK)), True),
        (request(Grouping((Field.RADDR,))), True),
        (request(Grouping((Field.ROLE,))), True),
        (request(selection=Selection(laddr=ip_network("10.0.0.0/8"))), True),
        (request(selection=Selection(raddr=ip_network("::/0"))), True),
        (request(selection=Selection(lports=(80,))), True),
        (request(selection=Selection(rports=(80,))), True),
        (request(selection=Selection(family=6)), True),
        (request(selection=Selection(netns_inode=0xF0000000)), True),
    ],
)
def test_a_socket_is_remembered_for_groups_filters_and_samples_with_a_past(
    asked: Request,
    needed: bool,  # noqa: FBT001 - a column of the table
) -> None:
    assert asked.needs_socket is needed
    assert read(asked)["per_socket"] == needed


# --- what is followed, counted and told --------------------------------------------------

RESENT, STATES = frozenset({Telling.RETRANSMISSIONS}), frozenset({Telling.STATES})
FOLLOWED = [
    # What is asked for, and the owner, socket, totals, namespaces, retransmissions, states of it.
    (Request(WHOLE_HOST, ANYTHING, 1), (0, 0, 0, 0, 0, 0)),
    (Request(WHOLE_HOST, ANYTHING, 1, SRTT), (0, 0, 0, 0, 0, 0)),
    (Request(WHOLE_HOST, ANYTHING, 1, totals=True), (1, 1, 1, 0, 0, 0)),
    (Request(WHOLE_HOST, ANYTHING, 1, namespaces=True), (1, 1, 0, 1, 0, 0)),
    (Request(WHOLE_HOST, ANYTHING, 1, telling=RESENT), (1, 1, 0, 0, 1, 0)),
    (Request(WHOLE_HOST, ANYTHING, 1, telling=STATES), (1, 1, 0, 0, 0, 1)),
    (Request(WHOLE_HOST, ANYTHING, 1, telling=RESENT | STATES), (1, 1, 0, 0, 1, 1)),
    (Request(WHOLE_HOST, ANYTHING, 1, None, totals=True, namespaces=True), (1, 1, 1, 1, 0, 0)),
]
NAMES = (
    *("need_owner", "per_socket"),
    *("count_totals", "count_namespaces", "emit_retransmissions", "emit_states"),
)


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize(("asked", "flags"), FOLLOWED)
def test_what_is_counted_and_told_is_what_was_asked_for_and_takes_following_sockets(
    asked: Request, flags: tuple[int, ...], name: str
) -> None:
    seen = read(asked, name=name)
    assert tuple(int(seen[flag]) for flag in NAMES) == flags
    assert (asked.needs_owner, asked.needs_socket) == tuple(map(bool, flags[:2]))


@pytest.mark.parametrize(("asked", "flags"), FOLLOWED)
def test_the_hooks_of_retransmissions_are_for_totals_and_for_telling_them(
    asked: Request, flags: tuple[int, ...]
) -> None:
    _, _, totals, namespaces, retransmissions, _ = flags
    assert asked.counts_retransmissions is bool(totals or namespaces or retransmissions)


@pytest.mark.parametrize("field", Field)
def test_of_all_groupings_of_rtt_only_the_one_by_process_follows_owners(field: Field) -> None:
    asked = request(Grouping((field,)))
    assert asked.needs_owner is (field is Field.PROCESS)
    assert read(asked)["need_owner"] == (field is Field.PROCESS)


def test_without_a_measurement_no_sample_has_a_histogram() -> None:
    seen = read(Request(WHOLE_HOST, ANYTHING, 1, totals=True))
    assert [int(seen["histograms"][one]) for one in Sample] == [0] * len(Sample)
    assert seen["unit_us"] == 1


# --- the plan ----------------------------------------------------------------------------


@pytest.mark.parametrize("cpus", [1, 2, 3, 64])
def test_shards_are_a_mask_and_how_many_slots_have_them(cpus: int) -> None:
    on = plan(cpus)
    seen = read(request(), on)
    assert seen["shard_mask"] + 1 == on.shards
    assert seen["sharded_slots"] == on.sharded_slots


@pytest.mark.parametrize(
    ("without", "seen"),
    [
        ((), (1, 1)),
        ((Question.GUARD,), (0, 1)),
        ((Question.SOCKET_STORAGE,), (1, 0)),
    ],
)
def test_what_the_host_lacks_is_switched_off(
    without: tuple[Question, ...], seen: tuple[int, int]
) -> None:
    settings = read(request(), plan(4, *without))
    assert (settings["exclusive_shards"], settings["socket_storage"]) == seen
