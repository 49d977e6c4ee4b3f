"""Network namespaces that vanish with the process that made them, however it ends.

`ip netns add` leaves a bind mount behind when its maker is killed.  Here a namespace has no name:
it lives as long as a holder process does, which hears from the kernel when its parent dies
(PR_SET_PDEATHSIG), of SIGKILL too, and then kills whatever runs inside.  With the last process go
the namespace's devices, both ends of a veth pair among them.

The kernel sends that signal when the *thread* that started a process ends: make namespaces in a
thread that lives as long as they should.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tcpvitals.netlab.errors import NetlabError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Twice over /proc, for what was forked meanwhile.  A parent that died before setpriv was heard
# cannot send its signal any more: then $PPID has changed.
_HOLDER = """
end() {
    trap "" TERM
    for turn in 1 2; do
        for process in /proc/[0-9]*; do
            if [ "$process/ns/net" -ef "/proc/$$/ns/net" ] && [ "$process" != "/proc/$$" ]; then
                kill -KILL "${process#/proc/}"
            fi
        done
    done
    wait
}
trap end EXIT
trap exit TERM
ip link set lo up || exit
echo up
exec >/dev/null 2>&1
[ "$PPID" = "$1" ] || exit
sleep "$2" &
wait
"""


class Namespace:
    """One network namespace with its loopback device up.  Made by `open_namespace`.

    Attributes:
        pid: the holder's process id; `ip link ... netns PID` takes it.
        path: what `nsenter --net=` takes.
        inode: the number that the kernel shows for it; reused soon after the namespace is gone.
    """

    def __init__(self, holder: subprocess.Popen[str]) -> None:
        """Take over a holder process that is already inside the namespace."""
        self._holder = holder
        self._children: list[subprocess.Popen[Any]] = []
        self.pid = holder.pid
        self.path = f"/proc/{self.pid}/ns/net"
        self.inode = Path(self.path).stat().st_ino

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return `argv` as a command that runs inside, and dies with the thread that starts it.

        The process id stays that of the started process: every wrapper replaces itself.
        """
        return ["setpriv", "--pdeathsig", "KILL", "nsenter", f"--net={self.path}", "--", *argv]

    def run(
        self, argv: Sequence[str], *, stdin: str = "", timeout_s: float = 30, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside to its end, with `stdin` as its input, and capture its output.

        Raises:
            NetlabError: it could not be started, took longer than `timeout_s` seconds, or (with
                `check`) ended with a status other than 0.
        """
        try:
            done = subprocess.run(
                self.command(argv),
                input=stdin,
                capture_output=True,
                text=True,
                timeout=timeout_s,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            message = f"in a network namespace: {error}"
            raise NetlabError(message) from error
        if check and done.returncode:
            message = f"{' '.join(argv)} ended with {done.returncode}: {done.stderr.strip()}"
            raise NetlabError(message)
        return done

    def popen(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[str]:  # noqa: ANN401 Popen's own
        """Start a command inside; `options` go to subprocess.Popen, in text mode.

        It is killed when the namespace is closed, or when this process ends in any way.

        Raises:
            OSError: setpriv is missing.
        """
        child = subprocess.Popen(self.command(argv), text=True, **options)
        self._children.append(child)
        return child

    def set_sysctl(self, name: str, value: object) -> None:
        """Write one net.* setting, which concerns this namespace only.

        Raises:
            NetlabError: there is no such setting, or it refuses the value.
        """
        path = "/proc/sys/" + name.replace(".", "/")
        self.run(["sh", "-c", 'echo "$1" > "$2"', "sh", str(value), path])

    def counters(self) -> dict[str, int]:
        """Return the kernel's counters of this namespace, named as `nstat` names them.

        They come from /proc/PID/net/snmp, netstat and snmp6: TcpRetransSegs, TcpExtTCPTimeouts ...
        """
        net = Path(f"/proc/{self.pid}/net")
        found: dict[str, int] = {}
        for name in ("snmp", "netstat"):
            lines = (net / name).read_text().splitlines()
            for names, values in zip(lines[::2], lines[1::2], strict=True):
                prefix, *fields = names.replace(":", "").split()
                pairs = zip(fields, values.split()[1:], strict=True)
                found |= {prefix + field: int(value) for field, value in pairs}
        for line in (net / "snmp6").read_text().splitlines():
            field, value = line.split()
            found[field] = int(value)
        return found

    def close(self) -> None:
        """End everything inside, daemons included; the kernel then removes the namespace."""
        self._holder.terminate()
        try:
            self._holder.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._holder.kill()
            self._holder.wait()
        for child in self._children:
            child.kill()
            child.wait()


@contextlib.contextmanager
def open_namespace(*, lifetime_s: float = 600) -> Iterator[Namespace]:
    """Make a network namespace, with nothing but loopback, for at most `lifetime_s` seconds.

    Raises:
        NetlabError: this process may not (it takes CAP_SYS_ADMIN), or a tool is missing.
    """
    namespace = Namespace(_start_holder(lifetime_s))
    try:
        yield namespace
    finally:
        namespace.close()


def _start_holder(lifetime_s: float) -> subprocess.Popen[str]:
    script = ["sh", "-c", _HOLDER, "netlab", str(os.getpid()), str(lifetime_s)]
    try:
        holder = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", "unshare", "--net", "--", *script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the test: it still needs its namespaces to end
        )
    except OSError as error:
        message = f"cannot make a network namespace: {error}"
        raise NetlabError(message) from error
    if holder.stdout and holder.stderr:
        with holder.stdout as out, holder.stderr as err:
            if out.readline() != "up\n":
                holder.kill()
                holder.wait()
                message = f"cannot make a network namespace: {err.read().strip()}"
                raise NetlabError(message)
    return holder
