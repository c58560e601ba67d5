"""Reductions: what a leaf leaves behind, how two such combine, how the last becomes the result.

Nothing here reads a file, starts a process or imports a compiler.
"""

from .cut import leaf_chunks
from .make import NAMES, make_reduction
from .record import Reduction
from .tree import PartialTree
from .user import UserReduction

__all__ = [
    "NAMES",
    "PartialTree",
    "Reduction",
    "UserReduction",
    "leaf_chunks",
    "make_reduction",
]
