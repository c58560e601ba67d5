"""What the Array API standard asks a namespace to tell of itself; it holds no functions."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["VERSIONS", "Info", "namespace"]

VERSIONS = ("2022.12", "2023.12", "2024.12", "2025.12")
"""Of the standard; the last is what ``__array_api_version__`` says."""

_KINDS = {
    "bool": ("bool",),
    "signed integer": ("int8", "int16", "int32", "int64"),
    "unsigned integer": ("uint8", "uint16", "uint32", "uint64"),
    "real floating": ("float32", "float64"),
    "complex floating": ("complex64", "complex128"),
}
_KINDS["integral"] = (*_KINDS["signed integer"], *_KINDS["unsigned integer"])
_KINDS["numeric"] = (
    *_KINDS["integral"],
    *_KINDS["real floating"],
    *_KINDS["complex floating"],
)


class Info:
    """What ``__array_namespace_info__()`` returns; see the standard's "Inspection".

    Examples
    --------
    >>> Info().capabilities()["data-dependent shapes"], Info().default_device()
    (True, 'cpu')
    """

    def capabilities(self) -> dict[str, Any]:
        """Optional behaviour that there is."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> str:
        """Where arrays are: there is one place."""
        return "cpu"

    def devices(self) -> list[str]:
        """All places where arrays can be."""
        return ["cpu"]

    def default_dtypes(self, *, device: str | None = None) -> dict[str, np.dtype[Any]]:
        """Dtypes of what is made without a word on it."""
        _check(device)
        return {
            "real floating": np.dtype(np.float64),
            "complex floating": np.dtype(np.complex128),
            "integral": np.dtype(np.intp),
            "indexing": np.dtype(np.intp),
        }

    def dtypes(
        self, *, device: str | None = None, kind: str | tuple[str, ...] | None = None
    ) -> dict[str, np.dtype[Any]]:
        """The standard's dtypes, of some kinds.

        Raises
        ------
        ValueError
            An unknown kind, or another device than the CPU.
        """
        _check(device)
        if kind is None:
            kinds: tuple[str, ...] = ("bool", "numeric")
        else:
            kinds = (kind,) if isinstance(kind, str) else tuple(kind)
        if unknown := [one for one in kinds if one not in _KINDS]:
            raise ValueError(f"unsupported kind: {unknown[0]!r}; known are {', '.join(_KINDS)}")
        return {name: np.dtype(name) for one in kinds for name in _KINDS[one]}


def namespace(version: str | None = None) -> Any:
    """The namespace that arrays belong to: the package itself.

    Raises
    ------
    ValueError
        A version of the standard that it does not follow.
    """
    import oocarray

    if version is not None and version not in VERSIONS:
        raise ValueError(f"unsupported version of the array API: {version!r}; {VERSIONS}")
    return oocarray


def _check(device: str | None) -> None:
    if device not in (None, "cpu"):
        raise ValueError(f"device={device!r}; arrays are on the 'cpu' only")
