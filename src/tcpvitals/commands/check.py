"""What this host supports, and what tcpvitals will use.

Every question has one of three answers: yes, no, could not tell. Exits with 0 if all of tcpvitals
can run here, otherwise with the status that commands would end with, and says what to do.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tcpvitals.commands.output import write
from tcpvitals.errors import TcpvitalsError
from tcpvitals.kernel.facts import Answer, HostFacts, Question
from tcpvitals.kernel.plan import Plan, make_plan
from tcpvitals.kernel.probe import collect_facts

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

_STAND_INS = {
    Question.FENTRY: "tp_btf/tcp_probe serves as well",
    Question.TP_BTF: "fentry/tcp_rcv_established serves as well",
    Question.SOCKET_STORAGE: "a hash by socket is used instead, a little slower",
    Question.STORAGE_ITERATOR: "iterators tcp and task_file are used instead",
    Question.MAP_ITERATOR: "needed only where there is no socket storage",
    Question.ATOMICS: "the object for older kernels is used instead",
    Question.GUARD: "atomic additions are used, a little slower",
    Question.RETRANSMIT_ERROR: "what failed is counted, but not shown one by one",
}


def main(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> int:
    """Print all facts, and end with what they mean."""
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    options = parser.parse_args(arguments)
    facts = collect_facts()
    plan, error = _plan(facts, rtt=True)
    if plan:
        _, error = _plan(facts, rtt=False)
    text = _as_json(facts, plan, error) if options.json else _as_text(facts, plan, error)
    write(text + "\n")
    return error.exit_code if error else 0


def _plan(facts: HostFacts, *, rtt: bool) -> tuple[Plan | None, TcpvitalsError | None]:
    """What would be loaded, or why nothing would."""
    try:
        return make_plan(facts, None, 1, rtt=rtt), None
    except TcpvitalsError as error:
        return None, error


def _as_text(facts: HostFacts, plan: Plan | None, error: TcpvitalsError | None) -> str:
    lines = [_line(facts, question) for question in Question]
    if plan and error:
        lines += ["", f"tcpvitals can do no more than rtt here: {error}"]
    elif plan:
        lines += ["", f"tcpvitals can run here, and will use {_uses(plan)}."]
    else:
        lines += ["", f"tcpvitals cannot run here: {error}"]
    return "\n".join(lines)


def _line(facts: HostFacts, question: Question) -> str:
    fact = facts[question]
    line = f"{fact.answer:<15} {question:<49} {fact.seen}"
    todo = _what_to_do(facts, question)
    return f"{line}\n{'':<16}-> {todo}" if todo else line


def _what_to_do(facts: HostFacts, question: Question) -> str:
    fact = facts[question]
    if fact.answer is not Answer.NO:
        return ""
    return fact.remedy or _STAND_INS.get(question, "")


def _uses(plan: Plan) -> str:
    storage = "socket storage" if plan.socket_storage else "a hash by socket"
    return f"{_hook(plan)}, {storage}, {plan.object_name}"


def _hook(plan: Plan) -> str | None:
    return plan.attach.section if plan.attach else None


def _as_json(facts: HostFacts, plan: Plan | None, error: TcpvitalsError | None) -> str:
    return json.dumps(
        {
            "type": "check",
            "runs": error is None,
            "error": str(error) if error else None,
            "exit_code": error.exit_code if error else 0,
            "kernel": facts.release,
            "attach": _hook(plan) if plan else None,
            "object": plan.object_name if plan else None,
            "facts": [
                {
                    "question": question,
                    "answer": facts[question].answer,
                    "seen": facts[question].seen,
                    "remedy": _what_to_do(facts, question),
                }
                for question in Question
            ],
        }
    )
