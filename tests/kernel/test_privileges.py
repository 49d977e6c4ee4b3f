"""What a process that dropped its privileges is, and what it can still do: the kernel says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tcpvitals.kernel.privileges import CAP_BPF
from tcpvitals.netlab.namespace import open_namespace

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = 65534
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
# As systemd's AmbientCapabilities=; the third one is to read the checkout wherever it is.
_BOTH = "+dac_read_search,+bpf,+perfmon"
WITH_BOTH = (*AS_NOBODY, f"--inh-caps={_BOTH}", f"--ambient-caps={_BOTH}")
NONE = f"{0:016x}"
ONLY_BPF = f"{1 << CAP_BPF:016x}"
# Drops, starts a thread, and says what every thread is, what a setuid program that it runs is, and
# what came of some more lines.
SCRIPT = """
import json, subprocess, sys, threading
from pathlib import Path
from tcpvitals.kernel.privileges import drop, stay_single
from tcpvitals.kernel.users import User
stay_single()
import numpy
user, keep = json.loads(sys.argv[1]), json.loads(sys.argv[2])
drop(User(*user) if user else None, keep)
wait = threading.Event()
thread = threading.Thread(target=wait.wait)
thread.start()
def fields(text):
    return dict(line.split(":\\t", 1) for line in text.splitlines() if ":\\t" in line)
threads = [fields(task.read_text()) for task in Path("/proc/self/task").glob("*/status")]
found = {"threads": threads, "said": {}}
for name, code in json.loads(sys.argv[3]).items():
    try:
        found["said"][name] = eval(code)
    except OSError as error:
        found["said"][name] = error.strerror
wait.set()
thread.join()
print(json.dumps(found))
"""
READ = "len(Path('{}').read_text()) > 0"


def dropped(
    user: tuple[int, int] | None = None,
    keep: tuple[int, ...] = (),
    asked: dict[str, str] | None = None,
    how: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Return what a process says that has dropped its privileges."""
    done = run(user, keep, asked or {}, how)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def run(
    user: tuple[int, int] | None,
    keep: tuple[int, ...],
    asked: dict[str, str],
    how: tuple[str, ...],
) -> subprocess.CompletedProcess[str]:
    """Run the script to its end."""
    words = (json.dumps(user), json.dumps(keep), json.dumps(asked))
    return subprocess.run(
        (*how, sys.executable, "-c", SCRIPT, *words),
        check=False,
        text=True,
        capture_output=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def fields(status: str) -> dict[str, str]:
    """Return /proc/PID/status by name."""
    return dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)


@pytest.fixture(scope="module")
def other_namespace() -> Iterator[int]:
    """A process in a network namespace that is not ours."""
    with open_namespace() as namespace:
        yield namespace.pid


@pytest.mark.parametrize("user", [None, (NOBODY, NOBODY)], ids=["root", "nobody"])
@pytest.mark.parametrize(
    ("keep", "mask"), [((), NONE), ((CAP_BPF,), ONLY_BPF)], ids=["nothing", "CAP_BPF"]
)
def test_every_thread_has_what_was_kept_and_never_more(
    user: tuple[int, int] | None, keep: tuple[int, ...], mask: str, other_namespace: int
) -> None:
    files = ["/proc/self/status", "/proc/self/stat", "/proc/self/limits"]
    files += [
        f"/proc/{pid}/net/{name}" for pid in (1, other_namespace) for name in ("snmp", "netstat")
    ]
    found = dropped(user, keep, {name: READ.format(name) for name in files})
    assert len(found["threads"]) == 2
    for thread in found["threads"]:
        assert (thread["CapEff"], thread["CapPrm"]) == (mask, mask)
        assert {thread[name] for name in ("CapInh", "CapAmb", "CapBnd")} == {NONE}
        assert thread["NoNewPrivs"] == "1"
        if user:
            assert thread["Uid"].split() == [str(user[0])] * 4
            assert thread["Gid"].split() == [str(user[1])] * 4
            assert thread["Groups"].split() == []
    # The kernel's own counters need no privileges, whoever's namespace it is.
    assert found["said"] == dict.fromkeys(files, True)


def test_what_is_gone_is_gone() -> None:
    asked = {
        "back": "__import__('os').setuid(0)",
        "kill": "__import__('os').kill(1, 0)",
        "shadow": "Path('/etc/shadow').read_text()",
        "descriptors": "len(list(Path('/proc/self/fd').iterdir())) > 2",
    }
    said = dropped((NOBODY, NOBODY), (), asked)["said"]
    assert said == {
        "back": "Operation not permitted",
        "kill": "Operation not permitted",
        "shadow": "Permission denied",
        "descriptors": True,
    }


@pytest.fixture
def setuid_cat() -> Iterator[Path]:
    """A setuid root program that everybody may run; without no_new_privs it is root."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(shutil.copy("/bin/cat", folder))
        path.chmod(0o4755)
        status = subprocess.run(
            (*AS_NOBODY, path, "/proc/self/status"), check=True, text=True, capture_output=True
        ).stdout
        assert fields(status)["Uid"] == f"{NOBODY}\t0\t0\t0"
        yield path


def test_a_setuid_program_gains_nothing(setuid_cat: Path) -> None:
    code = f"subprocess.run(['{setuid_cat}', '/proc/self/status'], capture_output=True)"
    asked = {"child": f"{code}.stdout.decode()"}
    child = fields(dropped((NOBODY, NOBODY), (CAP_BPF,), asked)["said"]["child"])
    assert child["Uid"] == "\t".join([str(NOBODY)] * 4)
    assert {child[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {NONE}
    assert child["NoNewPrivs"] == "1"


def test_a_program_that_root_starts_is_no_longer_almighty() -> None:
    code = "subprocess.run(['/bin/cat', '/proc/self/status'], capture_output=True).stdout.decode()"
    child = fields(dropped(None, (CAP_BPF,), {"child": code})["said"]["child"])
    assert {child[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {NONE}


# --- started with two capabilities and no root ----------------------------------------------


def test_who_was_never_root_gives_up_the_capabilities_that_it_was_given() -> None:
    for user in (None, (NOBODY, NOBODY)):
        found = dropped(user, how=WITH_BOTH)
        assert [thread["CapEff"] for thread in found["threads"]] == [NONE, NONE]
        assert {thread["CapAmb"] for thread in found["threads"]} == {NONE}
        assert {thread["NoNewPrivs"] for thread in found["threads"]} == {"1"}
    found = dropped(keep=(CAP_BPF,), how=WITH_BOTH)
    assert [thread["CapEff"] for thread in found["threads"]] == [ONLY_BPF, ONLY_BPF]


@pytest.mark.parametrize(
    ("user", "keep", "said"),
    [
        ((1, 1), (), "cannot become user 1, group 1: Operation not permitted; start as root"),
        (None, (21,), "cannot give up privileges: capabilities: Operation not permitted"),
    ],
)
def test_what_was_not_given_can_be_neither_used_nor_kept(
    user: tuple[int, int] | None, keep: tuple[int, ...], said: str
) -> None:
    done = run(user, keep, {}, WITH_BOTH)
    assert done.returncode == 1
    assert f"PrivilegeError: {said}" in done.stderr
