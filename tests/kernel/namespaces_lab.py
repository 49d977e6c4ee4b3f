"""Network namespaces that come, talk and go: a program, and what starts it.

Each namespace is one process, which ends with it.  In some of them segments are lost: the
receiver's filter drops all that comes until the sender has retransmitted.  Before a process ends it
reports its namespace's inode number and the kernel's own count of retransmitted segments.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
TCP_INFO, UNACKED_AT, TOTAL_RETRANS_AT = 11, 24, 100
TIME_WAIT = "06"
PATIENCE_S = 60


def _tcp_info(sender: socket.socket, at: int) -> int:
    return int(struct.unpack_from("I", sender.getsockopt(socket.IPPROTO_TCP, TCP_INFO, 104), at)[0])


def _until(sender: socket.socket, at: int, least: int, most: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not least <= _tcp_info(sender, at) <= most and time.monotonic() < deadline:
        time.sleep(0.001)


def _drop_all(receiver: socket.socket) -> None:
    code = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))  # ret 0
    program = struct.pack("HxxxxxxQ", 1, ctypes.addressof(code))
    receiver.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


def _talk(*, lossy: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = socket.create_connection(listener.getsockname())
        receiver = listener.accept()[0]
    sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sender.sendall(b"a")
    if lossy:
        _until(sender, UNACKED_AT, 0, 0)
        _drop_all(receiver)
        sender.sendall(b"b")
        sender.sendall(b"c")
        _until(sender, TOTAL_RETRANS_AT, 1, 1 << 30)
        receiver.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
    _until(sender, UNACKED_AT, 0, 0)
    sender.close()
    receiver.close()


def _until_closed() -> None:
    """Until nothing but TIME_WAIT is left: no FIN can be retransmitted after that."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        lines = Path("/proc/self/net/tcp").read_text().splitlines()[1:]
        if {line.split()[3] for line in lines} <= {TIME_WAIT}:
            return
        time.sleep(0.005)


def _retransmitted() -> int:
    names, values = (
        line.split()
        for line in Path("/proc/self/net/snmp").read_text().splitlines()
        if "Tcp:" in line
    )
    return int(values[names.index("RetransSegs")])


def _own_inode() -> int:
    return Path("/proc/self/ns/net").stat().st_ino


def _unshare(wanted: int = 0) -> int:
    """Move to a new namespace, which has the wanted inode number if there is one.

    The kernel gives the lowest free number: lower ones are kept until it is the wanted one's turn.
    """
    library, lower = ctypes.CDLL(None, use_errno=True), []
    while True:
        if library.unshare(CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "unshare")
        inode = _own_inode()
        if wanted in {0, inode}:
            break
        if inode < wanted:
            lower.append(os.open("/proc/self/ns/net", os.O_RDONLY))
        else:
            time.sleep(0.01)  # the one before is destroyed in the background
    for descriptor in lower:
        os.close(descriptor)
    return inode


def live(losses: int, wanted: int = 0) -> tuple[int, int]:
    """Move to a new namespace and talk there; its inode number and what was retransmitted."""
    inode = _unshare(wanted)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
    for lossy in (True,) * losses or (False,):
        _talk(lossy=lossy)
    _until_closed()
    return inode, _retransmitted()


def _worker(count: int, lossy_every: int, pause_s: float, out: int) -> None:
    for number in range(count):
        lossy = bool(lossy_every) and number % lossy_every == 0
        child = os.fork()
        if not child:
            os.write(out, json.dumps(live(int(lossy))).encode() + b"\n")
            os._exit(0)
        os.waitpid(child, 0)
        time.sleep(pause_s)


def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int)
    parser.add_argument("--lossy-every", type=int, default=0)
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--pause", type=float, default=0)
    parser.add_argument("--hold", type=int, help="one, with this inode number (0: any)")
    options = parser.parse_args()
    if options.hold is not None:
        os.write(1, json.dumps(live(options.count, options.hold)).encode() + b"\n")
        sys.stdin.read()
        return
    children = []
    for _ in range(options.at_once):
        child = os.fork()
        if not child:
            each = options.count // options.at_once
            _worker(each, options.lossy_every, options.pause, sys.stdout.fileno())
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)


_COMMAND = ["setpriv", "--pdeathsig", "KILL", sys.executable, __file__]


def churn(count: int, *, lossy_every: int = 0, at_once: int = 4) -> list[tuple[int, int]]:
    """Let `count` namespaces come and go; each one's inode number and retransmitted segments.

    Of those that each of `at_once` processes starts, every so many lose.
    """
    options = ["--lossy-every", str(lossy_every), "--at-once", str(at_once)]
    done = subprocess.run(
        [*_COMMAND, str(count), *options], stdout=subprocess.PIPE, text=True, check=True
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == count
    return [(inode, again) for inode, again in found]


@contextlib.contextmanager
def held(losses: int, inode: int = 0) -> Iterator[tuple[int, int]]:
    """Keep a namespace in which so many connections lost something; its inode number (any if 0).

    Yields that number, and how many segments the kernel has retransmitted there.
    """
    command = [*_COMMAND, str(losses), "--hold", str(inode)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            found, again = json.loads(process.stdout.readline())
            yield found, again
        finally:
            process.kill()


if __name__ == "__main__":
    _main()
