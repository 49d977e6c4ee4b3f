"""Compiles the baseline, the empty program and load generators, for one run of the benchmark."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from errors import CannotRunError

if TYPE_CHECKING:
    from collections.abc import Sequence

_HERE: Final = Path(__file__).parent
_TYPES: Final = _HERE.parent / "src" / "tcpvitals" / "bpf"


@dataclass(frozen=True, slots=True)
class Built:
    """What was compiled: BPF objects' bytes, and the paths of programs."""

    seed: bytes
    classic: bytes
    empty: bytes
    pingpong: Path
    crowd: Path


def build(into: Path) -> Built:
    """Compile all there is to compile into a directory.

    Raises:
        CannotRunError: a compiler is missing or refuses.
    """
    return Built(
        seed=_bpf("seed", into),
        classic=_bpf("classic", into),
        empty=_bpf("empty", into),
        pingpong=_load("pingpong", into),
        crowd=_load("crowd", into),
    )


def _load(name: str, into: Path) -> Path:
    out = into / name
    _run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", out, _HERE / f"{name}.c"])
    return out


def _bpf(name: str, into: Path) -> bytes:
    """Compile with the flags of the shipped objects: src/tcpvitals/bpf/Makefile."""
    headers: Path = Path("/usr/include") / _run(["gcc", "-print-multiarch"]).strip()
    flags = ["-O2", "-g", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter"]
    target: list[str | Path] = ["-target", "bpf", "-mcpu=v3", "-I", _TYPES, "-I", headers]
    out = into / f"{name}.bpf.o"
    _run(["clang-19", *flags, *target, "-c", _HERE / f"{name}.bpf.c", "-o", out])
    return out.read_bytes()


def _run(command: Sequence[str | Path]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except FileNotFoundError as error:
        msg = f"{command[0]} is not installed; the benchmark compiles its baseline"
        raise CannotRunError(msg) from error
    except subprocess.CalledProcessError as error:
        msg = f"{command[0]} refused {command[-1]}: {error.stderr.strip().splitlines()[0]}"
        raise CannotRunError(msg) from error
    return done.stdout
