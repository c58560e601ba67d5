"""What to tell the user about a kernel that does not compile; it knows no compiler, only words."""

from __future__ import annotations

import re
from types import FunctionType

from oocarray.errors import KernelError
from oocarray.kernels.argtypes import ArgType

__all__ = ["check_parameters", "explain"]

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_NOISE = re.compile(
    r"(- )?(Failed in|During:|Enter|raised from|This is not usually|This error may|This is often"
    r"|For more information|To find out|To see|See http|http|There are \d+ candidate"
    r"|Overload (in|of) function|With argument|Rejected as|Of which|No match|\* \(|Known signatures"
    r"|<source )"
)
_HINTS = (
    ("Cannot modify readonly", "that argument is read-only; write to the output block"),
    ("<class 'function'>", "decorate the function it calls with kernel"),
    ("Untyped global", "compiled code cannot use that global; pass its content as an argument"),
    ("is not defined", "define it before the kernel is used"),
    ("", "compiled code knows a part of Python and NumPy; map_blocks takes any Python function"),
)
_LINES = 6


def check_parameters(func: FunctionType, args: tuple[ArgType, ...]) -> None:
    """Refuse parameters that compiled code cannot take from a plain list of arguments.

    Raises
    ------
    KernelError
        `func` has ``*`` or keyword-only parameters, or another number of them than `args`.

    Examples
    --------
    >>> check_parameters(lambda x: x, ())
    Traceback (most recent call last):
    oocarray.errors.KernelError: kernel '<lambda>' takes 1 argument, given 0; pass one for each \
parameter
    """
    code = func.__code__
    if code.co_flags & 0x0C or code.co_kwonlyargcount:
        raise KernelError(
            f"kernel {func.__name__!r} has *, ** or keyword-only parameters; name each one plainly"
        )
    count = code.co_argcount
    if len(args) != count:
        raise KernelError(
            f"kernel {func.__name__!r} takes {count} argument{'s' * (count != 1)}, "
            f"given {len(args)}; pass one for each parameter"
        )


def explain(name: str, args: tuple[ArgType, ...], error: Exception) -> KernelError:
    """Say in few lines what the compiler said in many.

    Examples
    --------
    >>> print(explain("scale", (), ValueError("Failed in nopython mode\\nno such thing")))
    kernel 'scale' cannot be compiled for ():
      no such thing
    compiled code knows a part of Python and NumPy; map_blocks takes any Python function
    """
    text = _COLOUR.sub("", str(error))
    lines = [line.strip() for line in text.splitlines()]
    told = [line for line in dict.fromkeys(lines) if line.strip("^<~->. ")]
    told = [line for line in told if not _NOISE.match(line)]
    said = "\n  ".join(told[:_LINES]) or type(error).__name__
    types = ", ".join(str(arg) for arg in args)
    hint = next(hint for sign, hint in _HINTS if sign in text)
    return KernelError(f"kernel {name!r} cannot be compiled for ({types}):\n  {said}\n{hint}")
