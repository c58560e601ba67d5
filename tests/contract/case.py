"""What a case is, how its line reads, and what it gives by NumPy and by us; it judges nothing."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import oocarray as oo

from .inputs import FUNCTIONS, arrays

_BINARY = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "truediv", ast.FloorDiv: "floordiv",
    ast.Mod: "mod", ast.Pow: "pow", ast.MatMult: "matmul", ast.BitAnd: "and", ast.BitOr: "or",
    ast.BitXor: "xor", ast.LShift: "lshift", ast.RShift: "rshift", ast.Lt: "lt", ast.LtE: "le",
    ast.Gt: "gt", ast.GtE: "ge", ast.Eq: "eq", ast.NotEq: "ne", ast.USub: "neg", ast.UAdd: "pos",
    ast.Invert: "invert", ast.In: "contains",
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One call of one public operation.

    Attributes
    ----------
    operation : str
        ``oo.mean``, ``oo.linalg.norm``, ``Array.sum``, ``Array.__add__``.
    text : str
        The call, in names of `inputs` and of the package.
    numpy : str
        What gives the expected result, in names of `inputs` and of NumPy.
    exact : bool
        Whether floats are to be equal to the bit.
    """

    operation: str
    text: str
    numpy: str
    exact: bool

    def expected(self) -> Any:
        return _evaluated(self.numpy, np, arrays())

    def built(self, inputs: Mapping[str, Any]) -> Any:
        """The result of ours, which may be an array, a tuple of them, or a value."""
        return _evaluated(self.text, oo, inputs)


def cases(table: str, exact: bool = False) -> list[Case]:
    """Read lines ``call``, or ``operation :: call => what NumPy does``; ``#`` starts a remark."""
    found = []
    for line in table.splitlines():
        text, _, numpy = (part.strip() for part in line.partition("  #")[0].partition("=>"))
        operation, given, call = (part.strip() for part in text.rpartition(" :: "))
        if call:
            name = operation if given else named(call)
            found.append(Case(name, call, numpy or call, exact))
    return found


def words(text: str) -> list[str]:
    return text.split()


def named(call: str) -> str:
    """The public name of what an expression does last."""
    node = ast.parse(call, mode="eval").body
    if isinstance(node, ast.Call):
        parts = ast.unparse(node.func).split(".")
        if parts[0] == "linalg" or len(parts) == 1:
            return ".".join(["oo", *parts])
        return f"Array.{parts[-1]}"
    if isinstance(node, ast.Attribute):
        return f"Array.{node.attr}"
    if isinstance(node, ast.Subscript):
        of = node.value
        selector = isinstance(of, ast.Attribute) and of.attr in ("oindex", "vindex", "blocks")
        return f"Array.{of.attr}" if selector else "Array.__getitem__"
    if isinstance(node, ast.BinOp):
        reflected = "r" if not isinstance(node.left, (ast.Name, ast.Attribute)) else ""
        return f"Array.__{reflected}{_BINARY[type(node.op)]}__"
    if isinstance(node, ast.UnaryOp):
        return f"Array.__{_BINARY[type(node.op)]}__"
    if isinstance(node, ast.Compare):
        return f"Array.__{_BINARY[type(node.ops[0])]}__"
    raise ValueError(f"{call!r} needs the name of its operation, as in 'oo.sum :: {call}'")


class _Names(dict[str, Any]):
    """Inputs and functions by name, and what else a package has."""

    def __init__(self, package: Any, inputs: Mapping[str, Any]) -> None:
        super().__init__({"np": np, **FUNCTIONS, **inputs})
        self.package = package

    def __missing__(self, name: str) -> Any:
        try:
            return getattr(self.package, name)
        except AttributeError:
            raise KeyError(name) from None


def _evaluated(text: str, package: Any, inputs: Mapping[str, Any]) -> Any:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return eval(text, {}, _Names(package, inputs))
