"""Run the kernel tests under every kernel we support, each in its own guest.

    tests/vm/run                              # all kernels, two guests at a time
    tests/vm/run --ci                         # each test on the kernels that it needs
    tests/vm/run 5.10 6.12                    # these
    tests/vm/run 6.12 -k netlab               # only tests that match
    tests/vm/run 6.12 -- -x --tb=long         # anything else for pytest

In the guest TCPVITALS_VM is the kernel's version, so that a test may know that a feature must be
there.  Exit status 0: all passed; 1: not all; 2: this host cannot run them.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from vmguest.selection import KERNELS, TESTS, left_out

ROOT = Path(__file__).parents[3]

_FAILURE, _CANNOT = 1, 2
_PACKAGE_OF = {
    "qemu-system-x86_64": "qemu-system-x86",
    "busybox": "busybox-static",
    "depmod": "kmod",
    "zstd": "zstd",
    "xz": "xz-utils",
    "setpriv": "util-linux",
    "ip": "iproute2",
    "tc": "iproute2",
    "nft": "nftables",
    "iperf3": "iperf3",
    "tcprtt": "libbpf-tools",
}


@dataclass(frozen=True)
class Result:
    """What came of one kernel: exit status, what was printed, and the seconds it took."""

    kernel: str
    status: int
    output: str
    took_s: float

    @property
    def summary(self) -> str:
        """Return one line."""
        verdict = "passed" if self.status == 0 else f"FAILED ({self.status})"
        # In pytest's order of lines its counts are last; vmtest has its say after that.
        counts = re.findall(r"^.*\d+ (?:passed|failed|error|skipped).*$", self.output, re.MULTILINE)
        lines = counts or self.output.strip().splitlines() or ["no output"]
        said = lines[-1].strip("= ").partition(" in ")[0]
        return f"{self.kernel:6} {verdict:13} {self.took_s:6.1f} s  {said}"


def missing_packages() -> list[str]:
    """Return the Debian packages of the programs that are not here."""
    administrators = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    missing = (
        package
        for program, package in _PACKAGE_OF.items()
        # Since Debian 13 the names of libbpf-tools end in -libbpf.
        if not any(shutil.which(program + end, path=administrators) for end in ("", "-libbpf"))
    )
    return sorted(set(missing))


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; what follows -- is for pytest."""
    words = sys.argv[1:] if argv is None else argv
    split = words.index("--") if "--" in words else len(words)
    parser = argparse.ArgumentParser(
        usage="run [options] [KERNEL...] [-- PYTEST-ARG...]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("kernel", nargs="*", help=f"by default {' '.join(KERNELS)}")
    add("--ci", action="store_true", help="leave out what vmguest/selection.py says")
    add("-j", "--jobs", type=int, default=2, metavar="N", help="guests at a time (2)")
    add("-k", dest="keyword", metavar="EXPRESSION", help="only tests that match, as for pytest")
    add("--timeout", type=float, default=3600, metavar="SECONDS", help="for each kernel (3600)")
    add("--python", default=_python(), metavar="FILE", help="with pytest and tcpvitals in it")
    arguments = parser.parse_intermixed_args(words[:split])
    arguments.kernel = arguments.kernel or [*KERNELS]
    arguments.pytest = words[split + 1 :]
    if arguments.keyword:
        arguments.pytest += ["-k", arguments.keyword]
    return arguments


def _python() -> str:
    own = ROOT / ".venv/bin/python"
    return str(own) if own.exists() else sys.executable


def vmtest_command(kernel: str, arguments: argparse.Namespace) -> list[str]:
    """Return the command that runs the tests under one kernel, and ends with this process."""
    cpus = max(1, (os.cpu_count() or 1) // min(arguments.jobs, len(arguments.kernel)))
    command = ["setpriv", "--pdeathsig", "TERM", sys.executable, str(ROOT / "tests/vm/vmtest")]
    command += ["--strict", "--verbose", "--timeout", str(arguments.timeout)]
    command += ["--cpus", str(cpus), "--env", f"TCPVITALS_VM={kernel}", kernel, "--"]
    command += [arguments.python, "-m", "pytest", "-p", "no:cacheprovider"]
    if arguments.ci:
        command += left_out(kernel)
    return [*command, *arguments.pytest, TESTS]


def run_kernel(kernel: str, arguments: argparse.Namespace) -> Result:
    """Run the tests under one kernel, and wait for it."""
    start = time.monotonic()
    done = subprocess.run(
        vmtest_command(kernel, arguments),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    return Result(kernel, done.returncode, done.stdout, time.monotonic() - start)


def in_order(arguments: argparse.Namespace) -> list[str]:
    """Return the kernels with the most tests first: no CPU is idle while a long one ends alone."""
    if not arguments.ci:
        return list(arguments.kernel)
    return sorted(arguments.kernel, key=lambda kernel: len(left_out(kernel)))


def _collect(arguments: argparse.Namespace) -> int:
    """Let pytest compile the tests here: each guest would do it again, and far slower."""
    pytest = [arguments.python, "-m", "pytest", "-p", "no:cacheprovider", "--collect-only", "-q"]
    command = [*pytest, *arguments.pytest, TESTS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
    return done.returncode


def main(argv: list[str] | None = None) -> int:
    """Run the tests under all kernels asked for, and return the exit status."""
    arguments = parse(argv)
    missing = missing_packages()
    if missing or os.geteuid():
        cannot = f"missing packages: {' '.join(missing)}" if missing else "needs root"
        sys.stderr.write(f"tests/vm/run: {cannot}\n")
        return _CANNOT
    if _collect(arguments):
        return _FAILURE
    results = []
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for result in pool.map(lambda kernel: run_kernel(kernel, arguments), in_order(arguments)):
            sys.stdout.write(f"\n=== Linux {result.kernel} ===\n{result.output}")
            sys.stdout.flush()
            results.append(result)
    sys.stdout.write("\n" + "".join(f"{result.summary}\n" for result in results))
    return _FAILURE if any(result.status for result in results) else 0
