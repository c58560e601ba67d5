"""`map_blocks`: a function on blocks, as asked; it runs nothing itself."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .core import Array, node_of
from .errors import DtypeError
from .kernels.decorator import Kernel
from .lazy.blockmap import MapPlan, Operand, plan_apart, plan_map, wants
from .lazy.combined import Combined
from .lazy.expr import MapNode, Node, PickNode, ReduceNode, cut_of

__all__ = ["MapBlocks", "map_blocks", "name_of"]

_FORMS = ("block", "out", "udf")


class MapBlocks:
    """What `map_blocks` is: a function, with `options` for what is not the function's business."""

    __slots__ = ("_combine", "_form", "_nout", "_splittable")

    def __init__(
        self,
        nout: int = 1,
        form: str | None = None,
        combine: Callable[..., Any] | None = None,
        splittable: bool = False,
    ) -> None:
        self._nout, self._form = nout, form
        self._combine, self._splittable = combine, splittable

    def options(
        self,
        *,
        nout: int = 1,
        form: str | None = None,
        combine: Callable[..., Any] | None = None,
        splittable: bool = False,
    ) -> MapBlocks:
        """Return a `map_blocks` that calls functions in another way.

        Parameters
        ----------
        nout : int
            Number of arrays that the function returns, as a tuple; so many arrays come back.
        form : {"block", "out", "udf"}, optional
            ``"block"``: takes blocks, returns a block. ``"out"``: takes the output blocks first
            and fills them (what kernels do). ``"udf"``: takes a tuple of inputs, the output
            block and its offset in the array, and fills the output.
        combine : callable, optional
            With ``drop_axis``: instead of being called once on all blocks along the dropped axes
            joined, the function is called on each block, and what it makes of two neighbours is
            joined by ``combine(a, b)``, which returns an array of the same shape and dtype; two
            by two, in a tree that is always the same. A ``block_id`` then has the dropped axes
            too. With several outputs it is called for each of them.
        splittable : bool
            Promise that the function is elementwise, so that blocks which do not fit the memory
            budget may be passed to it in pieces. The result and its blocks stay the same.

        Examples
        --------
        >>> import oocarray as oo
        >>> x = oo.from_array(np.arange(4.0), chunks=2)
        >>> low, high = map_blocks.options(nout=2)(lambda b: (b - 1, b + 1), x, dtype="f8")
        >>> low.compute(), high.compute()
        (array([-1.,  0.,  1.,  2.]), array([1., 2., 3., 4.]))
        >>> total = map_blocks.options(combine=np.add)(np.sum, x, drop_axis=0)
        >>> total.compute()
        np.float64(6.0)
        """
        if nout < 1:
            raise ValueError(f"nout={nout}; a function has at least one output")
        if form is not None and form not in _FORMS:
            raise ValueError(f"form={form!r} is none of {', '.join(_FORMS)}")
        if form == "udf" and nout > 1:
            raise ValueError(f"form='udf' fills one output, not nout={nout}")
        if combine is not None and not callable(combine):
            raise TypeError(f"combine must be a callable, not {type(combine).__name__}")
        if combine is not None and splittable:
            raise ValueError(
                "combine= and splittable=True exclude each other: a function of whole blocks is "
                "not elementwise"
            )
        return MapBlocks(nout, form, combine, splittable)

    def __call__(
        self,
        func: Callable[..., Any],
        *args: Any,
        name: str | None = None,
        token: str | None = None,
        dtype: Any = None,
        chunks: Any = None,
        drop_axis: Any = None,
        new_axis: Any = None,
        enforce_ndim: bool = False,
        meta: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Apply a function to the blocks of arrays; lazy, by dask's rules.

        Parameters
        ----------
        func : callable or kernel
            Called as ``func(*blocks, **kwargs)`` and returns the output's block; a function made
            by `oocarray.kernel` as ``func(out, *blocks)``, which fills `out` on the mapped pages.
            Blocks are views of the file, read-only. If it has parameters ``block_id`` or
            ``block_info`` it is told where it is.
        *args
            Arrays (`Array`, or `numpy.memmap` passed through `from_array`) are cut in blocks and
            matched from the last axis; all else, plain NumPy arrays too, is passed whole.
        name, token : str, optional
            Name of the result in plans and messages.
        dtype : dtype-like, optional
            Of the output (a sequence with ``nout``). Without it a kernel's output has the first
            array's; another function is called once, on block 0, when the dtype is first needed.
        chunks : optional
            Sizes of the output's blocks where the function changes them: an entry per axis, an
            int, a tuple with one size per block, nan, or a function of the input's size.
        drop_axis, new_axis : int or iterable of int, optional
            Axes that the function removes (it gets all blocks along them joined) and adds.
        enforce_ndim : bool
            Accepted for dask's sake; shape and dtype of every block are compared anyway.
        meta : array, optional
            Its dtype stands for `dtype`.
        **kwargs
            Passed on; an `Array` as its whole value.

        Returns
        -------
        Array, or a tuple of them with ``nout``

        Raises
        ------
        TypeError
            `func` is not callable.
        ValueError
            The arrays' blocks do not fit each other, or `chunks` not the function.

        References
        ----------
        The calling rules are those of ``dask.array.map_blocks``.

        Examples
        --------
        >>> import oocarray as oo
        >>> x = oo.from_array(np.arange(6.0), chunks=3)
        >>> map_blocks(lambda block, k: block * k, x, 10).compute()
        array([ 0., 10., 20., 30., 40., 50.])
        """
        node = self.node(
            func, args, kwargs, name or token, dtype, meta, chunks, drop_axis, new_axis
        )
        outputs = (
            [PickNode(node, output) for output in range(self._nout)] if self._nout > 1 else [node]
        )
        arrays = tuple(
            Array(output if self._combine is None else _combined(output, node.apart, self._combine))
            for output in outputs
        )
        return arrays[0] if self._nout == 1 else arrays

    def node(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        name: str | None,
        dtype: Any,
        meta: Any,
        chunks: Any,
        drop_axis: Any,
        new_axis: Any,
    ) -> MapNode:
        if not callable(func):
            raise TypeError(f"First argument must be callable function, not {type(func).__name__}")
        nodes = tuple(map(node_of, args))
        arrays = [node for node in nodes if isinstance(node, Node)]
        form = self._form or ("out" if isinstance(func, Kernel) else "block")
        if form == "block" and isinstance(func, Kernel):
            raise ValueError("a kernel fills its output: its form is 'out'")
        planner = plan_apart if self._combine is not None else _plan_joined
        how = functools.partial(planner, chunks=chunks, drop_axis=drop_axis, new_axis=new_axis)
        plan, apart = how([cut_of(node) for node in arrays])
        wanted = tuple(word for word in ("block_id", "block_info") if wants(func, word))
        self._check(plan, apart, wanted)
        if not arrays and chunks is None:
            raise ValueError("without array arguments map_blocks needs chunks= and dtype=")
        return MapNode(
            function=func,
            args=nodes,
            kwargs={key: node_of(value) for key, value in kwargs.items()},
            plan=plan,
            dtypes=_dtypes(dtype, meta, self._nout),
            nout=self._nout,
            form=form,
            name=name or name_of(func),
            wants=wanted,
            apart=apart,
            replan=how,
            splittable=self._splittable,
        )

    def _check(self, plan: MapPlan, apart: tuple[int, ...], wanted: tuple[str, ...]) -> None:
        """Refuse options that do not go with the call."""
        if self._combine is not None and not apart:
            raise ValueError(
                "combine= joins what the function makes of the blocks along drop_axis=, which is "
                "missing"
            )
        if self._combine is not None and not plan.known:
            raise ValueError("combine= needs blocks of known size; chunks= has nan")
        if self._splittable and wanted:
            raise ValueError(
                f"a splittable function is passed pieces of blocks, which have no {wanted[0]}"
            )


map_blocks = MapBlocks()


def _dtypes(dtype: Any, meta: Any, nout: int) -> tuple[np.dtype[Any], ...] | None:
    if dtype is None and meta is not None:
        dtype = [part.dtype for part in meta] if nout > 1 else meta.dtype
    if dtype is None:
        return None
    if nout > 1 and isinstance(dtype, (list, tuple)):
        if len(dtype) != nout:
            raise ValueError(f"{len(dtype)} dtypes for nout={nout} outputs")
        found = tuple(np.dtype(part) for part in dtype)
    else:
        found = (np.dtype(dtype),) * nout
    for part in found:
        if part.hasobject:
            raise DtypeError(f"dtype={part} holds addresses, not data; give a plain dtype")
    return found


def _plan_joined(arrays: Sequence[Operand], **how: Any) -> tuple[MapPlan, tuple[int, ...]]:
    return plan_map(arrays, **how), ()


def _combined(
    node: MapNode | PickNode, axes: tuple[int, ...], combine: Callable[..., Any]
) -> ReduceNode:
    """Join what the function made of the blocks along dropped axes."""
    make = functools.partial(Combined, axes=axes, function=combine, name=name_of(combine))
    kept = [axis for axis in range(len(node.chunks)) if axis not in axes]
    shape = tuple(node.shape[axis] for axis in kept)
    chunks = tuple(node.chunks[axis] for axis in kept)
    call = node.call if isinstance(node, PickNode) else node
    return ReduceNode(node, make, shape, call.name, chunks)


def name_of(func: Callable[..., Any]) -> str:
    inner = func.func if isinstance(func, functools.partial) else func
    return getattr(inner, "__name__", type(inner).__name__)
