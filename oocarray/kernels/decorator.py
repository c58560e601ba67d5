"""The decorator that marks kernels, and what it makes; it compiles nothing until called."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any, cast, overload

from oocarray.errors import KernelError
from oocarray.kernels.key import Options

__all__ = ["Kernel", "kernel", "kernel_options"]


class Kernel:
    """A function to be compiled; made by the decorator `kernel`.

    Attributes
    ----------
    func : function
        The plain Python function.
    boundscheck : bool
        Whether an index out of range raises IndexError instead of reading other memory.
    """

    __name__: str

    def __init__(self, func: FunctionType, boundscheck: bool = False) -> None:
        if not isinstance(func, FunctionType):
            raise KernelError(f"a kernel is a plain Python function, not {type(func).__name__}")
        functools.update_wrapper(self, func)
        self.func = func
        self.boundscheck = boundscheck
        self._direct: Any = None

    @property
    def py_func(self) -> FunctionType:
        """The plain Python function, under numba's name for it."""
        return self.func

    @property
    def targetoptions(self) -> Options:
        """The compiler options, under numba's name for them."""
        return kernel_options(self.boundscheck)

    @property
    def _numba_type_(self) -> Any:
        """Lets other compiled functions call this one."""
        return getattr(self._dispatcher(), "_numba_type_", None)

    def __call__(self, *args: Any) -> Any:
        """Run the kernel here, compiled for the types of these arguments."""
        return self._dispatcher()(*args)

    def __repr__(self) -> str:
        return f"<kernel {self.__name__}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return Kernel, (self.func, self.boundscheck)

    def _dispatcher(self) -> Any:
        from oocarray.jit import dispatch

        if self._direct is None:
            self._direct = dispatch(self.func, self.targetoptions)
        return self._direct


@overload
def kernel(func: Callable[..., Any], /) -> Kernel: ...
@overload
def kernel(*, boundscheck: bool = False) -> Callable[[Callable[..., Any]], Kernel]: ...
def kernel(func: Callable[..., Any] | None = None, /, *, boundscheck: bool = False) -> Any:
    """Mark a function as a kernel: compiled without the interpreter, without the GIL.

    Division by zero gives inf or nan as in NumPy; floating-point operations are not reordered.

    Parameters
    ----------
    func : function
        Its first argument is the output block, the others are inputs.
    boundscheck : bool
        Raise IndexError for an index out of range; slower, for finding mistakes.

    Raises
    ------
    KernelError
        `func` is not a plain Python function.

    Examples
    --------
    >>> import numpy as np
    >>> @kernel
    ... def double(out, x):
    ...     for i in range(x.size):
    ...         out[i] = 2 * x[i]
    >>> out = np.empty(3)
    >>> double(out, np.arange(3.0))
    >>> out.tolist()
    [0.0, 2.0, 4.0]
    """
    if func is None:
        return functools.partial(Kernel, boundscheck=boundscheck)
    return Kernel(cast(FunctionType, func), boundscheck)


def kernel_options(boundscheck: bool) -> Options:
    """Return the compiler options of every kernel.

    Examples
    --------
    >>> kernel_options(False)["error_model"]
    'numpy'
    """
    return {
        "nopython": True,
        "nogil": True,
        "error_model": "numpy",
        "fastmath": False,
        "boundscheck": boundscheck,
    }
