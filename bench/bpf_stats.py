"""How long BPF programs ran, as the kernel itself measures it.

Owns switching the measurement on, which costs every program on the host some 20 ns a run: it is
held by a file descriptor (BPF_ENABLE_STATS, 5.8), so that it ends with this process however that
ends, and kernel.bpf_stats_enabled is never written to.
"""

from __future__ import annotations

import ctypes as c
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from errors import CannotRunError
from tcpvitals.kernel.libbpf.abi import library

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

# enum bpf_stats_type of linux/bpf.h
_RUN_TIME: Final = 0
# Where struct bpf_prog_info has the name.
_INFO_BYTES, _NAME_AT, _NAME_BYTES = 232, 64, 16


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs of one program, and the nanoseconds they took."""

    count: int
    time_ns: int

    def since(self, earlier: Runs) -> Runs:
        """The runs after an earlier moment."""
        return Runs(self.count - earlier.count, self.time_ns - earlier.time_ns)


@contextmanager
def measuring() -> Iterator[None]:
    """Have the kernel time every run of every program.

    Raises:
        CannotRunError: it will not.
    """
    fd = library().bpf_enable_stats(_RUN_TIME)
    if fd < 0:
        msg = f"the kernel will not time BPF programs: {os.strerror(-fd)}"
        raise CannotRunError(msg)
    try:
        yield
    finally:
        os.close(fd)


def runs_of(program: int) -> Runs:
    """All runs so far of a program that this process holds by that file descriptor."""
    text = Path(f"/proc/self/fdinfo/{program}").read_text()
    values = dict(re.findall(r"^(run_\w+):\s*(\d+)$", text, re.MULTILINE))
    return Runs(int(values["run_cnt"]), int(values["run_time_ns"]))


def name_of(program: int) -> str:
    """Its name, of which the kernel keeps 15 characters."""
    buffer, length = c.create_string_buffer(_INFO_BYTES), c.c_uint32(_INFO_BYTES)
    library().bpf_obj_get_info_by_fd(program, buffer, c.byref(length))
    return buffer.raw[_NAME_AT : _NAME_AT + _NAME_BYTES].partition(b"\0")[0].decode()


def held_programs() -> set[int]:
    """The file descriptors of all programs that this process holds."""
    return {int(fd.name) for fd in Path("/proc/self/fd").iterdir() if _is_program(fd)}


def _is_program(fd: Path) -> bool:
    try:
        return fd.readlink().name == "anon_inode:bpf-prog"
    except FileNotFoundError:  # the one that listed the directory
        return False


def busiest(programs: Iterable[int], during: Callable[[], object]) -> int:
    """The program that runs most meanwhile: of those attached for one purpose, the one at the hook.

    Runs before do not count: others may have the kernel time programs, too, and iterators run long.
    """
    before = {program: runs_of(program) for program in programs}
    during()
    return max(before, key=lambda program: runs_of(program).since(before[program]).count)
