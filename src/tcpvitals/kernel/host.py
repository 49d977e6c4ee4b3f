"""Facts that can be read: the kernel's version, BTF, lockdown, our capabilities, libbpf.

Reads files and asks libbpf its version; loads nothing (that is `probe`), decides nothing (`plan`).
"""

from __future__ import annotations

import errno
import os
import re
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tcpvitals.errors import LibbpfError
from tcpvitals.kernel import libbpf
from tcpvitals.kernel.facts import Answer, Fact, Question

OLDEST_KERNEL: Final = (5, 8)
# Raw tracepoints were first guarded in 6.1 or 6.2, depending on who built it; nothing in BTF shows
# it, and without it we merely use atomics.
GUARDED_SINCE: Final = (6, 2)
# Programs at tracepoints ran with preemption off until then.
PREEMPTIBLE_SINCE: Final = (7, 0)
# A socket's end takes an element of its storage apart while the iterator may read it.
STORAGE_ITERATOR_UNTIL: Final = (7, 0)
# Map memory counted against RLIMIT_MEMLOCK until 5.11 moved it to memory cgroups.
MEMLOCK_UNTIL: Final = (5, 11)
_MEMLOCK_ENOUGH: Final = 256 << 20
# `serve` opens some 60 at most before it answers.  libbpf, short of them, tries something else and
# tells how that failed.
_OPEN_FILES_ENOUGH: Final = 128

# linux/capability.h
_CAP_SYS_ADMIN: Final = 21
_CAP_PERFMON: Final = 38
_CAP_BPF: Final = 39


@dataclass(frozen=True, slots=True)
class Paths:
    """Where the kernel says things; tests have others."""

    btf: Path = Path("/sys/kernel/btf/vmlinux")
    lockdown: Path = Path("/sys/kernel/security/lockdown")
    status: Path = Path("/proc/self/status")
    uid_map: Path = Path("/proc/self/uid_map")
    open_files: Path = Path("/proc/self/fd")
    possible_cpus: Path = Path("/sys/devices/system/cpu/possible")


def release_version(release: str) -> tuple[int, int] | None:
    """The first two numbers of a kernel release; None if it does not begin with them."""
    match = re.match(r"(\d+)\.(\d+)", release)
    return (int(match[1]), int(match[2])) if match else None


def since(release: str, first: tuple[int, int]) -> Answer:
    """Whether a release is at least that old a version."""
    version = release_version(release)
    if version is None:
        return Answer.UNKNOWN
    return Answer.YES if version >= first else Answer.NO


def kernel_fact(release: str) -> Fact:
    """Ring buffer, iterators and CAP_BPF all came with 5.8."""
    return Fact(since(release, OLDEST_KERNEL), release, "run on a newer kernel")


def guard_fact(release: str) -> Fact:
    """A program that is interrupted by itself on the same CPU is skipped, and the skip counted."""
    return Fact(since(release, GUARDED_SINCE), release)


def btf_fact(path: Path) -> Fact:
    """Whether the kernel was built with CONFIG_DEBUG_INFO_BTF."""
    if os.access(path, os.R_OK):
        return Fact(Answer.YES, str(path))
    remedy = "use a kernel built with CONFIG_DEBUG_INFO_BTF=y, as Debian's and Ubuntu's are"
    if path.parent.parent.is_dir():
        return Fact(Answer.NO, f"no {path}", remedy)
    return Fact(Answer.NO, f"no {path.parent.parent}", "mount sysfs on /sys")


def lockdown_fact(path: Path) -> Fact:
    """Our reads go through BTF pointers, which even lockdown=confidentiality allows."""
    try:
        modes = path.read_text()
    except OSError as error:
        return Fact(Answer.UNKNOWN, f"{path}: {error.strerror}")
    mode = re.search(r"\[(\w+)\]", modes)
    if mode is None:
        return Fact(Answer.UNKNOWN, modes.strip())
    answer = Answer.YES if mode[1] in {"none", "integrity"} else Answer.UNKNOWN
    return Fact(answer, f"lockdown={mode[1]}", "boot with lockdown=integrity or none")


def proc_fact(path: Path) -> Fact:
    """Namespaces, their names and the kernel's own counters are read there."""
    if path.exists():
        return Fact(Answer.YES, "mounted")
    return Fact(Answer.NO, f"no {path}", "mount -t proc proc /proc")


def privileges_fact(paths: Paths) -> Fact:
    """Loading wants CAP_BPF and CAP_PERFMON, in the initial user namespace."""
    remedy = "run as root (sudo), or grant CAP_BPF and CAP_PERFMON"
    try:
        effective = int(re.findall(r"CapEff:\s*(\w+)", paths.status.read_text())[0], 16)
        mapped = paths.uid_map.read_text().split()
    except (OSError, IndexError) as error:
        return Fact(Answer.UNKNOWN, str(error), remedy)
    missing = _missing_capabilities(effective)
    if missing:
        return Fact(Answer.NO, f"without {' and '.join(missing)}", remedy)
    if mapped != ["0", "0", "4294967295"]:
        outside = "run outside the container's user namespace"
        return Fact(Answer.NO, "only in a user namespace of its own", outside)
    return Fact(Answer.YES, "both")


def _missing_capabilities(effective: int) -> list[str]:
    if effective >> _CAP_SYS_ADMIN & 1:
        return []
    wanted = (("CAP_BPF", _CAP_BPF), ("CAP_PERFMON", _CAP_PERFMON))
    return [name for name, bit in wanted if not effective >> bit & 1]


def memlock_fact(release: str) -> Fact:
    """Kernels before 5.11 charge maps to RLIMIT_MEMLOCK; we raise it where we may."""
    if since(release, MEMLOCK_UNTIL) is Answer.YES:
        return Fact(Answer.YES, "maps are charged to the memory cgroup")
    soft, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if _is_enough(soft) or _is_enough(hard) or _raise_memlock():
        return Fact(Answer.YES, "RLIMIT_MEMLOCK is, or can be made, large enough")
    seen = f"RLIMIT_MEMLOCK is {hard >> 10} KiB, maps need up to {_MEMLOCK_ENOUGH >> 20} MiB"
    return Fact(Answer.NO, seen, "ulimit -l unlimited, or LimitMEMLOCK=infinity in systemd")


def _is_enough(limit: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= _MEMLOCK_ENOUGH


def _raise_memlock() -> bool:
    try:
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.setrlimit(resource.RLIMIT_MEMLOCK, unlimited)
    except (OSError, ValueError):
        return False
    return True


def open_files_fact(path: Path) -> Fact:
    """Each map, program and link is one."""
    remedy = "ulimit -n 1024, or LimitNOFILE=1024 in systemd"
    try:
        left = files_left(path)
    except OSError as error:
        return Fact(Answer.UNKNOWN, f"{path}: {error.strerror}", remedy)
    answer = Answer.YES if left >= _OPEN_FILES_ENOUGH else Answer.NO
    return Fact(answer, f"{left} may be opened", remedy)


def files_left(path: Path) -> int:
    """How many more files this process may open, where its own are listed.

    Raises:
        OSError: nobody can tell.
    """
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        return max(0, allowed - sum(1 for _ in path.iterdir()))
    except OSError as error:
        if error.errno != errno.EMFILE:
            raise
        return 0


def libbpf_fact() -> Fact:
    """The library comes from the distribution."""
    try:
        return Fact(Answer.YES, f"libbpf {libbpf.version()}")
    except LibbpfError as error:
        return Fact(Answer.NO, str(error), "apt-get install libbpf1")


def highest_cpu(path: Path) -> int:
    """One more than the highest CPU number there can be; `path` holds a list like 0-3,8.

    0 where it cannot be read; counting the CPUs that are online would be too few.
    """
    try:
        return int(re.findall(r"\d+", path.read_text())[-1]) + 1
    except (OSError, IndexError):
        return 0


def readable_facts(release: str, paths: Paths) -> dict[Question, Fact]:
    """All facts that need no loading."""
    return {
        Question.PROC: proc_fact(paths.status),
        Question.KERNEL: kernel_fact(release),
        Question.BTF: btf_fact(paths.btf),
        Question.LIBBPF: libbpf_fact(),
        Question.PRIVILEGES: privileges_fact(paths),
        Question.LOCKDOWN: lockdown_fact(paths.lockdown),
        Question.MEMLOCK: memlock_fact(release),
        Question.OPEN_FILES: open_files_fact(paths.open_files),
        Question.GUARD: guard_fact(release),
    }
