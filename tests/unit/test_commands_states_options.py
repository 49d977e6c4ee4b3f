"""`tcpvitals states`: the options of tcpstates and ours, and what is refused."""

from __future__ import annotations

import dataclasses
from ipaddress import ip_network
from typing import Any

import pytest

from tcpvitals.commands.main import Parser
from tcpvitals.commands.states_options import StatesOptions, parse
from tcpvitals.errors import UsageError
from tcpvitals.model.selection import Selection

DEFAULTS = StatesOptions(
    selection=Selection(),
    netns=None,
    ring_bytes=16384 * 1024,
    duration_s=None,
    timestamp=False,
    wide=False,
    json=False,
)
LPORT = "-p/--lport/--sport/-L/--localport"
OTHER_PORTS = "a range as 8000-8010, or a TCP service of /etc/services"
SEE_HELP = "(see tcpvitals states --help)"


def asked(*words: str) -> StatesOptions:
    """Return what these words ask for."""
    return parse(Parser(prog="tcpvitals states", allow_abbrev=False), words)


def test_without_options_it_is_every_state_change_of_the_host() -> None:
    assert asked() == DEFAULTS


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["-T"], "timestamp", True),
        (["--timestamp"], "timestamp", True),
        (["-w"], "wide", True),
        (["--wide"], "wide", True),
        (["-4"], "selection", Selection(family=4)),
        (["-6"], "selection", Selection(family=6)),
        (["-L", "22,80"], "selection", Selection(lports=(22, 80))),
        (["--localport", "22"], "selection", Selection(lports=(22,))),
        (["-D", "443"], "selection", Selection(rports=(443,))),
        (["--remoteport=443"], "selection", Selection(rports=(443,))),
    ],
)
def test_users_of_tcpstates_find_their_options(words: list[str], name: str, value: object) -> None:
    change: dict[str, Any] = {name: value}
    assert asked(*words) == dataclasses.replace(DEFAULTS, **change)


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["-p", "22"], "selection", Selection(lports=(22,))),
        (["--sport", "22"], "selection", Selection(lports=(22,))),
        (["-P", "443"], "selection", Selection(rports=(443,))),
        (["-a", "10.0.0.1"], "selection", Selection(laddr=ip_network("10.0.0.1"))),
        (["-A", "::/0"], "selection", Selection(raddr=ip_network("::/0"))),
        (["--netns", "blue"], "netns", "blue"),
        (["-d", "60"], "duration_s", 60.0),
        (["--json"], "json", True),
        (["--buffer", "4"], "ring_bytes", 4096),
    ],
)
def test_filters_and_output_are_those_of_the_other_commands(
    words: list[str], name: str, value: object
) -> None:
    change: dict[str, Any] = {name: value}
    assert asked(*words) == dataclasses.replace(DEFAULTS, **change)


def test_letters_may_share_a_dash() -> None:
    assert asked("-Tw4") == dataclasses.replace(
        DEFAULTS, timestamp=True, wide=True, selection=Selection(family=4)
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--buffer", "3"),
            f"--buffer: '3' is not a whole number from 4 to 1048576 {SEE_HELP}",
        ),
        (("--buffer", "6"), f"--buffer: '6' is not a power of two {SEE_HELP}"),
        (("-i", "1"), f"unrecognized arguments: -i 1 {SEE_HELP}"),
        (("--by", "raddr"), f"unrecognized arguments: --by raddr {SEE_HELP}"),
        (("-4", "-a", "::1"), "-4 contradicts the local address ::1/128"),
        (
            ("-L", "0"),
            f"{LPORT}: port '0' is not a number from 1 to 65535, {OTHER_PORTS} {SEE_HELP}",
        ),
        (
            ("-d", "0"),
            f"-d/--duration: '0' is not a number of seconds, 0.01 at least {SEE_HELP}",
        ),
    ],
)
def test_what_makes_no_sense_is_one_line_that_says_why(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError) as raised:
        asked(*words)
    assert (raised.value.exit_code, str(raised.value)) == (2, said)
