"""`tcpvitals serve`: what each way of writing an option asks for.  Nothing here needs a kernel."""

from __future__ import annotations

import dataclasses
import os
import pwd
import subprocess
import sys
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcpvitals.commands.main import Parser
from tcpvitals.commands.reloading import CHANGEABLE, FIXED, FIXED_FILTERS, Reload, changes
from tcpvitals.commands.serve_options import ServeOptions, parse
from tcpvitals.errors import UsageError
from tcpvitals.kernel.users import User
from tcpvitals.model.key import Field, FlowPorts, Grouping, Prefix
from tcpvitals.model.measurement import Sample
from tcpvitals.model.scope import Scope
from tcpvitals.model.selection import Selection
from tcpvitals.sinks.web.listening import ListenAddress

DEFAULTS = ServeOptions(
    config=None,
    listen=ListenAddress("127.0.0.1", 2112),
    web_config_file=None,
    insecure_listen=False,
    allow_hosts=(),
    grouping=Grouping(
        (Field.SCOPE, Field.ROLE, Field.SERVICE, Field.RADDR, Field.NETNS),
        raddr_prefix=Prefix(24, 48),
    ),
    selection=Selection(),
    netns=None,
    max_groups=200,
    idle_s=60.0,
    refresh_s=5.0,
    histograms=(Sample.RTT, Sample.NETWORK),
    buckets=(),
    flow_ports=FlowPorts.BOUNDED,
    max_flows=500,
    attach=None,
    user=None,
    bpf_stats=False,
    quiet=False,
    duration_s=None,
)
ROOT = pwd.getpwuid(0)
FAR = (Scope.PRIVATE, Scope.PUBLIC)


def asked(*words: str) -> ServeOptions:
    """Return what these words ask for."""
    return parse(Parser(prog="tcpvitals serve", allow_abbrev=False), words)


def complaint(*words: str) -> str:
    """Return the line that these options end with."""
    with pytest.raises(UsageError) as raised:
        asked(*words)
    text = str(raised.value)
    assert text.isprintable()
    return text


def but(name: str, value: object, options: ServeOptions = DEFAULTS) -> ServeOptions:
    """Return the options with one of them changed."""
    change: dict[str, Any] = {name: value}
    return dataclasses.replace(options, **change)


def test_without_options_it_is_what_the_manual_says() -> None:
    assert asked() == DEFAULTS


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["--listen", "[::1]:9"], "listen", ListenAddress("::1", 9)),
        (["--web.config.file", "web.yml"], "web_config_file", "web.yml"),
        (["--web.config.file=web.yml"], "web_config_file", "web.yml"),
        (["--web-config-file", "web.yml"], "web_config_file", "web.yml"),
        (["--insecure-listen"], "insecure_listen", True),
        (["--allow-host", "A.example", "--allow-host=b"], "allow_hosts", ("a.example", "b")),
        (["--allow-host", "a", "--allow-host", "A"], "allow_hosts", ("a",)),
        (["--allow-host", "[fd00::1]"], "allow_hosts", ("[fd00::1]",)),
        (["--by", ""], "grouping", Grouping()),
        (["--by", "cgroup"], "grouping", Grouping((Field.CGROUP,))),
        (["-a", "10.0.0.0/8"], "selection", Selection(laddr=ip_network("10.0.0.0/8"))),
        (["-P", "443"], "selection", Selection(rports=(443,))),
        (["-P", "https,8000-8010"], "selection", Selection(rports=(443, range(8000, 8011)))),
        (["--scope", "public,private"], "selection", Selection(scopes=FAR)),
        (["--pid", "4194304"], "selection", Selection(pid=4194304)),
        (["-6"], "selection", Selection(family=6)),
        (["--netns", "blue"], "netns", "blue"),
        (["--max-groups", "500"], "max_groups", 500),
        (["--idle", "9"], "idle_s", 9.0),
        (["--refresh", "0.1"], "refresh_s", 0.1),
        (["--refresh", "3600"], "refresh_s", 3600.0),
        (["--buckets", "0.001, 0.01,1"], "buckets", (0.001, 0.01, 1.0)),
        (["--buckets", "1e-6,100"], "buckets", (1e-6, 100.0)),
        (["--flow-ports", "full"], "flow_ports", FlowPorts.FULL),
        (["--flow-ports=off"], "flow_ports", FlowPorts.OFF),
        (["--max-flows", "100000"], "max_flows", 100_000),
        (["--attach", "tp_btf"], "attach", "tp_btf"),
        (["--user", ROOT.pw_name], "user", User(0, ROOT.pw_gid)),
        (["--user", "0"], "user", User(0, ROOT.pw_gid)),
        (["--user", "4000000000:7"], "user", User(4_000_000_000, 7)),
        (["--user", f"{ROOT.pw_name}:7"], "user", User(0, 7)),
        (["--bpf-stats"], "bpf_stats", True),
        (["-q"], "quiet", True),
        (["-d", "1"], "duration_s", 1.0),
    ],
)
def test_each_option_asks_for_one_thing(words: list[str], name: str, value: object) -> None:
    assert asked(*words) == but(name, value)


@pytest.mark.parametrize(
    "text",
    ["", "a b", "a/b", "a:80", "[::1]:80", "[]", "[", "[a]", "::1%lo", "\u00e9", "a" * 254, "a\n"],
)
def test_a_host_is_a_name_or_an_address_without_a_port(text: str) -> None:
    assert "is not a host name or an address" in complaint(f"--allow-host={text}")


@pytest.mark.parametrize("text", ["0", "0.09", "3601", "nan", "inf", "", "1_0", "\u0661", "5s"])
def test_a_refresh_is_between_a_tenth_of_a_second_and_an_hour(text: str) -> None:
    assert "is not a number of seconds from 0.1 to 3600" in complaint(f"--refresh={text}")


@pytest.mark.parametrize("text", ["", "0", "-1", "101", "nan", "1,", "1,x", "1,inf", "1e-7"])
def test_an_edge_is_a_number_of_seconds_that_the_kernel_half_can_tell(text: str) -> None:
    assert "is not a number of seconds from 0.000001 to 100" in complaint(f"--buckets={text}")


@pytest.mark.parametrize("text", ["2,1", "1,1", "1,1.0", "0.1,10,1"])
def test_edges_increase(text: str) -> None:
    assert "the edges do not increase" in complaint(f"--buckets={text}")


def test_there_may_be_100_edges_and_not_one_more() -> None:
    edges = [str(number / 10) for number in range(1, 102)]
    assert len(asked("--buckets", ",".join(edges[:100])).buckets) == 100
    assert "101 edges are too many: 100 at most" in complaint("--buckets", ",".join(edges))


@pytest.mark.parametrize("text", ["0", "100001", "-1", "1.5", "", "+5", "9" * 5000])
def test_a_number_of_series_is_a_whole_number_up_to_100000(text: str) -> None:
    assert "is not a whole number from 1 to 100000" in complaint(f"--max-flows={text}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no-such-user", "no user 'no-such-user'"),
        ("", "no user ''"),
        (":7", "no user ''"),
        ("a\x1bb", "no user 'a\\x1bb'"),
        ("-1", "no user '-1'"),
        ("4294967295:7", "no user '4294967295'"),
        ("9" * 5000, "no user '999"),
        ("\u0661", "no user"),
        ("\udcff", "no user"),
        ("4000000000", "user 4000000000 has no entry that tells its group: give 4000000000:GID"),
        ("0:no-such-group", "no group 'no-such-group'"),
        ("0:", "no group ''"),
        ("0:4294967295", "no group '4294967295'"),
        ("0:7:8", "no group '7:8'"),
    ],
)
def test_a_user_is_one_that_exists_or_two_numbers(text: str, said: str) -> None:
    assert said in complaint(f"--user={text}")


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_whatever_is_asked_for_it_is_options_or_one_printable_line(text: str) -> None:
    for option in ("by", "user", "buckets", "refresh", "allow-host", "max-flows", "laddr"):
        try:
            asked(f"--{option}={text}")
        except UsageError as error:
            assert str(error).isprintable()  # noqa: PT017 - that it may raise is the point


def test_options_are_read_without_what_counting_needs() -> None:
    program = (
        "import sys; from tcpvitals.commands import serve_options; "
        "print(*{'numpy', 'ctypes', 'prometheus_client', 'starlette', 'yaml'} & {*sys.modules})"
    )
    done = subprocess.run(
        (sys.executable, "-c", program),
        check=True,
        text=True,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.strip() == ""


# --- SIGHUP ------------------------------------------------------------------------------

WITH_WEB = but("web_config_file", "web.yml")


def test_the_same_options_change_nothing() -> None:
    assert changes(DEFAULTS, asked()) == Reload(DEFAULTS, (), ())


@pytest.mark.parametrize(
    ("name", "value", "option"),
    [
        ("allow_hosts", ("a",), "--allow-host"),
        ("idle_s", 9.0, "--idle"),
        ("refresh_s", 9.0, "--refresh"),
        ("buckets", (1.0,), "--buckets"),
        ("max_flows", 9, "--max-flows"),
        ("quiet", True, "--quiet"),
        ("web_config_file", "other.yml", "--web.config.file"),
    ],
)
def test_what_programs_do_not_depend_on_is_changed(name: str, value: object, option: str) -> None:
    new = but(name, value, WITH_WEB)
    assert changes(WITH_WEB, new) == Reload(new, (option,), ())


@pytest.mark.parametrize(
    ("name", "value", "option"),
    [
        ("config", "other.toml", "--config"),
        ("listen", ListenAddress("127.0.0.1", 1), "--listen"),
        ("insecure_listen", True, "--insecure-listen"),
        ("grouping", Grouping(), "--by"),
        ("netns", "blue", "--netns"),
        ("max_groups", 9, "--max-groups"),
        ("flow_ports", FlowPorts.OFF, "--flow-ports"),
        ("attach", "fentry", "--attach"),
        ("user", User(7, 7), "--user"),
        ("bpf_stats", True, "--bpf-stats"),
        ("duration_s", 9.0, "--duration"),
        ("selection", Selection(laddr=ip_network("10.0.0.0/8")), "--laddr"),
        ("selection", Selection(raddr=ip_network("10.0.0.0/8")), "--raddr"),
        ("selection", Selection(lports=(1,)), "--lport"),
        ("selection", Selection(rports=(1,)), "--rport"),
        ("selection", Selection(scopes=(Scope.PUBLIC,)), "--scope"),
        ("selection", Selection(pid=7), "--pid"),
        ("selection", Selection(family=4), "--ipv4"),
        ("selection", Selection(family=6), "--ipv6"),
        ("web_config_file", "web.yml", "--web.config.file"),
    ],
)
def test_what_was_fixed_at_the_start_is_refused_and_stays(
    name: str, value: object, option: str
) -> None:
    assert changes(DEFAULTS, but(name, value)) == Reload(DEFAULTS, (), (option,))


def test_without_the_family_it_is_named_as_it_was() -> None:
    old = but("selection", Selection(family=6))
    assert changes(old, DEFAULTS) == Reload(old, (), ("--ipv6",))


def test_a_web_configuration_that_is_gone_does_not_open_the_door() -> None:
    assert changes(WITH_WEB, DEFAULTS) == Reload(WITH_WEB, (), ("--web.config.file",))


def test_some_can_change_while_others_are_refused() -> None:
    new = asked("--refresh", "1", "--idle", "5", "--max-groups", "7", "-P", "80")
    found = changes(DEFAULTS, new)
    assert found.applied == dataclasses.replace(DEFAULTS, refresh_s=1.0, idle_s=5.0)
    assert found.changed == ("--idle", "--refresh")
    assert found.refused == ("--max-groups", "--rport")


def test_every_option_either_can_change_or_cannot() -> None:
    names = {field.name for field in dataclasses.fields(ServeOptions)}
    assert CHANGEABLE.keys() | FIXED.keys() | {"selection", "places"} == names
    assert CHANGEABLE.keys().isdisjoint(FIXED)
    filters = {field.name for field in dataclasses.fields(Selection)}
    assert FIXED_FILTERS.keys() | {"family", "netns_inode"} == filters


def test_options_are_named_as_they_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        asked("--help")
    text = capsys.readouterr().out
    names = {*CHANGEABLE.values(), *FIXED.values(), *FIXED_FILTERS.values()}
    assert [name for name in names if name not in text] == []


def test_histograms_are_shown_in_one_order_and_each_once() -> None:
    assert asked("--histograms", "inflation,srtt,inflation").histograms == (
        Sample.SRTT,
        Sample.INFLATION,
    )


@pytest.mark.parametrize("words", ["", "min", "rtt,,srtt", "RTT"])
def test_a_histogram_that_there_is_not_is_refused(words: str) -> None:
    assert "is not one of srtt, rtt, network, inflation" in complaint("--histograms", words)
