"""`tcpvitals rtt`: what each way of writing an option asks for.  Nothing here needs a kernel."""

from __future__ import annotations

import dataclasses
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcpvitals.commands.main import Parser
from tcpvitals.commands.rtt_options import RttOptions, parse
from tcpvitals.model.columns import RttColumn
from tcpvitals.model.key import Field, Grouping, Prefix
from tcpvitals.model.measurement import Measurement, Sample, Unit
from tcpvitals.model.scope import Scope
from tcpvitals.model.selection import Selection

DEFAULTS = RttOptions(
    measurement=Measurement(Sample.SRTT, Unit.US),
    grouping=Grouping(),
    selection=Selection(),
    netns=None,
    attach=None,
    max_groups=10240,
    idle_s=60.0,
    interval_s=10.0,
    duration_s=None,
    timestamp=False,
    extension=False,
    delta=False,
    json=False,
    top=None,
    all=False,
    sort=None,
    full=False,
    as_tcprtt=False,
)
BY_LADDR, BY_RADDR = Grouping((Field.LADDR,)), Grouping((Field.RADDR,))
IN_MS = Measurement(unit=Unit.MS)


def asked(*words: str) -> RttOptions:
    """Return what these words ask for."""
    return parse(Parser(prog="tcpvitals rtt", allow_abbrev=False), words)


def defaults_but(name: str, value: object) -> RttOptions:
    """Return the defaults with one of them changed."""
    change: dict[str, Any] = {name: value}
    return dataclasses.replace(DEFAULTS, **change)


def as_tcprtt(name: str, value: object) -> RttOptions:
    """Return the defaults with one changed by an option that tcprtt has: its output is tcprtt's."""
    return dataclasses.replace(
        defaults_but(name, value), as_tcprtt=name in {"grouping", "extension"}
    )


def address(side: str, text: str) -> Selection:
    """Return the filter of one address or prefix."""
    network = ip_network(text)
    return Selection(laddr=network) if side == "laddr" else Selection(raddr=network)


def test_without_options_it_is_the_whole_hosts_srtt_every_ten_seconds() -> None:
    assert asked() == DEFAULTS


@pytest.mark.parametrize("dash", ["-", "--"])
@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["laddr-hist"], "grouping", BY_LADDR),
        (["raddr-hist"], "grouping", BY_RADDR),
        (["show-ext"], "extension", True),
        (["ms"], "measurement", IN_MS),
        (["sport", "80"], "selection", Selection(lports=(80,))),
        (["sport=80"], "selection", Selection(lports=(80,))),
        (["dport", "443"], "selection", Selection(rports=(443,))),
        (["dport=443"], "selection", Selection(rports=(443,))),
        (["saddr", "10.0.0.1"], "selection", address("laddr", "10.0.0.1")),
        (["saddr=10.0.0.1"], "selection", address("laddr", "10.0.0.1")),
        (["daddr", "10.0.0.2"], "selection", address("raddr", "10.0.0.2")),
        (["daddr=10.0.0.2"], "selection", address("raddr", "10.0.0.2")),
    ],
)
def test_the_first_tools_options_work_with_one_dash_and_with_two(
    dash: str, words: list[str], name: str, value: object
) -> None:
    first, *rest = words
    assert asked(dash + first, *rest) == as_tcprtt(name, value)


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["-i", "2"], "interval_s", 2.0),
        (["--interval", "0.5"], "interval_s", 0.5),
        (["-i2"], "interval_s", 2.0),
        (["-d", "60"], "duration_s", 60.0),
        (["--duration=1e2"], "duration_s", 100.0),
        (["-T"], "timestamp", True),
        (["--timestamp"], "timestamp", True),
        (["-m"], "measurement", IN_MS),
        (["--millisecond"], "measurement", IN_MS),
        (["--milliseconds"], "measurement", IN_MS),
        (["-p", "80,443"], "selection", Selection(lports=(80, 443))),
        (["--lport", "80"], "selection", Selection(lports=(80,))),
        (["-p", "https, 8000-8010"], "selection", Selection(lports=(443, range(8000, 8011)))),
        (["--scope", "loopback"], "selection", Selection(scopes=(Scope.LOOPBACK,))),
        (["--pid", "42"], "selection", Selection(pid=42)),
        (["-P", "443,80,443"], "selection", Selection(rports=(443, 80))),
        (["--rport=1"], "selection", Selection(rports=(1,))),
        (["-a", "10.0.0.0/8"], "selection", address("laddr", "10.0.0.0/8")),
        (["--laddr", "2001:db8::/32"], "selection", address("laddr", "2001:db8::/32")),
        (["-A", "::1"], "selection", address("raddr", "::1")),
        (["--raddr", "192.0.2.1"], "selection", address("raddr", "192.0.2.1")),
        (["-A", "::ffff:192.0.2.1"], "selection", address("raddr", "192.0.2.1")),
        (["-b"], "grouping", BY_LADDR),
        (["--byladdr"], "grouping", BY_LADDR),
        (["-B"], "grouping", BY_RADDR),
        (["--byraddr"], "grouping", BY_RADDR),
        (["-e"], "extension", True),
        (["--extension"], "extension", True),
        (["-4"], "selection", Selection(family=4)),
        (["--ipv4"], "selection", Selection(family=4)),
        (["-6"], "selection", Selection(family=6)),
        (["--ipv6"], "selection", Selection(family=6)),
    ],
)
def test_bcc_users_find_their_options(words: list[str], name: str, value: object) -> None:
    assert asked(*words) == as_tcprtt(name, value)


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["--sample", "rtt"], "measurement", Measurement(Sample.RTT)),
        (["--sample", "min"], "measurement", Measurement(Sample.MIN)),
        (["--sample=inflation"], "measurement", Measurement(Sample.INFLATION)),
        (["--by", "raddr"], "grouping", BY_RADDR),
        (
            ["--by", "service,role,netns"],
            "grouping",
            Grouping((Field.SERVICE, Field.ROLE, Field.NETNS)),
        ),
        (["--by", "raddr/24"], "grouping", Grouping((Field.RADDR,), raddr_prefix=Prefix(24, 48))),
        (["--by", "raddr/48"], "grouping", Grouping((Field.RADDR,), raddr_prefix=Prefix(24, 48))),
        (["--by", "laddr/8/56"], "grouping", Grouping((Field.LADDR,), laddr_prefix=Prefix(8, 56))),
        (["--by", ""], "grouping", Grouping()),
        (["--max-groups", "1"], "max_groups", 1),
        (["--max-groups", "1000000"], "max_groups", 1_000_000),
        (["--idle", "5"], "idle_s", 5.0),
        (["--attach", "fentry"], "attach", "fentry"),
        (["--attach=tp_btf"], "attach", "tp_btf"),
        (["--netns", "blue"], "netns", "blue"),
        (["--delta"], "delta", True),
        (["--json"], "json", True),
        (["--top", "5"], "top", 5),
        (["--all"], "all", True),
        (["--full"], "full", True),
    ],
)
def test_our_own_options_do_what_they_say(words: list[str], name: str, value: object) -> None:
    assert asked(*words) == defaults_but(name, value)


def test_groups_are_sorted_by_a_column() -> None:
    assert asked("--by", "raddr", "--sort", "p99").sort is RttColumn.P99


def test_letters_may_share_a_dash() -> None:
    options = asked("-Tme4")
    assert options == dataclasses.replace(
        DEFAULTS,
        timestamp=True,
        measurement=IN_MS,
        extension=True,
        as_tcprtt=True,
        selection=Selection(family=4),
    )


def test_filters_add_up() -> None:
    options = asked("-a", "10.0.0.0/8", "-daddr", "10.1.1.1", "-p80", "-P", "1,2", "-4")
    assert options.selection == Selection(
        laddr=ip_network("10.0.0.0/8"),
        raddr=ip_network("10.1.1.1"),
        lports=(80,),
        rports=(1, 2),
        family=4,
    )


def test_the_first_tools_example_still_works() -> None:
    options = asked("-laddr-hist", "-ms")
    assert (options.grouping, options.measurement) == (BY_LADDR, IN_MS)


@settings(deadline=None)
@given(st.floats(0.01, 3e8))
def test_any_length_of_time_up_to_ten_years_is_taken_as_it_is(seconds: float) -> None:
    options = asked("-i", repr(seconds), "-d", repr(seconds), "--idle", repr(seconds))
    assert (options.interval_s, options.duration_s, options.idle_s) == (seconds, seconds, seconds)


@settings(deadline=None)
@given(st.lists(st.integers(1, 65535), min_size=1, max_size=64, unique=True))
def test_any_list_of_up_to_64_ports_is_taken_in_its_order(ports: list[int]) -> None:
    text = ",".join(str(port) for port in ports)
    assert asked("-p", text).selection.lports == tuple(ports)


@settings(deadline=None)
@given(st.permutations(list(Field)), st.integers(0, len(Field)))
def test_any_fields_in_any_order_make_a_grouping(fields: list[Field], count: int) -> None:
    chosen = tuple(fields[:count])
    assert asked("--by", ",".join(chosen)).grouping.fields == chosen
