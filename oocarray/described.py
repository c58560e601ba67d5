"""What an array is and where: its node, its mode, what its file says of it; it reads no element."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from .errors import ClosedError
from .lazy.expr import KeptNode, MemoryNode, Node, StoredNode
from .pages.mapping import Window
from .storage.layout import Strided
from .storage.naming import path_of
from .storage.opened import Opened
from .storage.tiled import Tiled

__all__ = ["Described"]


class Described:
    """Base of `oocarray.Array`: a node, how it is open, and what is told of it."""

    __slots__ = ("__weakref__", "_closed", "_facts", "_mode", "_node", "_window")

    def __init__(self, node: Node, mode: str = "r", facts: Opened | None = None) -> None:
        self._node = node
        self._mode = mode
        self._facts = facts
        self._closed = False
        self._window: Window | None = None

    if TYPE_CHECKING:

        def compute(self, **options: Any) -> Any: ...

    @property
    def node(self) -> Node:
        """The expression behind this array (for backends; not for users)."""
        if self._closed:
            raise ClosedError(f"{self._where()} was closed; open it again")
        return self._node

    def _where(self) -> str:
        node = self._node
        if isinstance(node, KeptNode):
            return "kept in memory"
        if isinstance(node, StoredNode):
            return f"{path_of(node.source)} ({self._mode})"
        if isinstance(node, MemoryNode):
            return "in memory"
        return node.name

    def _stored(self, what: str) -> Strided:
        node = self.node
        if not isinstance(node, StoredNode):
            raise TypeError(
                f"{what} needs an array that is stored in a file; this one is {self._where()}: "
                "compute() or store() it first"
            )
        if isinstance(node.source, Tiled):
            raise TypeError(
                f"{what} needs an array that lies in one file in one run; this one is in pieces, "
                f"{self._where()}: read() copies it, oocarray convert makes it one file"
            )
        return node.source

    @property
    def mode(self) -> str:
        """``"r"``: to be read; ``"r+"``: may be changed; ``"a"``: may be appended to as well."""
        return self._mode

    @property
    def writable(self) -> bool:
        """Whether elements may be changed in place."""
        return self._mode != "r"

    @property
    def dims(self) -> tuple[str | None, ...] | None:
        """Names of the axes, as the file has them; None where it has none."""
        return None if self._facts is None else self._facts.dims

    @property
    def attrs(self) -> Mapping[str, Any]:
        """What the file says of the array, as plain Python values; empty of what is computed."""
        return MappingProxyType({} if self._facts is None else dict(self._facts.attrs))
