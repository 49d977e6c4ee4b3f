"""What stops us on a real host: status, one line that says what to do, and nothing else."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from importlib import resources
from typing import TYPE_CHECKING

import pytest

from tcpvitals.kernel.facts import Question

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = (sys.executable, "-m", "tcpvitals")
RTT = ("rtt", "-d", "0.1")

# An ordinary user, who may read the checkout wherever it is.
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
MAY_READ = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
BOTH = "+dac_read_search,+bpf,+perfmon"
# Kernels before 5.11 charge maps to it, and raising it takes a third capability.
ENOUGH_MEMLOCK = ("sh", "-c", 'ulimit -l unlimited 2> /dev/null || :; exec "$@"', "sh")


def without(*capabilities: str) -> tuple[str, ...]:
    """Return how to run as root without some capabilities."""
    return ("setpriv", "--bounding-set=" + ",".join(f"-{name}" for name in capabilities))


def after(script: str) -> tuple[str, ...]:
    """Return how to run after a shell's script, in a mount namespace of its own."""
    return ("unshare", "--mount", "sh", "-c", f'set -e\n{script}\nexec "$@"', "sh")


HIDE_LIBBPF = """
for file in $(/sbin/ldconfig -p | sed -n 's/^.*libbpf\\.so\\.1 .*=> //p'); do
    mount --bind /dev/null "$(readlink -f "$file")"
done
"""
GRANT = "run as root (sudo), or grant CAP_BPF and CAP_PERFMON"
FAILURES: dict[str, tuple[tuple[str, ...], int, str]] = {
    # The kernel decides about these.
    "an ordinary user": (
        (*NOBODY, *MAY_READ),
        10,
        f"needs CAP_BPF and CAP_PERFMON: without CAP_BPF and CAP_PERFMON; {GRANT}",
    ),
    "root without CAP_BPF": (
        without("sys_admin", "bpf"),
        10,
        f"needs CAP_BPF and CAP_PERFMON: without CAP_BPF; {GRANT}",
    ),
    "root without CAP_PERFMON": (
        without("sys_admin", "perfmon"),
        10,
        f"needs CAP_BPF and CAP_PERFMON: without CAP_PERFMON; {GRANT}",
    ),
    "root of a user namespace": (
        ("unshare", "--user", "--map-root-user"),
        10,
        "only in a user namespace of its own; run outside the container's user namespace",
    ),
    # These are the same whatever the kernel.
    "a kernel that says it is 2.6": (("setarch", "--uname-2.6"), 11, "run on a newer kernel"),
    "BTF hidden": (
        after("mount -t tmpfs none /sys/kernel/btf"),
        12,
        "no /sys/kernel/btf/vmlinux; use a kernel built with CONFIG_DEBUG_INFO_BTF=y",
    ),
    "no proc": (
        after("umount --lazy /proc"),
        19,
        "needs proc file system on /proc: no /proc/self/status; mount -t proc proc /proc",
    ),
    "no sysfs": (after("mount -t tmpfs none /sys"), 12, "mount sysfs on /sys"),
    "CPUs hidden": (after("mount -t tmpfs none /sys/devices"), 17, "mount sysfs on /sys"),
    "libbpf absent": (
        after(HIDE_LIBBPF),
        14,
        "file too short); apt-get install libbpf1",
    ),
}


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run to the end."""
    return subprocess.run(command, check=False, text=True, capture_output=True, timeout=60)


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """Return the line that was all that the program had to say."""
    assert done.stdout == ""
    assert done.stderr.startswith("tcpvitals: ")
    assert done.stderr.count("\n") == 1
    assert done.stderr.isascii()
    return done.stderr.removeprefix("tcpvitals: ").removesuffix("\n")


# Starting Python takes seconds on an emulated CPU.
@pytest.fixture(params=list(FAILURES)[:4] if "TCPVITALS_VM" in os.environ else FAILURES)
def failure(request: pytest.FixtureRequest) -> tuple[tuple[str, ...], int, str]:
    """Return how to run into a failure, its status, and what is to be said."""
    return FAILURES[request.param]


def test_rtt_ends_with_a_status_and_a_line_that_says_what_to_do(
    failure: tuple[tuple[str, ...], int, str],
) -> None:
    how, status, said = failure
    done = run(*how, *PROGRAM, *RTT)
    assert done.returncode == status, done.stderr
    assert said in complaint(done)


def test_check_shows_all_answers_and_ends_as_rtt_would(
    failure: tuple[tuple[str, ...], int, str],
) -> None:
    how, status, said = failure
    done = run(*how, *PROGRAM, "check")
    assert (done.returncode, done.stderr) == (status, "")
    *lines, empty, last = done.stdout.splitlines()
    assert [q for q in Question if not any(f" {q} " in line for line in lines)] == []
    assert empty == ""
    assert last.startswith("tcpvitals cannot run here: ")
    assert said in last


def test_bad_options_are_found_first_whatever_the_host_lacks() -> None:
    done = run(*NOBODY, *MAY_READ, *PROGRAM, "rtt", "-i", "0")
    assert done.returncode == 2
    assert "is not a number of seconds" in complaint(done)


@pytest.mark.parametrize("command", [("check",), (*RTT, "--by", "service,role,raddr,netns")])
def test_the_two_capabilities_are_enough(command: tuple[str, ...]) -> None:
    granted = (f"--inh-caps={BOTH}", f"--ambient-caps={BOTH}")
    done = run(*ENOUGH_MEMLOCK, *NOBODY, *granted, *PROGRAM, *command)
    assert (done.returncode, done.stderr) == (0, "")


# --- hooks -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attach", "question"),
    [("fentry", "hook fentry/tcp_rcv_established"), ("tp_btf", "hook tp_btf/tcp_probe")],
)
def test_a_forced_hook_runs_exactly_where_check_says_that_it_is_there(
    attach: str, question: str
) -> None:
    found = json.loads(run(*PROGRAM, "check", "--json").stdout)
    [fact] = [fact for fact in found["facts"] if fact["question"] == question]
    done = run(*PROGRAM, *RTT, "--attach", attach)
    if fact["answer"] == "yes":
        assert (done.returncode, done.stderr) == (0, "")
        return
    assert done.returncode == 16
    section = question.removeprefix("hook ")
    assert complaint(done) == f"cannot use {section}: {fact['seen']}; see tcpvitals check"


def test_a_hook_that_nobody_has_is_bad_usage() -> None:
    done = run(*PROGRAM, *RTT, "--attach", "kprobe")
    assert done.returncode == 2
    assert "choose from" in complaint(done)


# --- resources ---------------------------------------------------------------------------

# A memory cgroup of its own, of whichever version the host has, removed afterwards.
IN_LITTLE_MEMORY = """
set -e
mount -t tmpfs none /mnt
mkdir /mnt/cgroup
mount -t cgroup2 none /mnt/cgroup
limit=memory.max
if grep -qw memory /mnt/cgroup/cgroup.controllers; then
    echo +memory > /mnt/cgroup/cgroup.subtree_control
else
    mount -t cgroup -o memory none /mnt/cgroup
    limit=memory.limit_in_bytes
fi
mine=/mnt/cgroup/tcpvitals-test-$$
mkdir $mine
echo 268435456 > $mine/$limit
echo $$ > $mine/cgroup.procs
status=0
"$@" || status=$?
echo $$ > /mnt/cgroup/cgroup.procs
rmdir $mine
exit $status
"""


def test_a_kernel_without_memory_for_the_groups_names_the_option_that_lowers_them() -> None:
    wrapper = ("unshare", "--mount", "sh", "-c", IN_LITTLE_MEMORY, "sh")
    done = run(*wrapper, *PROGRAM, *RTT, "--by", "raddr", "--max-groups", "1000000")
    assert done.returncode == 17, done.stderr
    line = complaint(done)
    assert "no room in the kernel" in line
    assert "lower --max-groups" in line
    assert run(*wrapper, *PROGRAM, *RTT, "--by", "raddr", "--max-groups", "1000").returncode == 0


@pytest.mark.parametrize("files", [8, 24, 60, 100])
@pytest.mark.parametrize("command", ["rtt", "states", "serve"])
def test_too_few_open_files_are_told_before_anything_fails_for_want_of_them(
    command: str, files: int
) -> None:
    done = run("prlimit", f"--nofile={files}", *PROGRAM, command, "-d", "0.1")
    assert done.returncode == 17, done.stderr
    assert complaint(done).startswith("needs room for 128 more open files: ")
    assert "ulimit -n 1024" in complaint(done)


# --- the verifier ------------------------------------------------------------------------

SABOTAGED = """
import sys
from pathlib import Path
from types import SimpleNamespace
from tcpvitals.commands import main
from tcpvitals.kernel import loaded
folder = Path(sys.argv.pop(1))
loaded.resources = SimpleNamespace(files=lambda _: folder)
main.run()
"""
# r1 = *(u64 *)(r9 + 0), where r9 was never set.
READS_R9 = struct.pack("<BBhi", 0x79, 0x91, 0, 0)


def sabotaged(image: bytes) -> bytes:
    """Return an object whose sampling programs begin with an instruction that must be refused."""
    (sections_at,) = struct.unpack_from("<Q", image, 0x28)
    size, count, names = struct.unpack_from("<HHH", image, 0x3A)
    # Of each section: where its name is, and where its contents are.
    sections = [
        struct.unpack_from("<I20xQ", image, sections_at + size * number) for number in range(count)
    ]
    changed = bytearray(image)
    for name, at in sections:
        text = image[sections[names][1] + name :].split(b"\0", 1)[0]
        if text in {b"fentry/tcp_rcv_established", b"tp_btf/tcp_probe"}:
            changed[at : at + len(READS_R9)] = READS_R9
    assert changed != image
    return bytes(changed)


def test_what_the_verifier_refuses_is_told_in_its_own_words_and_its_log_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / "bpf").mkdir()
    for name in ("tcpvitals.bpf.o", "tcpvitals.v2.bpf.o"):
        image = resources.files("tcpvitals").joinpath("bpf", name).read_bytes()
        (tmp_path / "bpf" / name).write_bytes(sabotaged(image))
    done = run(sys.executable, "-c", SABOTAGED, str(tmp_path), *RTT)
    assert done.returncode == 15, done.stderr
    [log] = tmp_path.glob("*.log")
    line = complaint(done)
    assert line.startswith("the kernel refused program rtt_")
    assert line.endswith(f": R9 !read_ok (whole log: {log})")
    assert "processed " in log.read_text()
