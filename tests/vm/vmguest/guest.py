"""Runs one command in one guest: qemu, its output brought here, its end.

The guest and this process talk through a directory that both see (9p): `out`, `err`, `boot` once
the guest is up, and last of all `exit`.  Everything of a run lives in that directory; one that was
left behind by a killed vmtest is removed by the next.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from vmguest.errors import COMPLAINED, FAILED_ITSELF, TIMED_OUT, VmtestError, log
from vmguest.initramfs import initramfs

if TYPE_CHECKING:
    from collections.abc import Iterator

# Loaded once the root is up; a kernel that has one built in is fine too.
_TEST_MODULES = (
    *("veth", "dummy", "ifb", "tun", "sch_netem", "sch_fq", "sch_fq_codel", "sch_tbf"),
    *("sch_ingress", "cls_bpf", "tcp_diag", "tcp_bbr"),
)
# Mostly for speed: without KVM, what a kernel does by way of hardening at boot and on each
# allocation costs seconds (9p on 5.10 clears a buffer per call).
_KERNEL_PARAMETERS = (
    "console=ttyS0 quiet loglevel=5 panic=-1 oops=panic nokaslr mitigations=off "
    "tsc=reliable no_timer_check audit=0 apparmor=0 random.trust_cpu=on "
    "rcupdate.rcu_expedited=1 init_on_alloc=0"
)
_CARRIED_OVER = re.compile(r"PATH|HOME|LANG|VIRTUAL_ENV|PYTHON.*")
_BROKEN = re.compile(
    r"(?:WARNING: .* at |BUG: (?!soft lockup|workqueue lockup)|Oops: |"
    r"general protection fault|Kernel panic).*"
)
_CONSOLE_TAIL = 4000  # characters
_PREFIX = "vmtest-"
_BEING_MADE_S = 60
_EMULATED_SLOWER = 50  # about; than a CPU that runs the guest's instructions itself
_BOOTS = 3  # of a guest that ends before its command starts


@dataclass(frozen=True)
class Run:
    """One command under one kernel.

    Attributes:
        kernel: the unpacked kernel's directory, named by its release.
        command: the command and its arguments, run in this process's working directory.
        environment: what the command finds in its environment besides what is carried over.
        writable: directories of the host that the guest may write to.
        timeout_s: when all of a boot must have ended, in seconds; boot_timeout_s: to come up.
        strict: whether a complaint of the kernel turns success into status 123.
    """

    kernel: Path
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    writable: list[str] = field(default_factory=list)
    timeout_s: float = 600
    boot_timeout_s: float = 240
    cpus: int = 2
    memory: str = "2G"
    accelerator: str = "tcg"
    qemu: str = "qemu-system-x86_64"
    append: str = ""
    console: Path | None = None
    strict: bool = False
    verbose: bool = False


def run(wanted: Run) -> int:
    """Start a guest, pass on the command's output, and return its status, or one of our own.

    A guest that ends before its command starts is booted again: emulated, a kernel sometimes dies
    while it patches its own code.  Once the command has started, nothing is repeated.

    Raises:
        VmtestError: no guest can be started on this host.
    """
    outcome, console = _boot(wanted)
    for number in range(2, _BOOTS + 1):
        if not outcome.died_at_boot:
            break
        sys.stderr.write(console[-_CONSOLE_TAIL:])
        why = complaint_in(console) or "no complaint on its console"
        log(f"{wanted.kernel.name} ended before its command started ({why})")
        log(f"boot {number} of at most {_BOOTS}")
        outcome, console = _boot(wanted)
    return judge(outcome, console, strict=wanted.strict)


def _boot(wanted: Run) -> tuple[Outcome, str]:
    """Run one guest to its end, and return how it ended and what its console shows."""
    with _run_directory() as shared:
        _fill(shared, wanted)
        console = wanted.console or shared / "console"
        start = time.monotonic()
        try:
            with subprocess.Popen(qemu_command(wanted, shared, console)) as qemu:
                try:
                    outcome = _follow(qemu, shared, wanted)
                finally:
                    qemu.kill()
        except FileNotFoundError as error:
            message = f"{error.filename} is not installed"
            raise VmtestError(message) from error
        if wanted.verbose:
            total = time.monotonic() - start
            log(f"{wanted.kernel.name}: up after {outcome.boot_s:.1f} s, all took {total:.1f} s")
        return outcome, console.read_text(errors="replace") if console.exists() else ""


@dataclass
class Outcome:
    """How the command ended (None: it did not), when it began, and why we stopped waiting.

    `qemu_status` is None while qemu runs; 0 is a guest that ended itself.
    """

    status: int | None = None
    boot_s: float = float("nan")
    gave_up: str = ""
    qemu_status: int | None = None

    @property
    def started(self) -> bool:
        """Whether the command has started."""
        return not math.isnan(self.boot_s)

    @property
    def died_at_boot(self) -> bool:
        """Whether the guest ended itself before its command started; qemu did not fail."""
        return self.qemu_status == 0 and not self.started


def judge(outcome: Outcome, console: str, *, strict: bool) -> int:
    """Say what went wrong, and return the exit status."""
    complaint = complaint_in(console)
    if complaint or outcome.status is None:
        sys.stderr.write(console[-_CONSOLE_TAIL:])
    if complaint:
        log(f"the kernel complained: {complaint}")
    if outcome.status is None:
        log(outcome.gave_up or "the guest ended without an exit status")
        return TIMED_OUT if outcome.gave_up else FAILED_ITSELF
    return COMPLAINED if strict and complaint and not outcome.status else outcome.status


def complaint_in(console: str) -> str | None:
    """Return the first line by which a kernel says that it is broken.

    Stalls and soft lockups do not count: an emulated CPU on a busy host is late by its nature.
    """
    found = _BROKEN.search(console)
    return found[0] if found else None


# --- the directory that both see ------------------------------------------------------------------


@contextlib.contextmanager
def _run_directory() -> Iterator[Path]:
    sweep(Path(tempfile.gettempdir()), time.time())
    with contextlib.ExitStack() as stack:
        path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=_PREFIX)))
        lock = stack.enter_context((path / "lock").open("w"))
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield path


def sweep(temporary: Path, now: float) -> None:
    """Remove what killed runs left: whose lock nobody holds, and that are not just being made."""
    for left in temporary.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), (left / "lock").open() as lock:
            if now - left.stat().st_mtime < _BEING_MADE_S:
                continue
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)


def _fill(shared: Path, wanted: Run) -> None:
    modules = wanted.kernel / "usr/lib/modules" / wanted.kernel.name
    (shared / "initramfs").write_bytes(initramfs(modules))
    shutil.copy(Path(__file__).with_name("stage2.sh"), shared / "stage2")
    (shared / "command").write_text(command_script(wanted))
    slower = _EMULATED_SLOWER if wanted.accelerator.startswith("tcg") else 1
    modules_wanted = shlex.quote(" ".join(_TEST_MODULES))
    variables = {"modules": modules_wanted, "rw": len(wanted.writable), "slower": slower}
    lines = [f"{name}={value}\n" for name, value in variables.items()]
    (shared / "vars").write_text("".join(lines))
    for number, path in enumerate(wanted.writable):
        (shared / f"rw{number}").write_text(os.path.realpath(path))
    for stream in ("out", "err"):
        (shared / stream).touch()


def command_script(wanted: Run) -> str:
    """Return the shell script that runs the command in the guest as it would run here."""
    carried = {name: value for name, value in os.environ.items() if _CARRIED_OVER.fullmatch(name)}
    environment = carried | {"VMTEST_KERNEL": wanted.kernel.name} | wanted.environment
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(environment.items())]
    return "\n".join([*lines, f"cd {shlex.quote(str(Path.cwd()))}", shlex.join(wanted.command), ""])


# --- qemu -----------------------------------------------------------------------------------------


def qemu_command(wanted: Run, shared: Path, console: Path) -> list[str]:
    """Return the command line of a guest that ends with this process, however that ends."""
    command = ["setpriv", "--pdeathsig", "KILL", wanted.qemu]
    command += ["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]
    command += ["-machine", "q35", "-accel", wanted.accelerator]
    command += ["-cpu", "max" if wanted.accelerator.startswith("tcg") else "host"]
    command += ["-smp", str(wanted.cpus), "-m", wanted.memory]
    command += ["-kernel", str(wanted.kernel / "vmlinux"), "-initrd", str(shared / "initramfs")]
    command += ["-append", f"{_KERNEL_PARAMETERS} {wanted.append}"]
    command += ["-chardev", f"file,id=console,path={_quoted(console)}"]
    command += ["-serial", "chardev:console"]
    command += _share("host", "/", "on") + _share("mods", wanted.kernel, "on")
    command += _share("run", shared, "off")
    for number, path in enumerate(wanted.writable):
        command += _share(f"rw{number}", os.path.realpath(path), "off")
    return command


def _share(tag: str, path: str | Path, readonly: str) -> list[str]:
    source = f"local,id={tag},path={_quoted(path)},security_model=none,multidevs=remap"
    device = f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"
    return ["-fsdev", f"{source},readonly={readonly}", "-device", device]


def _quoted(path: str | Path) -> str:
    """Return a path as qemu's option parser wants it."""
    return str(path).replace(",", ",,")


def _follow(qemu: subprocess.Popen[bytes], shared: Path, wanted: Run) -> Outcome:
    """Copy the guest's output here until its exit status has come, or it is time to give up."""
    start = time.monotonic()
    outcome = Outcome()
    with (shared / "out").open("rb") as out, (shared / "err").open("rb") as err:
        while True:
            passed = time.monotonic() - start
            # First: what the guest wrote before it ended is read below.
            outcome.qemu_status = qemu.poll()
            if not outcome.started and (shared / "boot").exists():
                outcome.boot_s = passed
            outcome.gave_up = _too_late(outcome, passed, wanted)
            over = outcome.qemu_status is not None or bool(outcome.gave_up)
            # Written last of all: with it, the output is complete.
            outcome.status = _exit_status(shared)
            _pass_on(out, sys.stdout.buffer)
            _pass_on(err, sys.stderr.buffer)
            if over or outcome.status is not None:
                return outcome
            time.sleep(0.02)


def _too_late(outcome: Outcome, passed: float, wanted: Run) -> str:
    if passed > wanted.timeout_s:
        return f"no end after {wanted.timeout_s:g} s"
    if passed > wanted.boot_timeout_s and not outcome.started:
        return f"the guest was not up after {wanted.boot_timeout_s:g} s"
    return ""


def _exit_status(shared: Path) -> int | None:
    with contextlib.suppress(FileNotFoundError):
        text = (shared / "exit").read_text()
        return int(text) if text.endswith("\n") else None
    return None


def _pass_on(source: IO[bytes], sink: IO[bytes]) -> None:
    while data := source.read(1 << 20):
        sink.write(data)
    sink.flush()
