"""What is loaded where: every decision, from made-up facts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_kernel_madeup import host, no

from tcpvitals.errors import (
    HookError,
    KernelTooOldError,
    LibbpfError,
    LockdownError,
    NoBtfError,
    PrivilegeError,
    ProcError,
    ResourceError,
    TcpvitalsError,
)
from tcpvitals.kernel.facts import Answer, Fact, Question
from tcpvitals.kernel.plan import FOLLOWING, Attach, choose_attach, make_plan, missing

# One record is 3136 bytes.
RECORD_BYTES = 3136
NEEDED = [
    (Question.PROC, ProcError, 19),
    (Question.OPEN_FILES, ResourceError, 17),
    (Question.LIBBPF, LibbpfError, 14),
    (Question.KERNEL, KernelTooOldError, 11),
    (Question.BTF, NoBtfError, 12),
    (Question.PRIVILEGES, PrivilegeError, 10),
    (Question.MEMLOCK, ResourceError, 17),
]
NOT_NEEDED = sorted(set(Question) - {question for question, _, _ in NEEDED})
CONFIDENTIAL = Fact(Answer.UNKNOWN, "lockdown=confidentiality", "boot with lockdown=integrity")


@pytest.mark.parametrize(("question", "error", "status"), NEEDED)
def test_what_is_needed_and_missing_has_an_error_a_status_and_a_remedy_of_its_own(
    question: Question, error: type[TcpvitalsError], status: int
) -> None:
    with pytest.raises(error) as raised:
        make_plan(host((question, no(question, "as seen"))), None, 1)
    assert raised.type is error
    assert raised.value.exit_code == status
    assert str(raised.value) == f"needs {question}: as seen; remedy {question.name}"


@pytest.mark.parametrize("question", [question for question, _, _ in NEEDED])
def test_what_could_not_be_told_stops_nobody(question: Question) -> None:
    assert missing(host((question, Fact(Answer.UNKNOWN, "not asked")))) is None


@pytest.mark.parametrize("question", NOT_NEEDED)
def test_nothing_else_alone_stops_us(question: Question) -> None:
    make_plan(host((question, no(question))), None, 1)


def test_of_several_things_missing_the_one_to_mend_first_is_named() -> None:
    everything = host(*((question, no(question)) for question in Question))
    error = missing(everything)
    assert isinstance(error, ProcError)
    assert "/proc" in str(error)


def test_a_host_that_hides_its_cpus_gets_no_plan() -> None:
    with pytest.raises(ResourceError, match="mount sysfs on /sys"):
        make_plan(host(cpus=0), None, 1)


# --- the hook ----------------------------------------------------------------------------

NO_FENTRY = (Question.FENTRY, no(Question.FENTRY))
NO_TP_BTF = (Question.TP_BTF, no(Question.TP_BTF))
UNTRIED_FENTRY = (Question.FENTRY, Fact(Answer.UNKNOWN, "not asked"))


@pytest.mark.parametrize(
    ("changes", "wanted", "chosen"),
    [
        ((), None, Attach.FENTRY),
        ((NO_TP_BTF,), None, Attach.FENTRY),
        ((NO_FENTRY,), None, Attach.TP_BTF),
        ((UNTRIED_FENTRY,), None, Attach.FENTRY),
        ((), Attach.FENTRY, Attach.FENTRY),
        ((), Attach.TP_BTF, Attach.TP_BTF),
        ((NO_FENTRY,), Attach.TP_BTF, Attach.TP_BTF),
        ((NO_TP_BTF,), Attach.FENTRY, Attach.FENTRY),
    ],
)
def test_the_hook_is_the_one_wanted_or_the_first_that_is_not_refused(
    changes: tuple[tuple[Question, Fact], ...], wanted: Attach | None, chosen: Attach
) -> None:
    facts = host(*changes)
    assert choose_attach(facts, wanted) is chosen
    assert make_plan(facts, wanted, 1).attach is chosen


@pytest.mark.parametrize(
    ("changes", "wanted", "named"),
    [
        ((NO_FENTRY,), Attach.FENTRY, "fentry/tcp_rcv_established"),
        ((NO_TP_BTF,), Attach.TP_BTF, "tp_btf/tcp_probe"),
        ((NO_FENTRY, NO_TP_BTF), None, "tp_btf/tcp_probe"),
    ],
)
def test_a_refused_hook_is_named_and_never_replaced_behind_the_users_back(
    changes: tuple[tuple[Question, Fact], ...], wanted: Attach | None, named: str
) -> None:
    with pytest.raises(HookError) as raised:
        choose_attach(host(*changes), wanted)
    assert raised.value.exit_code == 16
    assert str(raised.value) == f"cannot use {named}: refused; see tcpvitals check"


def test_a_hook_refused_on_a_locked_down_host_is_the_lockdowns_doing() -> None:
    facts = host(NO_FENTRY, NO_TP_BTF, (Question.LOCKDOWN, CONFIDENTIAL))
    with pytest.raises(LockdownError) as raised:
        choose_attach(facts, None)
    assert raised.value.exit_code == 13
    assert str(raised.value) == (
        "tp_btf/tcp_probe is refused under lockdown=confidentiality; boot with lockdown=integrity"
    )


@pytest.mark.parametrize(
    "lockdown",
    [
        Fact(Answer.YES, "lockdown=integrity"),
        Fact(Answer.UNKNOWN, "/sys/kernel/security/lockdown: No such file or directory"),
    ],
)
def test_a_lockdown_that_allows_us_or_is_not_there_is_not_blamed(lockdown: Fact) -> None:
    with pytest.raises(HookError):
        choose_attach(host(NO_FENTRY, NO_TP_BTF, (Question.LOCKDOWN, lockdown)), None)


def test_a_lockdown_that_refused_nothing_changes_nothing() -> None:
    plan = make_plan(host((Question.LOCKDOWN, CONFIDENTIAL)), None, 1)
    assert plan == make_plan(host(), None, 1)


# --- the object and its maps -------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (Answer.YES, "tcpvitals.bpf.o"),
        (Answer.NO, "tcpvitals.v2.bpf.o"),
        (Answer.UNKNOWN, "tcpvitals.v2.bpf.o"),
    ],
)
def test_only_a_kernel_known_to_swap_atomically_gets_the_object_that_does(
    answer: Answer, name: str
) -> None:
    facts = host((Question.ATOMICS, Fact(answer, "made up")))
    assert make_plan(facts, None, 1).object_name == name


@pytest.mark.parametrize("answer", Answer)
def test_failures_are_shown_one_by_one_only_where_the_tracepoint_is_known_to_tell_them(
    answer: Answer,
) -> None:
    facts = host((Question.RETRANSMIT_ERROR, Fact(answer, "made up")))
    assert make_plan(facts, None, 1, rtt=False).shows_errors is (answer is Answer.YES)
    assert make_plan(facts, None, 1).shows_errors is (answer is Answer.YES)


@pytest.mark.parametrize("answer", Answer)
def test_what_promises_something_is_used_only_after_a_yes(answer: Answer) -> None:
    fact = Fact(answer, "made up")
    questions = (Question.SOCKET_STORAGE, Question.STORAGE_ITERATOR, Question.GUARD)
    plan = make_plan(host(*((question, fact) for question in questions)), None, 1)
    assert plan.socket_storage is (answer is Answer.YES)
    assert plan.storage_iterator is (answer is Answer.YES)
    assert plan.exclusive_shards is (answer is Answer.YES)


@pytest.mark.parametrize(
    ("cpus", "shards"), [(1, 1), (2, 2), (3, 4), (4, 4), (64, 64), (65, 128), (256, 256)]
)
def test_there_are_as_many_shards_as_cpus_rounded_up_to_a_power_of_two(
    cpus: int, shards: int
) -> None:
    assert make_plan(host(cpus=cpus), None, 1).shards == shards


@pytest.mark.parametrize("cpus", [1, 2, 3, 64, 256, 4096])
@pytest.mark.parametrize("groups", [1, 64, 10240, 1_000_000])
def test_sharding_adds_at_most_six_mebibytes_or_what_four_slots_take(
    cpus: int, groups: int
) -> None:
    plan = make_plan(host(cpus=cpus), None, groups)
    extra = plan.counter_records - plan.slots
    assert 0 <= extra * RECORD_BYTES <= max(2048, 4 * plan.shards) * RECORD_BYTES
    assert plan.slots == groups + 2
    assert plan.sharded_slots <= plan.slots


@pytest.mark.parametrize("cpus", [1, 2, 64, 256, 1024])
def test_the_whole_hosts_slot_and_those_below_it_are_always_sharded(cpus: int) -> None:
    plan = make_plan(host(cpus=cpus), None, 1)
    assert plan.sharded_slots == plan.slots == 3
    assert plan.counter_records == 3 * plan.shards


def test_every_hook_has_a_question_and_a_section() -> None:
    assert {a: (a.question, a.section) for a in Attach} == {
        Attach.FENTRY: (Question.FENTRY, "fentry/tcp_rcv_established"),
        Attach.TP_BTF: (Question.TP_BTF, "tp_btf/tcp_probe"),
    }


# --- following sockets -------------------------------------------------------------------

NO_RTT_HOOK = (NO_FENTRY, NO_TP_BTF)


def test_what_needs_no_samples_gets_no_hook_for_them_even_where_there_is_one() -> None:
    assert make_plan(host(), None, 1, rtt=False).attach is None
    assert make_plan(host(*NO_RTT_HOOK), None, 1, rtt=False).attach is None


def test_but_for_the_hook_the_plan_is_the_same() -> None:
    with_hook, without = make_plan(host(), None, 64), make_plan(host(), None, 64, rtt=False)
    assert replace(with_hook, attach=None) == without


@pytest.mark.parametrize("question", FOLLOWING)
def test_what_following_takes_is_named_where_it_is_refused(question: Question) -> None:
    with pytest.raises(HookError) as raised:
        make_plan(host((question, no(question, "not there"))), None, 1, rtt=False)
    assert raised.value.exit_code == 16
    assert str(raised.value) == f"cannot use {question}: not there; see tcpvitals check"


@pytest.mark.parametrize("question", FOLLOWING)
def test_what_following_takes_and_nobody_could_tell_stops_nobody(question: Question) -> None:
    facts = host((question, Fact(Answer.UNKNOWN, "not asked")))
    assert make_plan(facts, None, 1, rtt=False) == make_plan(host(), None, 1, rtt=False)


def test_following_takes_two_hooks_for_lives_two_for_retransmissions_and_an_iterator() -> None:
    assert FOLLOWING == (
        "hook tp_btf/inet_sock_set_state",
        "hook tp_btf/tcp_destroy_sock",
        "hook tp_btf/tcp_retransmit_skb",
        "hook tp_btf/tcp_retransmit_synack",
        "iterator task_file",
    )


@pytest.mark.parametrize("storage", [Answer.NO, Answer.UNKNOWN])
def test_where_a_hash_stands_in_for_socket_storage_its_iterator_is_needed(storage: Answer) -> None:
    changes = (
        (Question.SOCKET_STORAGE, Fact(storage, "made up")),
        (Question.MAP_ITERATOR, no(Question.MAP_ITERATOR, "not there")),
    )
    assert make_plan(host(*changes[:1]), None, 1, rtt=False)
    with pytest.raises(HookError) as raised:
        make_plan(host(*changes), None, 1, rtt=False)
    assert str(raised.value) == "cannot use iterator bpf_map_elem: not there; see tcpvitals check"


@pytest.mark.parametrize(
    "question", sorted(set(NOT_NEEDED) - set(FOLLOWING) - {Question.FENTRY, Question.TP_BTF})
)
def test_what_following_does_not_take_stops_nobody(question: Question) -> None:
    plan = make_plan(host((question, no(question))), None, 1, rtt=False)
    assert (plan.attach, plan.slots) == (None, 3)


@pytest.mark.parametrize(("question", "error", "status"), NEEDED)
def test_following_needs_what_everything_needs(
    question: Question, error: type[TcpvitalsError], status: int
) -> None:
    changes = ((lacking, no(lacking)) for lacking in (question, *FOLLOWING))
    with pytest.raises(error) as raised:
        make_plan(host(*changes), None, 1, rtt=False)
    assert raised.value.exit_code == status
