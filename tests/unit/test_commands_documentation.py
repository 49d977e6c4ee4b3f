"""Every exit code and every option is documented, and nothing is that does not exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tcpvitals import errors
from tcpvitals.commands.main import dispatch

ROOT = Path(__file__).parents[2]
# Success, and a second Ctrl-C, are no errors of ours.
OTHER_STATUSES = {0, 130}


def statuses() -> set[int]:
    """Return every status that an error can end with."""
    found = (value for value in vars(errors).values() if isinstance(value, type))
    return {kind.exit_code for kind in found if issubclass(kind, errors.TcpvitalsError)}


def options(command: str, capsys: pytest.CaptureFixture[str]) -> set[str]:
    """Return the long options that a command's help lists."""
    with pytest.raises(SystemExit):
        dispatch([command, "--help"])
    _, _, listed = capsys.readouterr().out.partition("options:\n")
    lines = re.findall(r"^  (-.*?)(?:  |$)", listed, re.MULTILINE)
    return {option for line in lines for option in re.findall(r"--[\w.-]+", line)}


def test_the_readme_lists_exactly_the_exit_codes_that_there_are() -> None:
    rows = re.findall(r"^\| (\d+) \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    codes = [int(row) for row in rows]
    assert codes == sorted(set(codes))
    assert set(codes) == statuses() | OTHER_STATUSES


def test_every_way_to_fail_has_a_status_of_its_own() -> None:
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.TcpvitalsError)
    ]
    assert len(statuses()) == len(kinds)
    assert statuses().isdisjoint(OTHER_STATUSES)


@pytest.mark.parametrize(
    ("command", "at_least"),
    [("rtt", 32), ("retrans", 24), ("states", 16), ("serve", 30), ("check", 2)],
)
def test_every_option_is_in_the_documentation(
    command: str, at_least: int, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "docs/commands.md").read_text()
    found = options(command, capsys)
    assert len(found) >= at_least
    documented = set(re.findall(r"--[a-z][\w.-]*", text))
    assert found - {"--help"} - documented == set()


def test_no_option_is_documented_that_does_not_exist(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs/commands.md").read_text()
    known = {"--version"}.union(
        *(options(c, capsys) for c in ("rtt", "retrans", "states", "serve", "check"))
    )
    documented = set(re.findall(r"(?<![\w-])--[a-z][\w.-]*", text))
    assert documented - known == set()
