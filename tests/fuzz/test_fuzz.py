"""The first inputs of `make fuzz`, the same ones each time; and that it finds what it looks for."""

from __future__ import annotations

import base64
import contextlib
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import pytest
from mutation import mutations
from targets import all_targets
from trial import Target, fault, slowness

from fuzz import fuzz
from tcpvitals.errors import UsageError

SEED = 9
INPUTS = 150
TARGETS = all_targets()
PROGRAM = (sys.executable, str(Path(__file__).with_name("fuzz.py")))


@pytest.mark.parametrize("target", TARGETS, ids=[target.name for target in TARGETS])
def test_whatever_is_read_ends_in_an_error_of_our_own_or_in_none(target: Target) -> None:
    inputs = list(islice(target.inputs(SEED), INPUTS))
    assert [failure for data in inputs if (failure := fault(target, data))] == []


@pytest.mark.parametrize("target", TARGETS, ids=[target.name for target in TARGETS])
def test_the_good_inputs_that_the_others_are_made_of_are_read(target: Target) -> None:
    for data in target.corpus:
        if not (target.name.startswith("web") and b"cert_file" in data):  # there is no such file
            target.read(data)


def test_the_same_seed_makes_the_same_inputs_and_another_seed_others() -> None:
    first, again, other = (
        list(islice(mutations(seed, [b"ab"], [b"c"], 8), 60)) for seed in (1, 1, 2)
    )
    assert first == again != other
    assert len(set(first)) > 20
    assert max(map(len, first)) == 8


def broken(data: bytes) -> None:
    """Fail in each of the ways that there are, by the first byte."""
    match data[:1]:
        case b"e":
            raise KeyError(data)
        case b"n":
            message = "two\nlines"
            raise UsageError(message)
        case b"o":
            message = "one line"
            raise UsageError(message)
        case b"w":
            while True:
                with contextlib.suppress(Exception):
                    int(data)
        case b"s":
            end_s = time.process_time() + 0.002
            while time.process_time() < end_s:
                pass


BROKEN = Target("broken", broken, (b"",))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"e", "KeyError in broken, test_fuzz.py:"),
        (b"n", "not a printable line"),
        (b"o", ""),
        (b"", ""),
    ],
)
def test_any_exception_but_an_error_of_ours_in_one_line_is_a_failure(
    data: bytes, what: str
) -> None:
    failure = fault(BROKEN, data)
    assert (failure.what if failure else "").startswith(what)
    assert (failure is None) == (what == "")


def test_what_never_returns_is_ended_and_is_a_failure() -> None:
    """A reader that catches every exception does not catch this one."""
    failure = fault(BROKEN, b"w", endless_s=0.05)
    assert failure
    assert failure.what.startswith("endless in ")
    assert failure.said == "after 0.05 s"


def test_an_input_is_slow_if_its_best_repetition_is() -> None:
    assert slowness(BROKEN, b"s", most_s=0.001) is not None
    assert slowness(BROKEN, b"o", most_s=1000) is None


def test_each_target_is_tried_and_no_failure_is_status_0() -> None:
    done = subprocess.run([*PROGRAM, "--seconds=0", "--seed=1"], capture_output=True, check=False)
    names = [target.name for target in TARGETS]
    assert done.returncode == 0, done.stdout
    assert [name for name in names if f"\n{name} " not in done.stdout.decode()] == []


def test_each_defect_is_printed_once_with_its_input_and_is_status_1(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert fuzz([Target("broken", broken, (b"e1", b"e2", b"o"))], seed=1, seconds=0.2) == 1
    *failures, of_target, of_all = capsys.readouterr().out.splitlines()[1:]
    repeat = f"--repeat 'broken' '{base64.b64encode(b'e1').decode()}'"
    assert failures[0].startswith("FAILED broken: KeyError in broken, test_fuzz.py:")
    assert failures[1].endswith(repeat)
    assert len([line for line in failures if "KeyError" in line]) == 1
    assert of_target.split()[:3:2] == ["broken", "inputs"]
    assert of_all.split()[1] == of_target.split()[1]


def test_one_input_can_be_repeated() -> None:
    encoded = base64.b64encode(b"localhost").decode()
    done = subprocess.run([*PROGRAM, "--repeat", "Host", encoded], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"no failure\n")
