"""Run a command as root under a real Debian kernel, in qemu.

    vmtest [options] KERNEL -- COMMAND [ARG...]
    vmtest 5.10 -- python3 -m pytest tests/        # newest 5.10.x Debian has
    vmtest 6.12.117+deb13-amd64 -- ./check.sh      # one exact kernel
    vmtest --list                                  # what the archive offers

The guest sees the host's root filesystem (9p, read-only) under a tmpfs overlay: same paths, same
Python, same tools; what it writes is thrown away, except under directories named with --rw.  The
current directory and PATH, HOME, LANG, VIRTUAL_ENV and PYTHON* are carried over.  The command's
standard output, standard error and exit status come back as they are; standard input is empty.
Statuses of vmtest itself: 123 the kernel complained (--strict), 124 time-out, 125 no guest, or it
died.

Kernels are fetched with apt (a private configuration, the host's is only read), unpacked under
$VMTEST_CACHE (~/.cache/vmtest) and never installed.  Needs root, qemu-system-x86, busybox-static,
kmod, zstd, xz-utils; on hosts whose apt knows no Debian archive, VMTEST_MIRROR says where one is.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from vmguest import guest, kernels
from vmguest.errors import FAILED_ITSELF, VmtestError, log


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        usage="vmtest [options] KERNEL -- COMMAND [ARG...]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("kernel", nargs="?", help="5.10, 6.12.117, 6.1.0-56-amd64, ...")
    add("command", nargs="*")
    add("--list", action="store_true", help="list the kernels there are")
    add("--update", action="store_true", help="refresh the package lists first")
    add("--rw", action="append", default=[], metavar="DIR", help="the guest may write there")
    add("--env", action="append", default=[], metavar="NAME[=VALUE]")
    add("--cpus", type=int, default=2)
    add("--memory", default="2G")
    add("--timeout", type=float, default=600, metavar="SECONDS", help="for all of it (600)")
    add("--boot-timeout", type=float, default=240, metavar="SECONDS", help="to come up (240)")
    # Not kvm wherever /dev/kvm can be opened: nested in another machine it may be there and broken.
    accelerator = os.environ.get("VMTEST_ACCEL", "tcg")
    add("--accel", default=accelerator, help="kvm, or tcg (default; also $VMTEST_ACCEL)")
    add("--qemu", default="qemu-system-x86_64")
    add("--append", default="", metavar="WORDS", help="more kernel parameters")
    add("--console", type=Path, metavar="FILE", help="keep the kernel's console here")
    add("--strict", action="store_true", help="fail with 123 if the kernel complained")
    add("-v", "--verbose", action="store_true", help="say how long it took")
    arguments = parser.parse_args(argv)
    if not (arguments.kernel or arguments.list or arguments.update):
        parser.error("which kernel?")
    return arguments


def environment(items: list[str]) -> dict[str, str]:
    """Read NAME=VALUE, or NAME for what this process has."""
    pairs = (item.partition("=") for item in items)
    return {name: value if equals else os.environ.get(name, "") for name, equals, value in pairs}


def _act(arguments: argparse.Namespace) -> int:
    if arguments.update:
        kernels.update()
    if arguments.list:
        for image in kernels.available():
            sys.stdout.write(f"{image.release} {image.version}\n")
    if arguments.list or not arguments.kernel:
        return 0
    kernel = kernels.find_kernel(arguments.kernel)
    if not arguments.command:
        sys.stdout.write(f"{kernel}\n")
        return 0
    if os.geteuid():
        message = "needs root: the guest sees this host's files with our rights"
        raise VmtestError(message)
    return guest.run(_run_of(kernel, arguments))


def _run_of(kernel: Path, arguments: argparse.Namespace) -> guest.Run:
    return guest.Run(
        kernel,
        arguments.command,
        environment(arguments.env),
        arguments.rw,
        timeout_s=arguments.timeout,
        boot_timeout_s=arguments.boot_timeout,
        cpus=arguments.cpus,
        memory=arguments.memory,
        accelerator=arguments.accel,
        qemu=arguments.qemu,
        append=arguments.append,
        console=arguments.console,
        strict=arguments.strict,
        verbose=arguments.verbose,
    )


def main() -> int:
    """Do what the command line says, and return the exit status."""
    arguments = parse()
    for number in (signal.SIGTERM, signal.SIGHUP):  # to clean up then, too
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        return _act(arguments)
    except VmtestError as error:
        log(str(error))
        return FAILED_ITSELF
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
