"""Kernels, fetched once and kept unpacked under a cache directory; never installed.

The cache is $VMTEST_CACHE, by default ~/.cache/vmtest.  A version such as 6.12 stays the release
that it was when first asked for, until --update.
"""

from __future__ import annotations

import contextlib
import fcntl
import lzma
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from vmguest.archive import Archive, Image, run
from vmguest.errors import VmtestError, log

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CACHE = Path(os.environ.get("VMTEST_CACHE", "~/.cache/vmtest")).expanduser()

# The parts of lib/modules/*/kernel worth unpacking (a tenth of the whole).
_MODULE_DIRECTORIES = (
    *("net", "fs/9p", "fs/netfs", "fs/fscache", "fs/overlayfs", "lib", "crypto", "arch"),
    *("drivers/virtio", "drivers/char", "drivers/net/*.ko*"),
    *("drivers/net/bonding", "drivers/net/ipvlan", "drivers/net/vxlan*"),
)


def pick(releases: Sequence[str], wanted: str) -> str | None:
    """Return the last of the releases that is `wanted`, or of that version."""
    if wanted in releases:
        return wanted
    starts = (f"{wanted}.", f"{wanted}-", f"{wanted}+")
    matching = [release for release in releases if release.startswith(starts)]
    return matching[-1] if matching else None


def available() -> list[Image]:
    """Return the kernels of the archive, as of the last update."""
    return Archive(CACHE / "apt").images()


def update() -> None:
    """Fetch the package lists, and let versions mean the newest release again."""
    Archive(CACHE / "apt").update()
    shutil.rmtree(CACHE / "alias", ignore_errors=True)


def find_kernel(wanted: str) -> Path:
    """Return the directory of an unpacked kernel: vmlinux and usr/lib/modules.

    Raises:
        VmtestError: the archive has no such kernel, or it cannot be fetched.
    """
    with _locked_cache():
        alias = CACHE / "alias" / wanted
        if alias.exists():
            wanted = alias.read_text()
        kernel = CACHE / "kernels" / wanted
        if (kernel / "vmlinux").exists():
            return kernel
        try:
            archive = Archive(CACHE / "apt")
        except VmtestError:
            cached = pick(_cached_releases(), wanted)
            if cached is None:
                raise
            return CACHE / "kernels" / cached
        image = _find_image(archive, wanted)
        kernel = CACHE / "kernels" / image.release
        if not (kernel / "vmlinux").exists():
            log(f"fetching {' '.join(image.packages)} {image.version}")
            _fetch(archive, image, kernel)
        if wanted != image.release:
            alias.parent.mkdir(exist_ok=True)
            alias.write_text(image.release)
        return kernel


def _cached_releases() -> list[str]:
    """Return the releases that need no archive, oldest first."""
    complete = [path.parent.name for path in (CACHE / "kernels").glob("*/vmlinux")]
    return sorted(complete, key=lambda release: [int(n) for n in re.findall(r"\d+", release)])


@contextlib.contextmanager
def _locked_cache() -> Iterator[None]:
    """Keep two runs from fetching one kernel."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _find_image(archive: Archive, wanted: str) -> Image:
    for attempt in ("with the lists there are", "with new ones"):
        images = {image.release: image for image in archive.images()}
        release = pick([*images], wanted)
        if release:
            return images[release]
        if attempt == "with the lists there are":
            archive.update()
    message = f"Debian has no kernel {wanted!r}; see vmtest --list"
    raise VmtestError(message)


def _fetch(archive: Archive, image: Image, kernel: Path) -> None:
    shutil.rmtree(kernel, ignore_errors=True)
    kernel.mkdir(parents=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as temporary:
        for package in archive.download(image, Path(temporary)):
            _unpack(package, kernel)
    if (kernel / "lib").exists():  # merged /usr, as the host's
        (kernel / "usr").mkdir(exist_ok=True)
        (kernel / "lib").rename(kernel / "usr/lib")
    modules = kernel / "usr/lib/modules" / image.release
    _prepare_modules(kernel, modules)
    candidates = (kernel / f"boot/vmlinuz-{image.release}", modules / "vmlinuz")
    packed = next((path for path in candidates if path.exists()), None)
    if packed is None:
        message = f"the packages of {image.release} hold no vmlinuz"
        raise VmtestError(message)
    # Last, and at once: where it is, everything is.
    elf = vmlinux(packed.read_bytes())
    (kernel / "vmlinux.new").write_bytes(elf)
    (kernel / "vmlinux.new").rename(kernel / "vmlinux")


def _unpack(package: Path, kernel: Path) -> None:
    wanted = ["./boot/vmlinuz-*", "./boot/config-*"]
    for modules in ("./lib/modules/*", "./usr/lib/modules/*"):
        wanted += [f"{modules}/vmlinuz", f"{modules}/config", f"{modules}/modules.*"]
        wanted += [f"{modules}/kernel/{directory}" for directory in _MODULE_DIRECTORIES]
    unpack = ["tar", "-x", "-C", str(kernel), "--wildcards", "--no-wildcards-match-slash"]
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE
    ) as archive:
        # tar fails for patterns without a match, of which there always are some.
        subprocess.run(
            [*unpack, *wanted], stdin=archive.stdout, stderr=subprocess.DEVNULL, check=False
        )
    if archive.returncode:
        message = f"cannot unpack {package.name}"
        raise VmtestError(message)


def _prepare_modules(kernel: Path, modules: Path) -> None:
    """Decompress the modules here once: every guest would be far slower at it."""
    packed = [*modules.rglob("*.ko.xz")]
    if packed:
        run("xz", "-d", *packed)
    (kernel / "lib").symlink_to("usr/lib")  # where depmod -b looks
    run("depmod", "-b", kernel, modules.name)
    (kernel / "lib").unlink()


def vmlinux(bzimage: bytes) -> bytes:
    """Return the ELF inside a bzImage (Documentation/arch/x86/boot.rst).

    Qemu starts it directly (PVH), which spares the guest the decompression: seconds without KVM.

    Raises:
        VmtestError: it is no bzImage, or compressed in another way than Debian does.
    """
    if bzimage[0x202:0x206] != b"HdrS":
        message = "not a bzImage: no header at 0x202"
        raise VmtestError(message)
    sectors = bzimage[0x1F1] or 4
    offset, length = (int.from_bytes(bzimage[at : at + 4], "little") for at in (0x248, 0x24C))
    start = (sectors + 1) * 512 + offset
    elf = _decompress(bzimage[start : start + length])
    if not elf.startswith(b"\x7fELF"):
        message = "the bzImage holds no ELF, or one that is damaged"
        raise VmtestError(message)
    return elf


def _unxz(payload: bytes) -> bytes:
    xz = lzma.LZMADecompressor()  # unlike lzma.decompress, it bears the size that follows
    try:
        data = xz.decompress(payload)
    except lzma.LZMAError as error:
        message = f"the kernel in the bzImage is damaged: {error}"
        raise VmtestError(message) from error
    if not xz.eof:
        message = "the kernel in the bzImage is damaged: it ends too early"
        raise VmtestError(message)
    return data


def _decompress(payload: bytes) -> bytes:
    if payload.startswith(b"\xfd7zXZ"):
        return _unxz(payload)
    if payload.startswith(b"\x28\xb5\x2f\xfd"):  # zstd, then 4 bytes of size
        zstd = ["zstd", "-dcq"]
        return subprocess.run(zstd, input=payload[:-4], capture_output=True, check=False).stdout
    message = "the kernel in the bzImage is compressed neither by xz nor by zstd"
    raise VmtestError(message)
