"""Which programs which request takes: no more than it needs, and all are in both objects."""

from __future__ import annotations

from importlib import resources
from itertools import product

import pytest
from test_kernel_madeup import OBJECTS, host, no

from tcpvitals.kernel.facts import Question
from tcpvitals.kernel.libbpf import Object
from tcpvitals.kernel.plan import Attach, Plan, make_plan
from tcpvitals.kernel.settings import Request, Telling
from tcpvitals.kernel.wanted import wanted_programs
from tcpvitals.model.key import Field, Grouping
from tcpvitals.model.measurement import Measurement, Sample
from tcpvitals.model.selection import Selection

ANYTHING, WHOLE_HOST = Selection(), Grouping()
RESENT, STATES = frozenset({Telling.RETRANSMISSIONS}), frozenset({Telling.STATES})

STATE_HOOKS = {"state_changed_by_call", "state_changed_by_packet"}
FOLLOWED = STATE_HOOKS | {"visit_open_files"}
RETRANSMITTED = {"synack_retransmitted", "retransmitted_or_failed"}
HELD = {"settle_own_namespace", "settle_open_files"}
STORED = {"settle_sockets", "visit_socket_storages"}
COUNTED = FOLLOWED | RETRANSMITTED | {"socket_gone"} | HELD | STORED


VITALS = Request(
    WHOLE_HOST, ANYTHING, 1, totals=True, namespaces=True, vitals=(Sample.RTT, Sample.NETWORK)
)


def plan(*without: Question, rtt: bool = False, attach: Attach | None = None) -> Plan:
    """Return the plan of a host that lacks something."""
    return make_plan(host(*((one, no(one)) for one in without)), attach, 1, rtt=rtt)


def rtt_request(
    grouping: Grouping = WHOLE_HOST,
    selection: Selection = ANYTHING,
    sample: Sample = Sample.SRTT,
) -> Request:
    """Return what `tcpvitals rtt` asks for."""
    return Request(grouping, selection, 1, Measurement(sample))


# --- round-trip times --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attach", "name"), [(Attach.FENTRY, "rtt_fentry"), (Attach.TP_BTF, "rtt_tp_btf")]
)
def test_the_whole_hosts_srtt_takes_one_program_the_hook_that_was_chosen(
    attach: Attach, name: str
) -> None:
    assert wanted_programs(rtt_request(), plan(rtt=True, attach=attach)) == {name}


@pytest.mark.parametrize(
    ("asked", "more"),
    [
        (rtt_request(sample=Sample.MIN), set()),
        (rtt_request(sample=Sample.RTT), {"state_changed_by_call"}),
        (rtt_request(sample=Sample.INFLATION), {"state_changed_by_call"}),
        (rtt_request(sample=Sample.NETWORK), {"state_changed_by_call"}),
        (rtt_request(selection=Selection(lports=(80,))), {"state_changed_by_call"}),
        (rtt_request(Grouping((Field.RADDR,))), {"state_changed_by_call"}),
        (rtt_request(Grouping((Field.CGROUP,))), {"state_changed_by_call"}),
        (rtt_request(Grouping((Field.ROLE,))), FOLLOWED),
        (rtt_request(Grouping((Field.SERVICE, Field.RADDR))), FOLLOWED),
        (rtt_request(Grouping((Field.PROCESS,))), FOLLOWED),
    ],
)
def test_what_must_be_remembered_of_sockets_takes_more(asked: Request, more: set[str]) -> None:
    assert wanted_programs(asked, plan(rtt=True)) == {"rtt_fentry", *more}


def test_where_sockets_are_kept_in_a_hash_their_end_must_be_seen() -> None:
    hashed = plan(Question.SOCKET_STORAGE, rtt=True)
    by_raddr = rtt_request(Grouping((Field.RADDR,)))
    assert wanted_programs(by_raddr, hashed) == {
        "rtt_fentry",
        "state_changed_by_call",
        "socket_gone",
    }
    assert wanted_programs(rtt_request(), hashed) == {"rtt_fentry"}


# --- retransmissions and states ----------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "programs"),
    [
        (Request(WHOLE_HOST, ANYTHING, 1, totals=True), COUNTED),
        (Request(WHOLE_HOST, ANYTHING, 1, namespaces=True), COUNTED | {"visit_namespaces"}),
        (Request(Grouping((Field.RADDR,)), ANYTHING, 1, totals=True), COUNTED),
        (Request(WHOLE_HOST, ANYTHING, 1, telling=RESENT), FOLLOWED | RETRANSMITTED),
        (Request(WHOLE_HOST, ANYTHING, 1, telling=STATES), FOLLOWED),
        (
            Request(WHOLE_HOST, ANYTHING, 1, telling=RESENT, namespaces=True),
            COUNTED | {"visit_namespaces"},
        ),
    ],
)
def test_totals_take_more_than_events_and_states_take_least(
    asked: Request, programs: set[str]
) -> None:
    assert wanted_programs(asked, plan()) == programs


@pytest.mark.parametrize(
    "asked",
    [
        Request(WHOLE_HOST, ANYTHING, 1, totals=True),
        Request(WHOLE_HOST, ANYTHING, 1, telling=RESENT),
    ],
)
def test_where_the_tracepoint_hides_failures_the_program_for_that_is_taken(
    asked: Request,
) -> None:
    hidden = wanted_programs(asked, plan(Question.RETRANSMIT_ERROR))
    assert hidden ^ wanted_programs(asked, plan()) == {"retransmitted", "retransmitted_or_failed"}
    assert "retransmitted" in hidden


def test_where_sockets_are_kept_in_a_hash_totals_are_settled_by_pointer() -> None:
    totals = Request(WHOLE_HOST, ANYTHING, 1, totals=True)
    hashed = wanted_programs(totals, plan(Question.SOCKET_STORAGE))
    assert hashed == COUNTED - HELD - STORED | {"settle_sockets_by_pointer"}


def test_where_a_sockets_end_may_crash_the_iterator_over_storages_it_is_not_even_loaded() -> None:
    totals = Request(WHOLE_HOST, ANYTHING, 1, totals=True)
    assert wanted_programs(totals, plan(Question.STORAGE_ITERATOR)) == COUNTED - STORED


def test_vitals_take_all_that_totals_and_rtt_take_and_the_search_for_namespaces() -> None:
    assert wanted_programs(VITALS, plan(rtt=True)) == COUNTED | {"rtt_fentry", "visit_namespaces"}


# --- the objects -------------------------------------------------------------------------


def every_request() -> list[Request]:
    """Return requests of every kind."""
    return [
        rtt_request(Grouping((Field.ROLE,))),
        VITALS,
        *(
            Request(WHOLE_HOST, ANYTHING, 1, totals=totals, namespaces=namespaces, telling=telling)
            for totals, namespaces, telling in product(
                (False, True), (False, True), (frozenset(), RESENT, STATES, RESENT | STATES)
            )
        ),
    ]


def every_plan() -> list[Plan]:
    """Return plans of every kind."""
    lacking = ((), (Question.SOCKET_STORAGE,), (Question.RETRANSMIT_ERROR,))
    with_rtt = [plan(*without, rtt=True, attach=attach) for without in lacking for attach in Attach]
    return with_rtt + [plan(*without) for without in lacking]


@pytest.mark.parametrize("name", OBJECTS)
def test_both_objects_have_exactly_the_programs_that_some_request_takes(name: str) -> None:
    image = resources.files("tcpvitals").joinpath("bpf", name).read_bytes()
    taken = {
        program
        for asked in every_request()
        for chosen in every_plan()
        for program in wanted_programs(asked, chosen)
    }
    with Object(image, "made_up") as opened:
        assert set(opened.programs) == taken
