"""Whatever a process calls itself, a terminal only draws it."""

from __future__ import annotations

import re
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from attaching import wait_until_attached
from conftest import IN_VM
from sockets_lab import Watcher, open_actor, watch

from tcpvitals.model.printable import printable
from tcpvitals.netlab.impairment import Impairment
from tcpvitals.netlab.link import SERVER_IPV4, open_link

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST = 15
EVERY_BYTE = bytes(range(1, 256))
NAMES = [
    *(EVERY_BYTE[at : at + LONGEST] for at in range(0, len(EVERY_BYTE), LONGEST)),
    b"\x1b[31mred\x1b[0m",
    b"\x1b]0;title\x07",
    b"\x1b[2J\x1b[H",
    b"two\nlines",
    b"over\rwritten",
    b"\n\n\n",
    *(name.encode()[:LONGEST] for name in ("\u202egnp.exe", "a\u200fb\u200ec", "\u2066x\u2069")),
    *(name.encode()[:LONGEST] for name in ("a\u2028b\u2029c", "\x9b31mred", "\ufeffbom")),
    "näm\N{SNOWMAN}".encode(),
    b'"quoted", \\',
    b"half \xe2\x80",
]
# How each text writes a process id and a name.
TEXTS = {
    "states": "{0:<7} {1:<10.10} ",
    "states -w": "{0:<7} {1:<16.16} ",
    "retrans": "{0:<7} {1:<15.15} ",
    "retrans --by process": "{0}/{1} ",
}
COMMANDS = [*TEXTS, *(f"{text} --json" for text in TEXTS if text != "states -w")]
if IN_VM:  # one of each kind: all at once would take minutes to load there
    COMMANDS = ["states", "retrans --json", "retrans --by process"]
PATIENCE_S = 60


@dataclass(frozen=True)
class _Seen:
    """What each command wrote, and the processes' names."""

    outputs: dict[str, Watcher]
    names: dict[int, str]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Seen]:
    """All commands at once, while processes with these names call someone who never answers."""
    folder: Path = tmp_path_factory.mktemp("out")
    with ExitStack() as stack:
        link = stack.enter_context(open_link(Impairment(loss=1)))
        actor = stack.enter_context(open_actor(link.client))
        netns = "--netns", str(link.client.pid)
        outputs = {
            name: stack.enter_context(watch(folder / str(at), *name.split(), *netns))
            for at, name in enumerate(COMMANDS)
        }
        wait_until_attached(*outputs.values())
        names = {}
        for name in NAMES:
            pid, child = actor.fork()
            child.do("rename", name=name.decode("latin-1"))
            child.do("call", host=SERVER_IPV4, port=9)
            names[pid] = printable(name)
        _wait_until_retransmitted(link.client.pid, len(names))
        for watcher in outputs.values():
            assert watcher.end() == 0, watcher.errors()
        yield _Seen(outputs, names)


def _wait_until_retransmitted(pid: int, calls: int) -> None:
    """Until the kernel says so of the SYN of each call in a process's network namespace."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        lines = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
        retransmitted = [int(line.split()[6], 16) for line in lines]
        if len(retransmitted) == calls and min(retransmitted) > 0:
            return
        assert time.monotonic() < deadline, lines
        time.sleep(0.1)


@pytest.mark.parametrize("command", COMMANDS)
def test_no_byte_of_a_name_is_anything_but_a_character_on_a_terminal(
    seen: _Seen, command: str
) -> None:
    """No control character but line ends, no mark that turns the reading direction."""
    watcher = seen.outputs[command]
    assert not {char for char in watcher.text() if not char.isprintable()} - {"\n"}
    assert watcher.errors() == ""


@pytest.mark.parametrize("command", [name for name in COMMANDS if "json" not in name])
def test_each_process_has_its_lines_and_no_name_makes_one_more(seen: _Seen, command: str) -> None:
    """Of each process one change of state, one group, and at least one retransmission."""
    _, *rows = seen.outputs[command].text().rstrip("\n").splitlines()
    found = {
        pid: sum(TEXTS[command].format(pid, name) in row for row in rows)
        for pid, name in seen.names.items()
    }
    assert len(found) == len(NAMES) == 32
    if command == "retrans":
        assert min(found.values()) >= 1
    else:
        assert set(found.values()) == {1}
    others = [row for row in rows if not re.search(r"\b(?:" + "|".join(map(str, found)) + ")", row)]
    assert len(rows) - len(others) == sum(found.values())
    # On a busy host a retransmission may go unseen, and the totals say so under the table.
    last_words = [row.split()[0] for row in others if IN_VM or "unattributed" not in row]
    assert last_words == (["total"] if "--by" in command else [])


@pytest.mark.parametrize("command", [name for name in COMMANDS if "json" in name])
def test_each_process_has_its_json_objects(seen: _Seen, command: str) -> None:
    records = seen.outputs[command].records()
    found = [
        record["key"]["process"] if "key" in record else f"{record['pid']}/{record['comm']}"
        for record in records
    ]
    assert set(found) == {f"{pid}/{name}" for pid, name in seen.names.items()}
