"""`tcpvitals check`: all answers, what they mean, and what to do about a no."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from test_kernel_madeup import host, no

from tcpvitals.commands import check
from tcpvitals.commands.main import dispatch
from tcpvitals.errors import HookError
from tcpvitals.kernel.facts import Answer, Fact, HostFacts, Question

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Return a function that runs the command on a made-up host: status and output."""

    def run_(facts: HostFacts, *words: str) -> tuple[int, str]:
        monkeypatch.setattr(check, "collect_facts", lambda: facts)
        status = dispatch(["check", *words])
        shown = capsys.readouterr()
        assert shown.err == ""
        return status, shown.out

    return run_


def test_a_host_that_has_everything_can_run_it(run: Callable[..., tuple[int, str]]) -> None:
    status, shown = run(host())
    assert status == 0
    *lines, empty, verdict = shown.splitlines()
    assert empty == ""
    used = "fentry/tcp_rcv_established, socket storage, tcpvitals.bpf.o"
    assert verdict == f"tcpvitals can run here, and will use {used}."
    assert [line.split("  ")[0] for line in lines] == ["yes"] * len(Question)


def test_every_question_is_answered_in_order_and_in_columns(
    run: Callable[..., tuple[int, str]],
) -> None:
    _, shown = run(host((Question.LOCKDOWN, Fact(Answer.UNKNOWN, "hidden"))))
    lines = shown.splitlines()[: len(Question)]
    for line, question in zip(lines, Question, strict=True):
        assert line[16:65].rstrip() == question
        assert line[66:] in {f"seen {question.name}", "hidden"}
    assert lines[list(Question).index(Question.LOCKDOWN)].startswith("could not tell  not locked")


@pytest.mark.parametrize(
    ("question", "status"),
    [
        (Question.LIBBPF, 14),
        (Question.KERNEL, 11),
        (Question.BTF, 12),
        (Question.PRIVILEGES, 10),
        (Question.MEMLOCK, 17),
    ],
)
def test_what_is_missing_is_shown_with_its_remedy_and_every_other_commands_status(
    run: Callable[..., tuple[int, str]], question: Question, status: int
) -> None:
    ended, shown = run(host((question, no(question))))
    assert ended == status
    lines = shown.splitlines()
    at = next(at for at, line in enumerate(lines) if line.startswith("no "))
    assert question in lines[at]
    assert lines[at + 1] == f"{'':<16}-> remedy {question.name}"
    assert lines[-1].startswith(f"tcpvitals cannot run here: needs {question}")


@pytest.mark.parametrize(
    ("question", "stand_in"),
    [
        (Question.FENTRY, "tp_btf/tcp_probe serves as well"),
        (Question.TP_BTF, "fentry/tcp_rcv_established serves as well"),
        (Question.SOCKET_STORAGE, "a hash by socket is used instead, a little slower"),
        (Question.STORAGE_ITERATOR, "iterators tcp and task_file are used instead"),
        (Question.ATOMICS, "the object for older kernels is used instead"),
        (Question.GUARD, "atomic additions are used, a little slower"),
        (Question.RETRANSMIT_ERROR, "what failed is counted, but not shown one by one"),
    ],
)
def test_a_no_that_something_stands_in_for_says_what(
    run: Callable[..., tuple[int, str]], question: Question, stand_in: str
) -> None:
    status, shown = run(host((question, Fact(Answer.NO, "refused"))))
    assert status == 0
    assert f"-> {stand_in}\n" in shown


def test_on_an_old_kernel_it_says_what_will_be_used_instead(
    run: Callable[..., tuple[int, str]],
) -> None:
    old = (Question.FENTRY, Question.SOCKET_STORAGE, Question.ATOMICS)
    _, shown = run(host(*((question, Fact(Answer.NO, "refused")) for question in old)))
    assert shown.splitlines()[-1] == (
        "tcpvitals can run here, and will use tp_btf/tcp_probe, a hash by socket, "
        "tcpvitals.v2.bpf.o."
    )


# --- for programs ------------------------------------------------------------------------


def as_json(shown: str) -> dict[str, Any]:
    """Return the one object on the one line."""
    assert shown.count("\n") == 1
    found: dict[str, Any] = json.loads(shown)
    return found


def test_the_object_says_all_that_the_text_does(run: Callable[..., tuple[int, str]]) -> None:
    status, shown = run(host((Question.FENTRY, Fact(Answer.NO, "refused"))), "--json")
    found = as_json(shown)
    facts = found.pop("facts")
    assert status == 0
    assert found == {
        "type": "check",
        "runs": True,
        "error": None,
        "exit_code": 0,
        "kernel": "6.12.0",
        "attach": "tp_btf/tcp_probe",
        "object": "tcpvitals.bpf.o",
    }
    assert [fact["question"] for fact in facts] == list(Question)
    assert facts[list(Question).index(Question.FENTRY)] == {
        "question": "hook fentry/tcp_rcv_established",
        "answer": "no",
        "seen": "refused",
        "remedy": "tp_btf/tcp_probe serves as well",
    }


def test_the_object_of_a_host_that_cannot_run_it_has_the_error_and_the_status(
    run: Callable[..., tuple[int, str]],
) -> None:
    status, shown = run(host((Question.BTF, no(Question.BTF))), "--json")
    found = as_json(shown)
    assert (status, found["exit_code"], found["runs"]) == (12, 12, False)
    assert found["error"].endswith("refused; remedy BTF")
    assert (found["attach"], found["object"]) == (None, None)


def test_a_remedy_is_given_only_for_a_no(run: Callable[..., tuple[int, str]]) -> None:
    _, shown = run(host(), "--json")
    assert {fact["remedy"] for fact in as_json(shown)["facts"]} == {""}


def test_a_host_that_cannot_follow_sockets_can_do_rtt_and_says_so(
    run: Callable[..., tuple[int, str]],
) -> None:
    question = Question.SYNACK
    status, shown = run(host((question, no(question, "not there"))))
    assert status == HookError.exit_code
    assert shown.splitlines()[-1] == (
        "tcpvitals can do no more than rtt here: "
        "cannot use hook tp_btf/tcp_retransmit_synack: not there; see tcpvitals check"
    )
