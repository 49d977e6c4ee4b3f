"""`tcpvitals retrans`: what each way of writing an option asks for, and what contradicts itself."""

from __future__ import annotations

import dataclasses
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcpvitals.commands.main import Parser
from tcpvitals.commands.retrans_options import RetransOptions, parse
from tcpvitals.errors import UsageError
from tcpvitals.model.columns import TotalsColumn
from tcpvitals.model.key import Field, Grouping, Prefix
from tcpvitals.model.selection import Selection

DEFAULTS = RetransOptions(
    grouping=None,
    selection=Selection(),
    netns=None,
    verify=False,
    min_ratio=0.0,
    max_groups=10240,
    idle_s=60.0,
    ring_bytes=16384 * 1024,
    interval_s=None,
    duration_s=None,
    timestamp=False,
    delta=False,
    json=False,
    top=None,
    all=False,
    wide=False,
    sort=None,
)
FLOW = Grouping((Field.LADDR, Field.LPORT, Field.RADDR, Field.RPORT))
TOTALS = dataclasses.replace(DEFAULTS, grouping=FLOW)
SEE_HELP = "(see tcpvitals retrans --help)"
FIELDS = "laddr, raddr, lport, rport, service, role, netns, process, cgroup, scope"


def asked(*words: str) -> RetransOptions:
    """Return what these words ask for."""
    return parse(Parser(prog="tcpvitals retrans", allow_abbrev=False), words)


def but(options: RetransOptions, name: str, value: object) -> RetransOptions:
    """Return options with one of them changed."""
    change: dict[str, Any] = {name: value}
    return dataclasses.replace(options, **change)


def complaint(*words: str) -> str:
    """Return the line that these options end with."""
    with pytest.raises(UsageError) as raised:
        asked(*words)
    assert raised.value.exit_code == 2
    return str(raised.value)


# --- what is asked for -------------------------------------------------------------------


def test_without_options_it_is_each_retransmission_of_the_whole_host() -> None:
    assert asked() == DEFAULTS


@pytest.mark.parametrize("word", ["-c", "--count"])
def test_counting_is_for_each_flow(word: str) -> None:
    assert asked(word) == TOTALS


@pytest.mark.parametrize(
    ("text", "grouping"),
    [
        ("", Grouping()),
        (" ", Grouping()),
        ("process,cgroup", Grouping((Field.PROCESS, Field.CGROUP))),
        ("raddr/24", Grouping((Field.RADDR,), raddr_prefix=Prefix(24, 48))),
    ],
)
@pytest.mark.parametrize("count", [(), ("-c",)])
def test_a_grouping_is_totals_of_that_grouping_whether_or_not_counting_is_asked_for(
    count: tuple[str, ...], text: str, grouping: Grouping
) -> None:
    assert asked(*count, "--by", text) == but(DEFAULTS, "grouping", grouping)


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["-a", "10.0.0.0/8"], "selection", Selection(laddr=ip_network("10.0.0.0/8"))),
        (["--raddr", "::1"], "selection", Selection(raddr=ip_network("::1"))),
        (["-p", "80"], "selection", Selection(lports=(80,))),
        (["-P", "443,80"], "selection", Selection(rports=(443, 80))),
        (["-4"], "selection", Selection(family=4)),
        (["--ipv6"], "selection", Selection(family=6)),
        (["--netns", "blue"], "netns", "blue"),
        (["--verify"], "verify", True),
        (["-d", "60"], "duration_s", 60.0),
        (["--json"], "json", True),
        (["-w"], "wide", True),
        (["--wide"], "wide", True),
    ],
)
def test_options_do_what_they_say_with_totals_and_without(
    words: list[str], name: str, value: object
) -> None:
    assert asked(*words) == but(DEFAULTS, name, value)
    assert asked("-c", *words) == but(TOTALS, name, value)


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["-i", "2"], "interval_s", 2.0),
        (["--interval", "0.5"], "interval_s", 0.5),
        (["--delta"], "delta", True),
        (["-T"], "timestamp", True),
        (["--max-groups", "500"], "max_groups", 500),
        (["--max-groups", "1"], "max_groups", 1),
        (["--idle", "5"], "idle_s", 5.0),
        (["--idle", "0.01"], "idle_s", 0.01),
        (["--top", "5"], "top", 5),
        (["--all"], "all", True),
        (["--sort", "ratio"], "sort", TotalsColumn.RATIO),
        (["--sort=SYNACK"], "sort", TotalsColumn.SYNACK),
        (["--min-ratio", "2"], "min_ratio", 0.02),
        (["--min-ratio", "0.5"], "min_ratio", 0.005),
        (["--min-ratio", "2%"], "min_ratio", 0.02),
        (["--min-ratio=100"], "min_ratio", 1.0),
        (["--min-ratio=0"], "min_ratio", 0.0),
    ],
)
def test_options_of_totals_do_what_they_say(words: list[str], name: str, value: object) -> None:
    assert asked("-c", *words) == but(TOTALS, name, value)
    whole_host = but(DEFAULTS, "grouping", Grouping())
    assert asked("--by", "", *words) == but(whole_host, name, value)


@pytest.mark.parametrize(("kib", "ring_bytes"), [("4", 4096), ("1048576", 1 << 30)])
def test_a_buffer_is_for_events(kib: str, ring_bytes: int) -> None:
    assert asked("--buffer", kib) == but(DEFAULTS, "ring_bytes", ring_bytes)


def test_an_interval_is_for_verifying_events_too() -> None:
    expected = dataclasses.replace(DEFAULTS, verify=True, interval_s=2.0)
    assert asked("--verify", "-i", "2") == expected


@settings(deadline=None)
@given(st.floats(0, 100))
def test_any_percentage_is_a_share_of_one(percent: float) -> None:
    assert asked("-c", "--min-ratio", repr(percent)).min_ratio == percent / 100


@settings(deadline=None)
@given(st.integers(2, 20))
def test_any_power_of_two_of_kib_is_a_buffer(power: int) -> None:
    assert asked("--buffer", str(1 << power)).ring_bytes == 1024 << power


# --- what is refused ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "word",
    ["--min-ratio=2", "--delta", "-T", "--top=5", "--all", "--max-groups=10240", "--idle=60"],
)
@pytest.mark.parametrize("also", [(), ("--verify",), ("--verify", "-i", "1")])
def test_what_is_for_totals_only_says_so_without_them(word: str, also: tuple[str, ...]) -> None:
    name = word.partition("=")[0]
    assert complaint(word, *also) == f"{name} is for totals: add -c or --by"


@pytest.mark.parametrize("totals", [("-c",), ("--by", "raddr"), ("--by", "")])
@pytest.mark.parametrize("also", [(), ("--verify",)])
def test_a_buffer_without_events_says_so_even_if_it_is_the_usual_one(
    totals: tuple[str, ...], also: tuple[str, ...]
) -> None:
    said = "--buffer is for events: leave out -c and --by"
    assert complaint("--buffer", "16384", *totals, *also) == said


def test_an_interval_without_anything_to_print_at_it_says_what_is_missing() -> None:
    expected = "-i is for totals and --verify: add -c, --by or --verify"
    assert complaint("-i", "1") == expected


@pytest.mark.parametrize("text", ["101", "100.001", "-1", "nan", "inf", "", "%", "2%%", "two"])
def test_a_ratio_is_a_percentage(text: str) -> None:
    said = f"--min-ratio: '{text}' is not a percentage from 0 to 100 {SEE_HELP}"
    assert complaint("-c", f"--min-ratio={text}") == said


@pytest.mark.parametrize("text", ["1_0", "\u0661"])
def test_a_ratio_is_written_in_plain_digits(text: str) -> None:
    said = f"--min-ratio: '{text}' is not a percentage from 0 to 100 {SEE_HELP}"
    assert complaint("-c", f"--min-ratio={text}") == said


@pytest.mark.parametrize("text", ["3", "0", "-4", "1048577", "16M", "", "4.0", "9" * 5000])
def test_a_buffer_is_at_least_a_page_and_at_most_a_gibibyte(text: str) -> None:
    said = f"--buffer: '{text}' is not a whole number from 4 to 1048576 {SEE_HELP}"
    assert complaint(f"--buffer={text}") == said


@pytest.mark.parametrize("text", ["5", "100", "16383", "1048575"])
def test_a_buffer_is_a_power_of_two(text: str) -> None:
    assert complaint("--buffer", text) == (f"--buffer: '{text}' is not a power of two {SEE_HELP}")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--by", "x"), f"--by: 'x' is not one of {FIELDS} {SEE_HELP}"),
        (("-c", "--by", "raddr,"), f"--by: '' is not one of {FIELDS} {SEE_HELP}"),
        (("--by", "process,process"), f"--by: 'process' is there twice {SEE_HELP}"),
        (
            ("--by", "cgroup/8"),
            f"--by: 'cgroup/8': only laddr and raddr take a prefix {SEE_HELP}",
        ),
        (("-4", "-A", "::1"), "-4 contradicts the remote address ::1/128"),
        (("-4", "-6"), f"-6/--ipv6: not allowed with argument -4/--ipv4 {SEE_HELP}"),
        (("--top", "1", "--all"), f"--all: not allowed with argument --top {SEE_HELP}"),
        (("--by",), f"--by: expected one argument {SEE_HELP}"),
        (("--nosuch",), f"unrecognized arguments: --nosuch {SEE_HELP}"),
        (("--coun",), f"unrecognized arguments: --coun {SEE_HELP}"),
        (
            ("-i", "0", "-c"),
            f"-i/--interval: '0' is not a number of seconds, 0.01 at least {SEE_HELP}",
        ),
    ],
)
def test_what_makes_no_sense_is_one_line_that_says_why(words: tuple[str, ...], said: str) -> None:
    assert complaint(*words) == said
