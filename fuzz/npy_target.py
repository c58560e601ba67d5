"""What must hold for any bytes that claim to be an .npy file; it makes up no bytes itself.

Used by the fuzzer (``make fuzz``) and, with bytes that hypothesis makes up, by the tests.
"""

from __future__ import annotations

import io
import os
import resource
import time
import warnings

import numpy as np

from oocarray.errors import DtypeError, FormatError
from oocarray.storage import files
from oocarray.storage.layout import Strided
from oocarray.storage.npy import build_header

__all__ = ["Finding", "examine", "seeds"]

MOST_BYTES = 64 << 20
MOST_SECONDS = 5.0
DTYPES = ("?", "<i2", ">f8", "<c16", "S5", "<U3", "M8[ns]", "V7", "<f2")
STRUCTS = (
    [("a", "u1"), ("b", ">i4"), ("c", "<f4", (2, 3))],
    [("größe", "<f8"), ("in", [("x", "<i2"), ("y", "?")])],
    [(("title", "name"), "<f8")],
)


class Finding(AssertionError):
    """The reader did what it never should."""


def examine(content: bytes) -> str:
    """Open a file with these bytes and see that nothing bad comes of it.

    Returns
    -------
    str
        ``"refused"``, ``"accepted"``, or ``"agreed"`` when NumPy reads the same from it.

    Raises
    ------
    Finding
        Another exception than documented, the file changed, too much memory or time, or NumPy
        reads something else from it.
    """
    fd = os.memfd_create("fuzz")
    try:
        os.write(fd, content)
        before, began = _peak(), time.monotonic()
        answers = {_opened(f"/proc/self/fd/{fd}", mode) for mode in ("r", "r+")}
        seconds = time.monotonic() - began
        if _peak() - before > MOST_BYTES:
            raise Finding(f"took {_peak() - before} bytes")
        if seconds > MOST_SECONDS:
            raise Finding(f"took {seconds:.1f} s")
        if os.fstat(fd).st_size != len(content) or os.pread(fd, len(content) + 1, 0) != content:
            raise Finding("the file was changed")
    finally:
        os.close(fd)
    if len(answers) != 1:
        raise Finding(f"modes r and r+ differ: {answers}")
    (ours,) = answers
    if ours is None:
        return "refused"
    return "agreed" if _agrees(content, ours) else "accepted"


def _opened(path: str, mode: str) -> Strided | None:
    files._warned_trailing.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            layout = files.open_npy(path, mode)
        except (FormatError, DtypeError):
            return None
    start, stop = layout.span()
    if not 0 <= start <= stop <= layout.file.size:
        raise Finding(f"bytes {start} to {stop} of a file of {layout.file.size}")
    return layout


def _agrees(content: bytes, layout: Strided) -> bool:
    """Whether NumPy finds the same array; False where it refuses the file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            theirs = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
        except Exception:
            return False
    ours = layout.view(np.frombuffer(content, np.uint8), 0)
    if (ours.shape, ours.dtype) != (theirs.shape, theirs.dtype):
        raise Finding(f"NumPy reads {theirs.shape} of {theirs.dtype}, we {ours.shape} {ours.dtype}")
    if ours.tobytes() != theirs.tobytes():
        raise Finding("NumPy reads other elements")
    return True


def seeds() -> list[bytes]:
    """Small good files of every kind."""
    found = []
    for dtype in (*DTYPES, *map(np.dtype, STRUCTS)):
        for shape in ((), (3,), (2, 3), (2, 0, 3)):
            array = np.zeros(shape, dtype)
            for version in ((1, 0), (2, 0), (3, 0)):
                stream = io.BytesIO()
                try:
                    np.lib.format.write_array(stream, np.asfortranarray(array), version=version)
                except UnicodeEncodeError:
                    continue
                found.append(stream.getvalue())
            found.append(build_header(shape, dtype, size=128) + array.tobytes())
    return found


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
