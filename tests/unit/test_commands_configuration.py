"""`--config FILE`: every option is a key, and whatever is wrong is told with its line."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcpvitals.commands import configuration
from tcpvitals.commands.main import Parser
from tcpvitals.commands.serve_options import ServeOptions, add_options, parse
from tcpvitals.errors import UsageError
from tcpvitals.kernel.netns import find_inode

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

# What a file, and a command line, can say for each long option.
EXAMPLES = {
    "listen": "[::1]:9",
    "web.config.file": "web.yml",
    "web-config-file": "web.yml",
    "insecure-listen": True,
    "allow-host": "a.example",
    "by": "role,raddr/16/32",
    "max-groups": 5,
    "idle": 1.5,
    "histograms": "srtt,network",
    "buckets": "0.001,1",
    "attach": "fentry",
    "laddr": "10.0.0.0/8",
    "saddr": "10.0.0.0/8",
    "raddr": "::1",
    "daddr": "::1",
    "lport": 80,
    "sport": 80,
    "rport": "80,443",
    "dport": "80,443",
    "ipv4": True,
    "ipv6": True,
    "netns": "blue",
    "scope": "public",
    "pid": 7,
    "flow-ports": "full",
    "max-flows": 7,
    "refresh": 0.5,
    "user": "7:8",
    "bpf-stats": True,
    "quiet": True,
    "duration": 60,
}


def parser() -> argparse.ArgumentParser:
    """Return a parser as the program has."""
    return Parser(prog="tcpvitals serve", allow_abbrev=False)


def asked(*words: str) -> ServeOptions:
    """Return what these words ask for."""
    return parse(parser(), words)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the file is."""
    return tmp_path / "tcpvitals.toml"


def read(path: Path, text: str | bytes, *words: str) -> ServeOptions:
    """Return what a file asks for, and the command line after it, but for the file's own name."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    options = asked("--config", str(path), *words)
    assert options.config == str(path)
    return parse_without_config(options)


def parse_without_config(options: ServeOptions) -> ServeOptions:
    """Return options as if there had been no file."""
    names = {name: getattr(options, name) for name in ServeOptions.__slots__}
    return ServeOptions(**(names | {"config": None}))


def refusal(path: Path, text: str | bytes, *words: str) -> str:
    """Return what is said of a file, after its name."""
    with pytest.raises(UsageError) as raised:
        read(path, text, *words)
    line = str(raised.value)
    assert line.isprintable()
    assert line.startswith(f"{path}:")
    return line.removeprefix(f"{path}:")


def in_toml(value: object) -> str:
    """Return a value as TOML has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def as_words(name: str, value: object) -> list[str]:
    """Return an option as the command line has it."""
    return [f"--{name}"] if value is True else [f"--{name}={value}"]


def test_every_long_option_is_a_key_and_nothing_else_is() -> None:
    made = parser()
    add_options(made)
    assert configuration.keys(made).keys() == EXAMPLES.keys()
    spelled = {option for action in made._actions for option in action.option_strings}  # noqa: SLF001 - all there are
    long = {option.removeprefix("--") for option in spelled if option.startswith("--")}
    assert long - EXAMPLES.keys() == {"config", "help"}


@pytest.mark.parametrize(("name", "value"), EXAMPLES.items())
def test_a_key_says_what_the_option_says(path: Path, name: str, value: object) -> None:
    wanted = asked(*as_words(name, value))
    assert wanted != asked()
    assert read(path, f"{name} = {in_toml(value)}\n") == wanted
    assert read(path, f"{name.replace('-', '_')} = {in_toml(value)}") == wanted
    assert read(path, f'"{name}" = {in_toml(value)}') == wanted


def test_no_key_asks_for_nothing(path: Path) -> None:
    assert read(path, "") == asked()
    assert read(path, "# nothing\n\n") == asked()
    assert read(path, "quiet = false\nipv4 = false\nipv6 = false\n") == asked()


def test_lists_do_for_what_is_repeated_or_has_commas(path: Path) -> None:
    text = 'allow-host = ["a", "b"]\nby = ["role", "service"]\nlport = [80, 443]\nbuckets=[1,2.5]'
    words = ["--allow-host=a", "--allow-host=b", "--by=role,service", "-p80,443", "--buckets=1,2.5"]
    assert read(path, text) == asked(*words)
    assert read(path, "by = []") == asked("--by=")


def test_a_table_is_only_another_way_to_write_dots(path: Path) -> None:
    assert read(path, '[web.config]\nfile = "w"') == asked("--web.config.file=w")
    assert read(path, '[web]\nconfig.file = "w"') == asked("--web.config.file=w")


def test_the_command_line_overrides_the_file(path: Path) -> None:
    text = 'max-groups = 5\nallow-host = ["a", "b"]\nipv4 = true\nidle = 7\nsaddr = "10.0.0.1"'
    words = ["--max-groups=6", "--allow-host=c", "-6", "-a", "::1"]
    assert read(path, text, *words) == asked(*words, "--idle=7")


def test_what_is_overridden_must_still_be_right(path: Path) -> None:
    assert refusal(path, "max-groups = 0", "--max-groups=6").startswith("1: max-groups: '0'")


def test_a_value_may_begin_with_a_dash_or_be_empty(path: Path) -> None:
    assert read(path, 'netns = "--quiet"').netns == "--quiet"
    assert read(path, 'by = ""') == asked("--by", "")


FAULTS = [
    ("max-groups = 0", "1: max-groups: '0' is not a whole number from 1 to 1000000"),
    ("max-groups = true", "1: max-groups: takes text or a number, not true or false"),
    ("max-groups = 2026-01-02", "1: max-groups: takes text or a number, not a date"),
    ("max-groups = [1]", "1: max-groups: takes one value, not a list"),
    ("max-groups = {}", "1: max-groups: takes text or a number, not a table"),
    ("max-groups = 1e2", "1: max-groups: '100.0' is not a whole number from 1 to 1000000"),
    ("lport = [[80]]", "1: lport: takes text or a number, not a list"),
    ("quiet = 1", "1: quiet: true or false, without quotes"),
    ('quiet = "true"', "1: quiet: true or false, without quotes"),
    ('by = "x"', "1: by: 'x' is not one of laddr, raddr, lport, rport, service, role, netns, "),
    ('user = "nobody-here"', "1: user: no user 'nobody-here'"),
    ('attach = "kprobe"', "1: attach: invalid choice: 'kprobe'"),
    ("refresh = nan", "1: refresh: 'nan' is not a number of seconds"),
    ("group = 5", "1: group: no such option"),
    ("# one\n\nidle = 5\nMax-Groups = 5", "4: Max-Groups: no such option"),
    ("help = true", "1: help: no such option"),
    ('config = "x"', "1: config: a file cannot name another"),
    ("a = 5", "1: a: no such option"),
    ('"-q" = true', "1: -q: no such option"),
    ('"" = 1', "1: : no such option"),
    ("idle = 5\n[section]", "2: section: no such option"),
    ("[[lists]]\nidle = 5", "1: lists: no such option"),
    ("[web]\n\n# here\nidle = 5", "4: web.idle: no such option"),
    ('idle = 5\nladdr = "::1"\nsaddr = "::1"', "3: saddr: the same as laddr"),
    ("max-groups = 5\nmax_groups = 5", "2: max_groups: the same as max-groups"),
    ("ipv4 = true\nipv6 = true", "2: ipv6: not allowed with argument -4/--ipv4"),
    ("quiet = true\nipv6 = true\nidle = 5\nipv4 = true", "4: ipv4: not allowed with argument -6"),
    ('\nlisten = "2112"', "2: listen: '2112' is not ADDRESS:PORT"),
    ('laddr = "::1"\nipv4 = true', "1: laddr: -4 contradicts the local address ::1/128"),
    ('ipv6 = true\nraddr = "10.0.0.1"', "2: raddr: -6 contradicts the remote address 10.0.0.1/32"),
    ('raddr = "::1"\nladdr = "10.0.0.1"', "2: laddr: local address 10.0.0.1/32 and remote"),
    ("idle = 5\nidle = 6", "2: not TOML: Cannot overwrite a value"),
    ("idle = 5\nidle 6", "2: not TOML: Expected '=' after a key"),
    ('idle = 5\nby = "', "2: not TOML: "),
    ("idle = 5\nby = '''\n\n", "2: not TOML: Expected \"'''\""),
    (b'idle = 5\nby = "\xff"', "2: not UTF-8"),
    ('"a\\u001bb" = 1', "1: a\\x1bb: no such option"),
    ('netns = "x"\nuser = "\\u202e"', "2: user: no user '\\u202e'"),
    ("idle = 5\nx = " + "9" * 5000, "2: a number of too many digits"),
    ("idle = 5\nmax-groups = 0x" + "f" * 5000, "2: max-groups: too large a number"),
    ("x = " + "[" * 16_000, " nested too deeply"),
    ("idle = 5\n" + ".".join("a" * 102) + " = 1", "2: a key of too many parts"),
    (".".join("a" * 101) + " = 1", "1: " + ".".join("a" * 101) + ": no such option"),
    ("#" * 16_385, " cannot be read: more than 16 KiB"),
    ("lport = [" + "1," * 257 + "]", "1: lport: more than 256 values"),
    # Statements of several lines, and what looks like other keys inside.
    (
        'by = """\\\n  role,\\\n  max-groups = 0"""\nmax-groups = 0',
        "1: by: 'max-groups = 0' is not one of",
    ),
    ('allow-host = [\n  "a", # max-groups = 0\n  "b",\n]\n\nmax-groups = 0', "6: max-groups: '0'"),
    ('allow-host = [\n  "a",\n  "b c",\n]', "1: allow-host: 'b c' is not a host name"),
    ('"\\u0069dle" = 0', "1: idle: '0' is not a number of seconds"),
    ("quiet = true\r\n\r\nidle = 0\r\n", "3: idle: '0'"),
    ('netns = "\u2028"\nidle = 0', "2: idle: '0'"),
]


@pytest.mark.parametrize(("text", "said"), FAULTS, ids=[said[:30] for _, said in FAULTS])
def test_a_fault_is_told_with_its_line_and_key(path: Path, text: str, said: str) -> None:
    assert refusal(path, text).startswith(said)


def test_a_contradiction_with_the_command_line_names_the_key_of_the_file(path: Path) -> None:
    assert refusal(path, '# filters\nladdr = "::1"', "-4").startswith("2: laddr: -4 contradicts")
    assert refusal(path, "ipv6 = true", "-a", "10.0.0.1").startswith("1: ipv6: -6 contradicts")


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ('listen = "0.0.0.0:1"', 2, "1: listen: --listen 0.0.0.0:1 can be reached from other"),
        ('quiet = true\nlisten = "192.0.2.1:1"\ninsecure-listen = true', 18, "2: listen: cannot "),
        ('\nweb.config.file = "/nowhere.yml"', 2, "2: web.config.file: cannot read /nowhere.yml: "),
        ('[web]\nconfig.file = "/nowhere.yml"', 2, "2: web.config.file: cannot read /nowhere.yml"),
        (
            'listen = "127.0.0.1:0"\nnetns = "no-such"',
            2,
            "2: netns: no network namespace 'no-such'",
        ),
        (
            'listen = "127.0.0.1:0"\npid = 4194304',
            2,
            "2: pid: there is no process 4194304",
        ),
    ],
)
def test_what_is_found_when_it_is_used_is_told_with_its_line_too(
    path: Path, text: str, status: int, said: str
) -> None:
    path.write_text(text)
    words = ("tcpvitals", "serve", "--config", str(path), "-d", "0.1")
    done = subprocess.run((sys.executable, "-m", *words), check=False, capture_output=True)
    assert done.returncode == status
    assert done.stderr.decode().startswith(f"tcpvitals: {path}:{said}")
    assert done.stderr.count(b"\n") == 1


def test_what_the_command_line_says_is_not_blamed_on_the_file(path: Path) -> None:
    path.write_text('listen = "127.0.0.1:2112"\nnetns = "host"\n')
    options = asked("--config", str(path), "--listen=127.0.0.1:1", "--netns=no-such")
    with pytest.raises(UsageError) as raised, options.places.blame("netns"):
        find_inode("no-such")
    assert str(raised.value).startswith("no network namespace 'no-such'")


@pytest.mark.parametrize("name", ["missing.toml", ".", "missing/too.toml", "a\x1b.toml"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be read: ") as raised:
        asked("--config", str(tmp_path / name))
    assert str(raised.value).isprintable()


def test_an_endless_file_is_not_read_to_its_end() -> None:
    with pytest.raises(UsageError, match=r"^/dev/zero: cannot be read: not a regular file$"):
        asked("--config", "/dev/zero")


def test_the_command_line_is_looked_at_first(path: Path) -> None:
    with pytest.raises(UsageError, match="unrecognized arguments: --nonsense"):
        asked("--config", str(path), "--nonsense")


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@settings(max_examples=300, deadline=None)
def test_whatever_a_file_holds_it_is_options_or_one_printable_line(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "anything.toml"
    path.write_bytes(data)
    try:
        asked("--config", str(path))
    except UsageError as error:
        assert str(error).isprintable()  # noqa: PT017 - that it may raise is the point


KEYS = st.sampled_from(["idle", "max-groups", "max_flows", "refresh"])
FILLING = st.lists(st.sampled_from(["", "# idle = 0", "  ", 'netns = """\nidle = 0\n"""']))


@settings(deadline=None)
@given(FILLING, KEYS, FILLING)
def test_the_line_is_right_whatever_stands_around_it(
    tmp_path_factory: pytest.TempPathFactory, before: list[str], key: str, after: list[str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "around.toml"
    once = [line for line in [*before, None, *after] if line is None or "netns" not in line]
    above = "\n".join(line for line in once[: once.index(None)] if line is not None)
    below = "\n".join(line for line in once[once.index(None) + 1 :] if line is not None)
    text = f'netns = """\nidle = 0\n"""\n{above}\n{key} = 0\n{below}'
    number = text.split("\n").index(f"{key} = 0", 3) + 1
    assert refusal(path, text).startswith(f"{number}: {key}: '0' is not a")
