"""The decorator that makes a function of scalars one of lazy arrays; it compiles nothing itself."""

from __future__ import annotations

import datetime
import functools
import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any, overload

import numpy as np

from .core import Array
from .errors import KernelError
from .jit import ArrayArg, Kernel
from .lazy.expr import Node, OpNode
from .lifting import operand
from .operations.elementwise import Literal
from .operations.scalar import MOST, ScalarFunction

__all__ = ["ScalarKernel", "elementwise"]

_SCALARS = (bool, int, float, complex, str, bytes, type(None), np.generic)
_TIMES = (datetime.date, datetime.timedelta)


class ScalarKernel:
    """A function of scalars that takes arrays too; made by the decorator `elementwise`.

    Attributes
    ----------
    func : function
        The plain Python function.
    dtype : dtype or None
        Of the result, where it was given.
    compile : bool
        Whether it is compiled.
    """

    __name__: str

    def __init__(self, func: FunctionType, dtype: Any = None, compile: bool = True) -> None:
        func = getattr(func, "py_func", func)
        if not isinstance(func, FunctionType):
            raise KernelError(
                f"elementwise takes a plain Python function, not {type(func).__name__}"
            )
        functools.update_wrapper(self, func)
        self.func = func
        self.dtype = None if dtype is None else np.dtype(dtype)
        self.compile = compile
        if compile:
            self._kernel = Kernel(func)
        _check(self)

    @property
    def py_func(self) -> FunctionType:
        """The plain Python function, under numba's name for it."""
        return self.func

    @property
    def targetoptions(self) -> dict[str, Any]:
        """The compiler options, under numba's name for them."""
        return self._kernel.targetoptions

    @property
    def _numba_type_(self) -> Any:
        """Lets compiled functions call this one on scalars."""
        return self._kernel._numba_type_

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Apply the function to the elements of arrays, lazily; of scalars only, return its value.

        Parameters
        ----------
        *args, **kwargs
            Arrays, what NumPy makes arrays of, and scalars, by the names of the function's own
            parameters.

        Returns
        -------
        Array, or what the function returns

        Raises
        ------
        ValueError
            The arrays cannot be broadcast together.
        TypeError
            The arguments do not fit the function's parameters.
        """
        bound = inspect.signature(self.func).bind(*args, **kwargs)
        bound.apply_defaults()
        if all(isinstance(value, (*_SCALARS, *_TIMES)) for value in bound.args):
            return self.func(*bound.args)
        nodes: list[Node] = []
        template: list[Any] = []
        for value in map(operand, bound.args):
            if isinstance(value, Node):
                template.append(len(nodes))
                nodes.append(value)
            else:
                template.append(Literal(value))
        operation = ScalarFunction(
            self.func, tuple(template), self.dtype, self.__name__, not self.compile
        )
        node = OpNode(operation, tuple(nodes))
        _ = node.shape  # not its dtype, which may have to be compiled for
        return Array(node)

    def __repr__(self) -> str:
        return f"<elementwise {self.__name__}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return ScalarKernel, (self.func, self.dtype, self.compile)


def _check(made: ScalarKernel) -> None:
    """Refuse, when it is defined, what would be refused at every use."""
    name, kinds = made.__name__, inspect.Parameter
    parameters = inspect.signature(made.func).parameters.values()
    plain: set[Any] = {kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD}
    if not made.compile:
        plain.add(kinds.VAR_POSITIONAL)
        if made.dtype is None:
            raise TypeError(
                f"{name!r} is not compiled, so that nothing tells what it returns: give dtype="
            )
    elif made.dtype is not None:
        ArrayArg(made.dtype.newbyteorder("="), 1)
    for parameter in parameters:
        if parameter.kind not in plain:
            raise KernelError(f"parameter {parameter} of {name!r} is not passed by its position")
    if not parameters or (made.compile and len(parameters) > MOST):
        raise KernelError(
            f"{name!r} has {len(parameters)} parameters; an elementwise function has 1 to {MOST}"
        )


@overload
def elementwise(func: Callable[..., Any], /) -> ScalarKernel: ...
@overload
def elementwise(
    *, dtype: Any = None, compile: bool = True
) -> Callable[[Callable[..., Any]], ScalarKernel]: ...
def elementwise(
    func: Callable[..., Any] | None = None, /, *, dtype: Any = None, compile: bool = True
) -> Any:
    """Make a function of scalars one that is applied to every element of arrays, lazily.

    The function is compiled by numba, once, when a run is planned, for the dtypes of its
    arguments and with the values that its globals and closure have then; workers get the code.
    Division by zero gives inf or nan as in NumPy; floating-point operations are not reordered.

    Arrays are broadcast.  A Python number is as wide as the arrays it is passed with and keeps
    its kind, so that 2.0 beside float32 is a float32, and 2 an int64; NumPy's scalars keep their
    dtype.  Numbers written in the function are numba's: ``1 + x`` of a float32 is a float64.

    Parameters
    ----------
    func : function
        Of 1 to 8 numbers, returning one.  Called with scalars only, it returns its own value.
    dtype : dtype-like, optional
        Of the result.  Default: what numba infers for the arguments' dtypes.  That compiles the
        function, when the dtype is first needed: for ``.dtype``, by what is made of the result,
        or by a run; it neither reads data nor calls the function.
    compile : bool
        False: it is called by the interpreter for each element, as by `numpy.vectorize`; it may
        then do anything, and `dtype` must be given.

    Returns
    -------
    ScalarKernel
        Called as the function is; the plain function is its attribute ``func``.

    Raises
    ------
    KernelError
        It is no plain function, or has parameters that are not passed by position.  Where it
        cannot be compiled, this is raised when it is compiled.
    TypeError
        ``compile=False`` without `dtype`.

    Examples
    --------
    >>> import oocarray as oo
    >>> @elementwise
    ... def soft(x, k):
    ...     return x / (1 + abs(x) ** k)
    >>> y = soft(oo.from_array(np.array([-3, 0, 1])), 2.0)
    >>> y.dtype
    dtype('float64')
    >>> with oo.options(scheduler="serial", progress=False):
    ...     y.compute()
    array([-0.3,  0. ,  0.5])
    >>> soft(1, 2.0)
    0.5
    """
    if func is None:
        return functools.partial(ScalarKernel, dtype=dtype, compile=compile)
    return ScalarKernel(func, dtype, compile)  # type: ignore[arg-type]
