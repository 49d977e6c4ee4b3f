"""Which kernels a test needs in `tests/vm/run --ci`, and why: the one place that declares it.

A test that no rule names runs on every kernel, so a new test needs no entry here.  Without --ci
every test runs on every kernel.  `make test` runs all of them on the host besides.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

KERNELS = ("5.10", "6.1", "6.12", "6.18", "7.3")
TESTS = "tests/kernel"


class Where(Enum):
    """The kernels on which a test runs in the short selection.

    What one kernel suffices for is spread: the guests should take about equally long.
    """

    HOST = ()
    OLDEST = (KERNELS[0],)
    MIDDLE = ("6.12",)
    NEWEST = (KERNELS[-1],)
    ENDS = (KERNELS[0], KERNELS[-1])


@dataclass(frozen=True)
class Rule:
    """Where tests run, and the reason.

    Attributes:
        where: the kernels.
        file: the tests' file.
        tests: which of its tests, each perhaps with the beginning of its parameters; none: all.
        reason: what decides their outcome.
    """

    where: Where
    file: str
    reason: str
    tests: tuple[str, ...] = ()

    @property
    def prefixes(self) -> list[str]:
        """Return how pytest's names of the tests begin."""
        path = f"{TESTS}/{self.file}"
        return [f"{path}::{test}" for test in self.tests] or [path]


_MEDIAN = "test_the_median_srtt_is_the_delay_at_both_ends_and_for_every_kind_of_address"

RULES = (
    Rule(Where.HOST, "test_hostile_comm.py", "names are made printable in Python"),
    Rule(Where.HOST, "test_serve_process.py", "signals, ports and files of a Python process"),
    Rule(
        Where.HOST,
        "test_startup_failures.py",
        "found in Python before anything is loaded",
        (
            "test_bad_options_are_found_first_whatever_the_host_lacks",
            "test_a_hook_that_nobody_has_is_bad_usage",
            "test_too_few_open_files_are_told_before_anything_fails_for_want_of_them",
        ),
    ),
    Rule(
        Where.HOST,
        "test_rtt_life.py",
        "timers, streams and descriptors of a Python process",
        (
            "test_it_prints_at_once_then_every_interval_and_at_the_end_of_the_duration",
            "test_a_reader_that_leaves_ends_it_quietly",
            "test_no_descriptor_of_ours_reaches_a_child",
        ),
    ),
    Rule(Where.MIDDLE, "test_netlab.py", "netlab with netem; other tests use it on every kernel"),
    Rule(Where.ENDS, "test_privileges.py", "capabilities: 5.10 keeps CAP_BPF, from 5.19 none"),
    Rule(
        Where.ENDS,
        "test_serve.py",
        "capabilities, as in test_privileges",
        (
            "test_after_attaching_no_thread_has_a_capability_or_can_gain_one",
            "test_it_becomes_another_user_and_goes_on_counting",
        ),
    ),
    Rule(Where.ENDS, "test_startup_failures.py", "what the verifier and the loader refuse"),
    Rule(Where.ENDS, "test_rtt_life.py", "what a killed process leaves in the kernel"),
    Rule(
        Where.NEWEST,
        "test_serve_flood.py",
        "the bound on series, in Python; test_retrans_identity counts on every kernel",
    ),
    Rule(
        Where.NEWEST,
        "test_rtt_groups.py",
        "grouping is one function under both hooks; test_rtt_exact counts both on every kernel",
        (
            "test_a_grouping_makes_exactly_the_groups_its_name_promises[fentry",
            "test_a_filter_lets_through_what_it_says_and_nothing_else[fentry",
        ),
    ),
    Rule(
        Where.OLDEST,
        "test_rtt_delay.py",
        "the sample is one function under both hooks; test_rtt_exact counts both on every kernel",
        (f"{_MEDIAN}[fentry",),
    ),
    Rule(
        Where.NEWEST,
        "test_rtt_delay.py",
        "every kernel has 1 and 50 ms; what lies between and above differs by the wire alone",
        (f"{_MEDIAN}[tp_btf-10-", f"{_MEDIAN}[tp_btf-200-"),
    ),
    Rule(
        Where.ENDS,
        "test_rtt_delay.py",
        "a division in our program, whose code all kernels run alike",
        ("test_milliseconds_are_microseconds_divided_and_rounded_down_as_the_first_tool_did",),
    ),
)


def left_out(kernel: str) -> list[str]:
    """Return pytest's options that leave out what only other kernels, or the host, run."""
    rules = (rule for rule in RULES if kernel not in rule.where.value)
    return [f"--deselect={prefix}" for rule in rules for prefix in rule.prefixes]
