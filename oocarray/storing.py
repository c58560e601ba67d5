"""`compute` and `store`: what is asked for together runs together; nothing is planned here."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .backends.learning import learn_dtypes
from .backends.sizes import counts_only, learn_sizes
from .config import merged
from .core import Array
from .errors import OverlapError
from .lazy.expr import MapNode, MemoryNode, Node, OpNode, PickNode, ReduceNode, StoredNode
from .lazy.graph import Root
from .lazy.node import postorder
from .lazy.replacing import reads_elsewhere, replaced_by, replaces
from .opening import from_array
from .plan import InMemory, Options
from .storage.draft import Unpublished
from .storage.layout import Strided
from .storage.memmaps import layout_of
from .storage.tiled import Tiled
from .stored import seen
from .targets import ZARR_WORDS, new_target, refreshed
from .units import format_count

__all__ = ["Store", "compute", "store"]


class Store:
    """A store that is still to be run; `compute` runs it, alone or together with others."""

    def __init__(
        self,
        array: Array,
        target: Any,
        overwrite: bool,
        format: str | None,
        how: Mapping[str, Any] | None = None,
    ) -> None:
        self.array, self.target, self.overwrite, self.format = array, target, overwrite, format
        self.how = how or {}
        """What was said of a new Zarr array."""

    def compute(self, *, wait: bool = True, **options: Any) -> Any:
        """Run it and return the array that was written, or a `Future` of it."""
        return _now_or_later([self], options, wait, lambda done: done[0])

    def __repr__(self) -> str:
        return f"<oocarray.Store {self.array._where()} -> {self.target}>"


def store(
    sources: Any,
    targets: Any,
    *,
    overwrite: bool = False,
    compute: bool = True,
    wait: bool = True,
    format: str | None = None,
    **options: Any,
) -> Any:
    """Compute arrays into files or writable arrays.

    Parameters
    ----------
    sources : Array or sequence of Array
    targets : path-like, Array, numpy.ndarray, or a sequence of these
        A path makes a new file, which appears under its name when it is complete. A stored array
        open with ``"r+"``, a memmap or an array in memory is filled in place.
    overwrite : bool
        Replace an existing file.
    compute : bool
        False: return something to hand to `oocarray.compute`, so that one pass does several
        things.
    wait : bool
        False: return a `Future` at once, and write in the background.
    format : {"npy", "raw", "zarr"}, optional
        Of new files; default by the ending.
    **options
        As of `oocarray.options`; and for a new Zarr array ``chunks=``, ``shards=``,
        ``compressors=``, ``dims=`` and ``attrs=`` as of `oocarray.create`. By default its chunks
        are the blocks of the array, and names of axes and attributes are kept. ``fill_value=`` is
        the option, of blocks that fail; what a new Zarr array holds where nothing was written is
        said to `oocarray.create`, whose array can then be the target.

    Returns
    -------
    Array or list of Array
        What was written, open for reading.

    Raises
    ------
    FileExistsError
        A file exists, and `overwrite` is false.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     x = from_array(np.arange(4.0))
    ...     y = store(x.map_blocks(np.sqrt), os.path.join(folder, "y.npy"))
    ...     float(y.max().compute() ** 2)
    2.9999999999999996
    """
    single = isinstance(sources, (Array, str)) or not isinstance(sources, Sequence)
    if not single and (isinstance(targets, (str, os.PathLike)) or len(sources) != len(targets)):
        count = 1 if isinstance(targets, (str, os.PathLike)) else len(targets)
        raise ValueError(f"{len(sources)} sources and {format_count(count, 'target')} do not match")
    pairs = [(sources, targets)] if single else list(zip(sources, targets, strict=True))
    how = {word: options.pop(word) for word in ZARR_WORDS if word in options}
    stores = [
        Store(s if isinstance(s, Array) else from_array(s), t, overwrite, format, how)
        for s, t in pairs
    ]
    if compute:
        return _now_or_later(stores, options, wait, lambda done: done[0] if single else list(done))
    return stores[0] if single else stores


def compute(*args: Any, wait: bool = True, **options: Any) -> Any:
    """Compute several things at once, in as few passes over the files as they allow.

    Parameters
    ----------
    *args
        Arrays, stores made with ``compute=False``, and tuples, lists and dicts of these; anything
        else is returned as it is.
    wait : bool
        False: return a `Future` at once, and compute in the background.
    **options
        As of `oocarray.options`.

    Returns
    -------
    tuple
        One entry per argument.

    Examples
    --------
    >>> x = from_array(np.arange(5.0))
    >>> compute(x.mean(), {"largest": x.max()})
    (np.float64(2.0), {'largest': np.float64(4.0)})
    """
    return _now_or_later(args, options, wait, tuple)


def _now_or_later(
    args: Sequence[Any], given: dict[str, Any], wait: bool, finish: Callable[[Any], Any]
) -> Any:
    """Compute with the options that are in force now, here or in a thread."""
    options = merged(given)
    if not isinstance(wait, bool):
        raise TypeError(f"wait={wait!r} is neither True nor False")
    if wait:
        return finish(_compute(args, options))
    from .futures import start

    what = ", ".join(map(_called, args[:3])) + (", ..." if len(args) > 3 else "")
    return start(what, lambda: finish(_compute(args, options)))


def _called(thing: Any) -> str:
    """What people may call one of the things that are computed."""
    if isinstance(thing, Array):
        return thing._where()
    if isinstance(thing, Store):
        target = thing.target
        where = os.fspath(target) if isinstance(target, os.PathLike) else target
        name = where if isinstance(where, str) else type(where).__name__
        return f"{thing.array._where()} -> {name}"
    return type(thing).__name__


def _compute(args: Sequence[Any], options: Options) -> tuple[Any, ...]:
    roots: list[Root] = []
    drafts: list[Unpublished] = []

    def visit(value: Any) -> Any:
        """Replace what is to be computed by a function that gives its result afterwards."""
        if isinstance(value, Array):
            value._check_fits(options.memory)
            number = sum(root.target is None for root in roots)
            roots.append(Root(value.node))
            return lambda: _scalar(results[number])
        if isinstance(value, Store):
            return _begin_store(value, roots, drafts, options)
        if isinstance(value, dict):
            inner = {key: visit(item) for key, item in value.items()}
            return lambda: {key: item() for key, item in inner.items()}
        if type(value) in (tuple, list):
            items, kind = [visit(item) for item in value], type(value)
            return lambda: kind(item() for item in items)
        return lambda: value

    results: list[Any] = []
    try:
        waiting = [visit(arg) for arg in args]
    except BaseException:
        for draft in drafts:
            draft.discard()
        raise
    from .backends.choosing import evaluate

    results.extend(evaluate(roots, options, drafts) if roots else [])
    return tuple(item() for item in waiting)


def _begin_store(
    order: Store, roots: list[Root], drafts: list[Unpublished], options: Options
) -> Callable[[], Any]:
    """Prepare the target of a store; return what opens it afterwards."""
    array, target = order.array, order.target
    from .backends.choosing import evaluate

    node = array.node
    learn_dtypes(node, options)
    if any(size != size for size in array.shape) and counts_only(node):
        learn_sizes(node, options)
    if any(size != size for size in array.shape):
        raise ValueError(
            f"{array._where()} has blocks of unknown size, which cannot be laid out in a file; "
            "give map_blocks the sizes in chunks=, or compute() it"
        )
    if isinstance(node, ReduceNode) or _reads(node, target):
        # A result is small: it is computed, then written. So is what is made of its own target.
        (result,) = evaluate([Root(node)], options)
        node = MemoryNode(np.asarray(result))
        array = Array(node)
    place: Strided | Tiled | InMemory
    if isinstance(target, (str, os.PathLike)):
        new = new_target(array, target, order.format, order.overwrite, order.how, options)
        node, place = new.node, new.place
        drafts.append(new.draft)
        if any(new.draft.path == other.path for other in drafts[:-1]):
            raise OverlapError(f"two outputs of one run are to be {new.draft.path}")
        roots.append(Root(node, place))
        return new.opened
    if order.how:
        raise TypeError(f"{', '.join(f'{word}=' for word in order.how)} is for new Zarr arrays")
    place = _place_of(target, array)
    in_place: bool | None = False
    made = (OpNode, MapNode, PickNode) if options.backend == "mapped" else OpNode
    if isinstance(place, Strided | Tiled):
        # What is made of the very elements that it replaces is not to be made twice; what is
        # made of others of them is made before, but for the blocks of a function, whose plan is
        # refused.  Other backends give functions copies.
        in_place = isinstance(node, made) and replaces(node, place)
        if in_place is None and not isinstance(node, OpNode) and reads_elsewhere(node, place):
            in_place = False
        if in_place is None or seen(node, place):
            in_place = False
            node = MemoryNode(np.asarray(evaluate([Root(node)], options)[0]))
        elif in_place:
            node = replaced_by(node, place)
    roots.append(Root(node, place, bool(in_place)))
    if isinstance(place, InMemory):
        return lambda: target
    fresh = place
    return lambda: Array(StoredNode(refreshed(fresh)), "r+")


def _reads(node: Any, target: Any) -> bool:
    """Whether making a node reads the memory that its result goes to."""
    if not isinstance(target, np.ndarray) or layout_of(target) is not None:
        return False
    if isinstance(node, np.ndarray):
        return np.may_share_memory(node, target)
    if not isinstance(node, Node):
        return False
    return any(
        (isinstance(below, MemoryNode) and np.may_share_memory(below.array, target))
        or (
            isinstance(below, MapNode)
            and any(_reads(value, target) for value in (*below.args, *below.kwargs.values()))
        )
        for below in postorder(node)
    )


def _place_of(target: Any, array: Array) -> Strided | Tiled | InMemory:
    """Where an existing array can take a result."""
    if isinstance(target, np.ndarray):
        found = layout_of(target)
        place: Strided | Tiled | InMemory = InMemory(target) if found is None else found
        writable = bool(target.flags.writeable)
    elif isinstance(target, Array) and isinstance(target.node, StoredNode):
        place, writable = target.node.source, target.writable
    else:
        raise TypeError(
            f"cannot store into {type(target).__name__}; give a path, a stored array open with "
            'mode="r+", or a NumPy array'
        )
    if not writable:
        raise PermissionError(13, 'the target is open for reading; open it with mode="r+"')
    if tuple(place.shape) != array.shape:
        raise ValueError(f"the target has shape {place.shape}, the array {array.shape}")
    if not np.can_cast(array.dtype, place.dtype, "same_kind"):
        raise TypeError(f"cannot store {array.dtype} into {place.dtype} without losing its kind")
    return place


def _scalar(result: Any) -> Any:
    return result[()] if isinstance(result, np.ndarray) and not result.shape else result
