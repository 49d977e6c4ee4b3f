"""Asks Debian's archive for kernels, with an apt of its own: the host's is only read.

The host's apt says where the archive is.  A host that is no Debian may name it in $VMTEST_MIRROR.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from vmguest.errors import VmtestError

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_SUITES = [
    *(("debian", suite) for suite in ("bullseye", "bookworm", "bookworm-backports")),
    *(("debian", suite) for suite in ("trixie", "trixie-backports", "sid")),
    *(("debian-security", f"{suite}-security") for suite in ("bullseye", "bookworm", "trixie")),
]
_CONFIGURATION = """\
Dir::Etc::sourcelist "{here}/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "{here}/lists";
Dir::Cache "{here}/cache";
Acquire::Languages "none";
APT::Sandbox::User "root";
"""


@dataclass(frozen=True)
class Image:
    """A kernel in the archive: its release, its package version, the packages that hold it."""

    release: str
    version: str
    packages: tuple[str, ...]


def run(*argv: str | Path, env: dict[str, str] | None = None, stdin: str = "") -> str:
    """Run a program of the host and return its standard output.

    Raises:
        VmtestError: it is missing, or it failed; its own words precede ours on standard error.
    """
    try:
        done = subprocess.run(
            argv, input=stdin, stdout=subprocess.PIPE, text=True, check=True, env=env
        )
    except FileNotFoundError as error:
        message = f"{argv[0]} is not installed"
        raise VmtestError(message) from error
    except subprocess.CalledProcessError as error:
        message = f"{argv[0]} ended with status {error.returncode}"
        raise VmtestError(message) from error
    return done.stdout


def debian_base(uris: list[str]) -> str | None:
    """Return the first of apt's addresses that is Debian's archive, without the archive's name."""
    for uri in uris:
        if uri.rstrip("/").endswith("/debian"):
            return uri.rstrip("/").removesuffix("/debian")
    return None


def mirror() -> str:
    """Return where Debian's archives are, such as file:/mirror with a debian/ in it.

    Raises:
        VmtestError: neither the host's apt nor $VMTEST_MIRROR knows.
    """
    named = os.environ.get("VMTEST_MIRROR")
    if named:
        return named.rstrip("/").removesuffix("/debian")
    # Without --no-release-info, a host that has never run apt-get update knows nothing.
    targets = run("apt-get", "indextargets", "--no-release-info", "--format", "$(REPO_URI)")
    base = debian_base(targets.split())
    if base is None:
        message = (
            "cannot fetch kernels: apt on this host knows no Debian archive; "
            "set VMTEST_MIRROR to the address above its debian/"
        )
        raise VmtestError(message)
    return base


class Archive:
    """Debian's archive, seen through lists and sources under one directory."""

    def __init__(self, here: Path) -> None:
        """Write apt's configuration.

        Raises:
            VmtestError: no archive is known, or no key to check it with.
        """
        base = mirror()
        if not _KEYRING.exists():
            message = "cannot check Debian's signatures: install debian-archive-keyring"
            raise VmtestError(message)
        for part in ("lists/partial", "cache/archives/partial"):
            (here / part).mkdir(parents=True, exist_ok=True)
        sources = [
            f"deb [signed-by={_KEYRING}] {base}/{archive} {suite} main\n"
            for archive, suite in _SUITES
        ]
        (here / "sources.list").write_text("".join(sources))
        (here / "apt.conf").write_text(_CONFIGURATION.format(here=here))
        self._env = dict(os.environ, APT_CONFIG=str(here / "apt.conf"), LC_ALL="C")

    def update(self) -> None:
        """Fetch the package lists."""
        sys.stderr.write(run("apt-get", "-qq", "update", env=self._env))

    def images(self) -> list[Image]:
        """Return the kernels of the package lists, oldest first."""
        pattern = r"^linux-(image|base|binary|modules)-[0-9].*amd64$"
        found = run("apt-cache", "search", "--names-only", pattern, env=self._env)
        there = {line.split()[0] for line in found.splitlines()}
        wanted = sorted(name for name in there if is_wanted(name))
        if not wanted:
            return []
        text = run("apt-cache", "--no-all-versions", "show", *wanted, env=self._env)
        images = {image.release: image for image in parse_images(text, there)}
        lines = "".join(f"{image.version} {image.release}\n" for image in images.values())
        # sort -V is how versions compare, which Python's library does not know.
        return [images[line.split()[1]] for line in run("sort", "-V", stdin=lines).splitlines()]

    def download(self, image: Image, into: Path) -> list[Path]:
        """Fetch a kernel's packages into a directory and return their files."""
        apt = ["apt-get", "-qq", "download", *image.packages]
        done = subprocess.run(apt, env=self._env, cwd=into, stdout=sys.stderr, check=False)
        if done.returncode:
            message = f"cannot download {' '.join(image.packages)}"
            raise VmtestError(message)
        return sorted(into.glob("*.deb"))


def is_wanted(package: str) -> bool:
    """Tell whether a package is a kernel that serves as a guest: cloud kernels have no 9p."""
    return bool(re.match(r"linux-image-\d+\.\d+\.\d", package)) and not re.search(
        r"-(rt|cloud)-", package
    )


def parse_images(text: str, there: set[str]) -> list[Image]:
    """Read what `apt-cache show` printed; `there` are the packages that the archive has.

    From 6.19 on a kernel is in three packages, and a superseded one loses all but an empty image.
    """
    images = []
    for paragraph in text.strip().split("\n\n"):
        field = dict(re.findall(r"^([A-Z][\w-]*): (.*)$", paragraph, re.MULTILINE))
        parts = re.findall(r"(linux-(?:base|binary|modules)-\S+)", field.get("Depends", ""))
        if not any("modules" in part for part in parts):
            parts = [field["Package"]]
        if there.issuperset(parts):
            release = field["Package"].removeprefix("linux-image-")
            images.append(Image(release, field["Version"], tuple(parts)))
    return images
