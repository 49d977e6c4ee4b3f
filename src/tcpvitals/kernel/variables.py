"""The global variables of loaded programs."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from tcpvitals.kernel.btf import Layouts

_SECTION: Final = ".bss"
_PAGE: Final = 4096

_Item = TypeVar("_Item", bound=np.generic)


class Variables:
    """What the programs and user space both read and write, as it changes."""

    def __init__(self, layouts: Layouts, fd: int) -> None:
        """Map the section of variables; `fd` is that of its map."""
        self._layouts, self._memory = layouts, mmap.mmap(fd, _PAGE)

    def number(self, name: str) -> npt.NDArray[np.uint32]:
        """A variable of type __u32: uint32[1]."""
        return self._at(name, np.dtype(np.uint32))

    def record(self, name: str) -> npt.NDArray[np.void]:
        """A variable of the struct that has its name: one record."""
        return self._at(name, self._layouts.struct(name))

    def _at(self, name: str, kind: np.dtype[_Item]) -> npt.NDArray[_Item]:
        at = self._layouts.variable_offset(_SECTION, name)
        return np.frombuffer(self._memory, kind, 1, at)
