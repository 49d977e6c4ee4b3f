"""`tcpvitals rtt`: bad options are one line and status 2, and nothing is loaded for them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_commands_rtt_options import asked

from tcpvitals.errors import UsageError

NOT_SECONDS = ["0", "-1", "0.009", "nan", "inf", "1e9", "ten", "", "1_0", "\u0661", "0x10", "1 s"]
NOT_PORTS = ["0", "65536", "-1", "htps", "", "80,", ",", "80,0", "8 0", "1_0", "9" * 5000, "80-"]
NOT_ADDRESSES = ["", "host", "10.0.0", "10.0.0.256", "10.0.0.1/33", "::/129", "fe80::1%eth0", "1.2"]
NOT_NUMBERS = ["0", "-1", "1.5", "many", "", "1000001", "9" * 5000, "+5", "1_0"]
NOT_GROUPINGS = ["host", "raddr,raddr", "raddr,", "lport/8", "raddr/99", "raddr/x", "raddr/24/129"]


def complaint(*words: str) -> str:
    """Return the line that these options end with."""
    with pytest.raises(UsageError) as raised:
        asked(*words)
    assert raised.value.exit_code == 2
    text = str(raised.value)
    assert text.isprintable()
    return text


@pytest.mark.parametrize("option", ["-i", "--interval", "-d", "--duration", "--idle"])
@pytest.mark.parametrize("text", NOT_SECONDS)
def test_a_time_is_a_number_of_seconds(option: str, text: str) -> None:
    assert "is not a number of seconds" in complaint(f"{option}={text}")


@pytest.mark.parametrize("text", ["-1", "-0.5", "-10"])
def test_a_negative_number_after_an_option_is_its_value(text: str) -> None:
    said = f"'{text}' is not a number of seconds, 0.01 at least (see tcpvitals rtt --help)"
    assert complaint("-i", text) == f"-i/--interval: {said}"


@pytest.mark.parametrize("option", ["--lport", "--rport", "--sport", "--dport", "-sport", "-dport"])
@pytest.mark.parametrize("text", NOT_PORTS)
def test_a_port_is_a_number_from_1_to_65535(option: str, text: str) -> None:
    assert "is not a number from 1 to 65535" in complaint(f"{option}={text}")


def test_there_may_be_64_ports_in_a_list_and_not_one_more() -> None:
    ports = ",".join(str(port) for port in range(1, 66))
    assert "65 ports in one list are too many: 64 ports and ranges at most" in complaint(
        "-p", ports
    )


@pytest.mark.parametrize("option", ["--laddr", "--raddr", "--saddr", "--daddr", "-saddr", "-daddr"])
@pytest.mark.parametrize("text", NOT_ADDRESSES)
def test_an_address_is_an_address_or_a_prefix(option: str, text: str) -> None:
    line = complaint(f"{option}={text}")
    assert f"'{text}'" in line
    assert "address" in line


def test_bits_past_a_prefix_get_a_suggestion() -> None:
    assert "did you mean 10.0.0.0/8?" in complaint("-a", "10.1.2.3/8")


@pytest.mark.parametrize("option", ["--max-groups", "--top"])
@pytest.mark.parametrize("text", NOT_NUMBERS)
def test_a_number_of_groups_is_a_whole_number_up_to_a_million(option: str, text: str) -> None:
    assert "is not a whole number from 1 to 1000000" in complaint(f"{option}={text}")


@pytest.mark.parametrize("text", NOT_GROUPINGS)
def test_a_grouping_is_of_fields_that_exist_each_once(text: str) -> None:
    assert complaint("--by", text).startswith("--by: '")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-laddr-hist", "-raddr-hist"), "by local or by remote address, not both"),
        (("--laddr-hist", "--raddr-hist"), "by local or by remote address, not both"),
        (("-b", "-B"), "--by laddr,raddr groups by each pair"),
        (("-b", "--by", "raddr"), "give one of them"),
        (("--by", "", "-B"), "give one of them"),
        (("-4", "-6"), "not allowed with argument"),
        (("-4", "-A", "::1"), "-4 contradicts the remote address ::1/128"),
        (("-6", "-a", "10.0.0.1"), "-6 contradicts the local address 10.0.0.1/32"),
        (("-6", "-a", "::ffff:10.0.0.1"), "-6 contradicts the local address 10.0.0.1/32"),
        (("-a", "10.0.0.1", "-A", "::1"), "differ in family"),
        (("--top", "1", "--all"), "not allowed with argument"),
        (("--sort", "p99"), "--sort is for groups: add --by"),
        (("--by", "", "--sort", "p99"), "--sort is for groups: add --by"),
    ],
)
def test_options_that_contradict_each_other_are_told_apart(
    words: tuple[str, ...], said: str
) -> None:
    assert said in complaint(*words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--nosuch",), "--nosuch"),
        (("-x",), "-x"),
        (("more",), "more"),
        (("--sample", "mean"), "mean"),
        (("--sort", "srtt"), "'srtt' is not one of count, min, p50, p90, p99, max, avg"),
        (("--sample",), "--sample"),
        (("--attach", "kprobe"), "kprobe"),
        (("--inter", "1"), "--inter"),
        (("-sportx", "1"), "1"),
        (("-p",), "-p"),
        (("-i", "-d"), "-i"),
    ],
)
def test_what_does_not_exist_is_named_and_help_is_pointed_to(
    words: tuple[str, ...], said: str
) -> None:
    line = complaint(*words)
    assert said in line
    assert line.endswith("(see tcpvitals rtt --help)")


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_nonsense_is_a_line_that_a_terminal_can_show(text: str) -> None:
    for option in ("--interval", "--lport", "--raddr", "--max-groups", "--sample", "--attach"):
        try:
            asked(f"{option}={text}")
        except UsageError as error:
            assert str(error).isprintable()  # noqa: PT017 - a valid value raises nothing
