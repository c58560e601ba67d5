"""`update_blocks`: a function that changes a stored array in place; never a copy of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from .config import merged
from .core import Array
from .errors import OverlapError
from .kernels.decorator import Kernel
from .lazy.blockmap import wants
from .lazy.expr import StoredNode
from .lazy.graph import Root
from .mapping import MapBlocks, name_of
from .opening import from_array
from .plan import Options
from .storage.naming import path_of

__all__ = ["update_blocks"]

_OPTIONS = frozenset(field.name for field in fields(Options))


def update_blocks(func: Callable[..., Any], x: Any, *args: Any, **kwargs: Any) -> None:
    """Change a stored array in place, block by block, in parallel; at once.

    Parameters
    ----------
    func : callable or kernel
        Called as ``func(block, *args, **kwargs)``; changes `block`, returns None.
    x : Array
        Stored, open with mode ``"r+"`` (or a writable `numpy.memmap`).
    *args
        As of `map_blocks`: other arrays are cut as `x` is.
    **kwargs
        Passed on to `func`.

    Raises
    ------
    OverlapError
        Another argument shares bytes with `x` in other blocks; nothing was changed.
    TornBlockError
        A worker died: names the blocks that may be half changed.
    NotImplementedError
        A durability other than "none", which needs a journal.

    Notes
    -----
    Options come from `oocarray.options`. With ``durability="none"`` an interrupted update
    leaves some blocks changed and others not.

    Examples
    --------
    >>> import os, tempfile
    >>> from oocarray import create
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     x = create(os.path.join(folder, "x.npy"), 4, "f8", fill_value=1)
    ...     def double(block, factor):
    ...         block *= factor
    ...     update_blocks(double, x, 2)
    ...     x.compute().tolist()
    [2.0, 2.0, 2.0, 2.0]
    """
    options = merged({})
    if not callable(func):
        raise TypeError(f"First argument must be callable function, not {type(func).__name__}")
    array = x if isinstance(x, Array) else from_array(x)
    node = array.node
    if not isinstance(node, StoredNode):
        raise TypeError(f"update_blocks changes an array in a file; {array._where()} is not stored")
    if not array.writable:
        raise PermissionError(
            13, 'the array is open for reading; open it with mode="r+"', path_of(node.source)
        )
    if options.durability != "none":
        raise NotImplementedError(
            f"durability={options.durability!r} for an update in place needs a journal, which "
            'this version does not have; use durability="none", or map_blocks into a new file'
        )
    _check_call(func, (array, *args), kwargs)
    if wants(func, "block_info"):
        kwargs.setdefault("block_info", None)
    call = MapBlocks(form="out").node(
        func, (array, *args), kwargs, None, node.source.dtype, None, None, None, None
    )
    call.kwargs = {key: value for key, value in call.kwargs.items() if key != "block_info"}
    call.form = "update"
    if call.shape != array.shape:
        raise OverlapError(
            f"{call.name}: blocks of shape {array.shape} would be changed once for each block of "
            f"the larger shape {call.shape} of another argument"
        )
    from .backends.choosing import evaluate

    evaluate([Root(call, node.source, in_place=True)], options)


def _check_call(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Refuse arguments that the function does not take, before a block is changed."""
    if isinstance(func, Kernel):
        return  # compiled before the run
    try:
        signature = inspect.signature(func)
    except (TypeError, ValueError):
        return  # written in C: it says so itself
    given = {word: None for word in ("block_id", "block_info") if wants(func, word)}
    try:
        signature.bind(*args, **given, **kwargs)
    except TypeError as error:
        options = [name for name in kwargs if name in _OPTIONS]
        advice = f"; {options[0]}= is given by oo.options({options[0]}=...)" if options else ""
        raise TypeError(f"{name_of(func)} cannot be called so: {error}{advice}") from None
