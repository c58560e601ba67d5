"""Every public callable, and why some of them are no operations on arrays."""

from __future__ import annotations

import numpy as np

import oocarray as oo

_REASONS = {
    "names a file; what is opened or created is the input of cases": """
        oo.create oo.open oo.open_group oo.Group
    """,
    "tells of dtypes or shapes, and makes no array": """
        oo.broadcast_shapes oo.can_cast oo.finfo oo.iinfo oo.isdtype oo.promote_types
        oo.result_type
    """,
    "runs a computation: the suite itself goes through it": """
        oo.compute oo.options oo.Future oo.Store Array.compute Array.explain Array.try_block
        Array.compute_chunk_sizes
    """,
    "writes, or keeps; see test_writing": """
        oo.store Array.store oo.persist Array.persist oo.update_blocks Array.append
    """,
    "the same array for dask; see test_writing": "Array.to_dask",
    "what unique_all and others return": """
        oo.UniqueAllResult oo.UniqueCountsResult oo.UniqueInverseResult
    """,
    "computes by each backend, in processes of its own": "oo.compare oo.Comparison",
    "the class; its methods have cases": "oo.Array",
    "tells where an array lies, or lets go of it": """
        Array.close Array.layout Array.memmap Array.mode Array.node Array.attrs Array.dims
        Array.writable Array.device Array.tree Array.__enter__ Array.__exit__
    """,
    "the array as it is in the file, or what compute() gives": "Array.read",
    "a fact that is known before anything is computed": """
        Array.chunks Array.chunksize Array.dtype Array.itemsize Array.nbytes Array.ndim
        Array.npartitions Array.numblocks Array.shape Array.size Array.__len__
    """,
    "a protocol: what it calls are operations with cases": """
        Array.__array__ Array.__array_function__ Array.__array_namespace__ Array.__array_ufunc__
        Array.__dlpack__ Array.__dlpack_device__
    """,
    "computes the array and makes a Python object of it": """
        Array.__bool__ Array.__complex__ Array.__contains__ Array.__float__ Array.__index__
        Array.__int__ Array.item Array.tolist
    """,
    "goes through blocks in this process, one by one": "Array.iter_blocks Array.__iter__",
}
NOT_OPERATIONS: dict[str, str] = {
    name: reason for reason, names in _REASONS.items() for name in names.split()
}
# What every Python object has, also where a class has its own.
_OBJECTS = {*dir(object), "__slots__", "__weakref__", "__module__", "__annotations__", "__dict__"}
_COMPARISONS = {"__lt__", "__le__", "__gt__", "__ge__", "__eq__", "__ne__"}


def public() -> set[str]:
    """Names of all callables of the package, its namespaces and its arrays."""
    found = {f"oo.linalg.{name}" for name in oo.linalg.__all__}
    for name in oo.__all__:
        value = getattr(oo, name)
        if isinstance(value, type) and issubclass(value, (BaseException, np.generic)):
            continue
        if callable(value):
            found.add(f"oo.{name}")
    for name in dir(oo.Array):
        dunder = name.startswith("__") and name.endswith("__")
        if (dunder and name not in _OBJECTS - _COMPARISONS) or not name.startswith("_"):
            found.add(f"Array.{name}")
    return found
