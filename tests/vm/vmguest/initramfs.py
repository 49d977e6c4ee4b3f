"""What a guest starts from: busybox, the first stage, and the modules it takes to reach "/"."""

from __future__ import annotations

import io
import shutil
from pathlib import Path, PurePath

from vmguest.errors import VmtestError

_DIRECTORY, _PROGRAM, _FILE = 0o40755, 0o100755, 0o100644
# In the order they depend on each other.
_BOOT_MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay")
_STAGE1 = Path(__file__).with_name("stage1.sh")

Entries = dict[str, tuple[int, bytes]]
"""Files of an archive: {path: (mode, content)}."""


def cpio(files: Entries) -> bytes:
    """Return a newc archive (Documentation/driver-api/early-userspace/buffer-format.rst).

    Directories on the way to a file are made where the entries do not name them.
    """
    entries: Entries = {}
    for path, entry in files.items():
        for parent in list(PurePath(path).parents)[-2::-1]:
            entries.setdefault(str(parent), (_DIRECTORY, b""))
        entries[path] = entry
    out = io.BytesIO()
    for inode, (path, (mode, data)) in enumerate([*entries.items(), ("TRAILER!!!", (0, b""))], 1):
        name = path.encode() + b"\0"
        fields = [inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0]
        out.write(b"070701" + b"".join(b"%08X" % field for field in fields) + name)
        out.write(b"\0" * (-out.tell() % 4) + data)
        out.write(b"\0" * (-out.tell() % 4))
    return out.getvalue()


def load_order(modules_dep: str, wanted: tuple[str, ...]) -> list[str]:
    """Return the files of modules and of what they need, each after what it needs.

    A module that modules.dep does not know is taken to be built in.
    """
    needs = {}
    for line in modules_dep.splitlines():
        path, _, others = line.partition(":")
        needs[path] = others.split()
    path_of = {PurePath(path).name.split(".")[0].replace("-", "_"): path for path in needs}
    order: list[str] = []
    for name in wanted:
        if name in path_of:
            path = path_of[name]
            order += [one for one in [*reversed(needs[path]), path] if one not in order]
    return order


def initramfs(modules: Path) -> bytes:
    """Return the initramfs for the kernel whose modules are there, not compressed.

    Raises:
        VmtestError: the host has no busybox that runs without libraries.
    """
    order = load_order((modules / "modules.dep").read_text(), _BOOT_MODULES)
    files: Entries = dict.fromkeys(("dev", "proc", "tmp", "host", "mods"), (_DIRECTORY, b""))
    files["bin/busybox"] = (_PROGRAM, _busybox())
    files["init"] = (_PROGRAM, _STAGE1.read_bytes())
    names = "".join(f"/ko/{PurePath(path).name}\n" for path in order)
    files["modules"] = (_FILE, names.encode())
    for path in order:
        files[f"ko/{PurePath(path).name}"] = (_FILE, (modules / path).read_bytes())
    return cpio(files)


def _busybox() -> bytes:
    path = shutil.which("busybox")
    program = Path(path).read_bytes() if path else b""
    if not program or b"/ld-linux" in program:
        message = "needs a busybox without libraries: install busybox-static"
        raise VmtestError(message)
    return program
