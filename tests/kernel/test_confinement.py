"""What root without capabilities can still do once it is confined: read all, change nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from tcpvitals.kernel.libbpf import landlock

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = """
import json, os, socket, sys
from pathlib import Path
from tcpvitals.kernel.privileges import confine, drop, stay_single
stay_single()
drop(None)
found = {"confined": confine() if json.loads(sys.argv[1]) else None}
def connect():
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
def memory():
    fd = os.memfd_create("x")
    os.write(fd, b"pem")
    return Path(f"/proc/self/fd/{fd}").read_text()
file = Path(sys.argv[2])
for name, do in {
    "write": lambda: file.write_text("changed"),
    "create": lambda: file.with_name("new").touch(),
    "connect": connect,
    "execute": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "null": lambda: Path("/dev/null").write_text("x"),
    "read": file.read_text,
    "remove": file.unlink,
    "memory": memory,
    "other": lambda: len(Path(f"/proc/{os.getppid()}/net/snmp").read_text()) > 0,
    "cgroup": lambda: len(Path(f"/proc/{os.getppid()}/cgroup").read_text()) > 0,
}.items():
    try:
        do()
        found[name] = "done"
    except OSError as error:
        found[name] = os.strerror(error.errno)
print(json.dumps(found))
"""
CHANGES = ("write", "create", "remove", "execute")
STILL = ("null", "read", "memory", "other", "cgroup")


def attempts(tmp_path: Path, *, confined: bool) -> dict[str, object]:
    """Return what came of each attempt."""
    file = tmp_path / "file"
    file.write_text("as it was")
    done = subprocess.run(
        (sys.executable, "-c", SCRIPT, json.dumps(confined), str(file)),
        check=True,
        text=True,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    found: dict[str, object] = json.loads(done.stdout)
    return found


def has_landlock() -> int:
    """Return the version of this kernel's Landlock, 0 for none."""
    try:
        return landlock.version()
    except OSError:
        return 0


def test_root_without_capabilities_still_changes_its_files(tmp_path: Path) -> None:
    found = attempts(tmp_path, confined=False)
    assert {found[name] for name in (*CHANGES, *STILL, "connect")} == {"done"}


def test_confined_it_reads_what_it_read_and_changes_nothing(tmp_path: Path) -> None:
    found = attempts(tmp_path, confined=True)
    version = has_landlock()
    assert found["confined"] is bool(version)
    assert {found[name] for name in STILL} == {"done"}
    refused = "Permission denied" if version else "done"
    assert {found[name] for name in CHANGES} == {refused}
    assert found["connect"] == ("Permission denied" if version >= 4 else "done")
    if version:
        assert (tmp_path / "file").read_text() == "as it was"
