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
    THREE = (KERNELS[0], "6.12", KERNELS[-1])
    BUT_6_18 = ("5.10", "6.1", "6.12", "7.3")


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
    Rule(Where.HOST, "test_serve_counting.py", "when a Python process counts and refreshes"),
    Rule(Where.HOST, "test_serve_few_files.py", "open files and connections of a Python process"),
    Rule(Where.HOST, "test_serve_unread_log.py", "a pipe of a Python process"),
    Rule(Where.HOST, "test_serve_hardship.py", "signals and mounts of a Python process"),
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
    Rule(
        Where.MIDDLE,
        "test_events_flood.py",
        "how fast Python reads the ring; its counts are tested on every kernel",
        (
            "test_a_stopped_reader_tells_how_much_it_missed",
            "test_a_burst_that_fits_the_buffer_is_told_whole",
            "test_ctrl_c_in_the_middle_of_a_burst_ends_it_soon",
        ),
    ),
    Rule(Where.MIDDLE, "test_verify_baseline.py", "when Python reads what the kernel counted"),
    Rule(Where.MIDDLE, "test_flows_beside_groups.py", "in which order Python reads"),
    Rule(Where.ENDS, "test_owners.py", "owners are found by event and by iterator task_file"),
    Rule(
        Where.THREE, "test_states.py", "one event, the same since 4.16; totals are on every kernel"
    ),
    Rule(
        Where.ENDS, "test_network_rtt.py", "fields of struct sk_buff and tcp_sock, moved by CO-RE"
    ),
    Rule(
        Where.ENDS,
        "test_namespaces.py",
        "slots are freed by Python; the identity of a namespace is tested on every kernel",
        (
            "test_namespaces_that_are_gone_leave_their_slots_and_their_totals_stay",
            "test_verify_prints_one_line_for_all_namespaces_that_are_gone",
        ),
    ),
    Rule(
        Where.ENDS,
        "test_retrans_identity.py",
        "150 connections that lose four of ten have the same causes on every kernel",
        ("test_600_short_connections_at_10_percent_loss",),
    ),
    Rule(
        Where.ENDS,
        "test_totals_sums.py",
        "with loss it is on every kernel",
        ("test_each_group_has_the_sums_of_its_live_and_its_closed_sockets[without loss]",),
    ),
    Rule(
        Where.NEWEST,
        "test_rtt_delay.py",
        "every kernel has 50 ms; what lies below and above differs by the wire alone",
        (
            "test_every_sample_measures_the_same_wire[10]",
            "test_every_sample_measures_the_same_wire[200]",
        ),
    ),
    Rule(
        Where.THREE,
        "test_missed_runs.py",
        "sockets are met by pointer (before 5.11), in their storage, or where files are (7.0)",
    ),
    Rule(
        Where.THREE,
        "test_timeouts.py",
        "timeouts are read in icsk_retransmits or in total_rto (6.7)",
        (
            "test_timeouts_without_a_route_are_the_kernels_own",
            "test_what_the_limit_of_orphans_kills_was_a_timeout",
        ),
    ),
    Rule(
        Where.BUT_6_18,
        "test_timeouts.py",
        "timers of fast opens and what counts them are the same from 6.7 to 6.18",
        ("test_a_fast_opens_syn_acks_are_its_sockets_timeouts",),
    ),
)


def left_out(kernel: str) -> list[str]:
    """Return pytest's options that leave out what only other kernels, or the host, run."""
    rules = (rule for rule in RULES if kernel not in rule.where.value)
    return [f"--deselect={prefix}" for rule in rules for prefix in rule.prefixes]
