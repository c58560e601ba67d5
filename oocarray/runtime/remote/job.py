"""Says what the workers of a client are told of a stage; records only, nothing is opened."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from ...plan import Blocks, Partials, Stage
from ...storage.filekey import FileKey
from ...storage.layout import Strided
from ..forwarding import least_level
from ..job import Job
from ..limits import Limits

__all__ = ["Room", "files_of", "job_of"]

Files = tuple[tuple[FileKey, bool], ...]


@dataclass(frozen=True, slots=True)
class Room:
    """Stands for an array of the coordinator: its blocks travel back."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def files_of(stage: Stage) -> Files:
    """Every file that holds one array of a stage, and whether it is written."""
    found: dict[tuple[int, int], tuple[FileKey, bool]] = {}

    def want(sources: Iterable[Any], writable: bool) -> None:
        for source in sources:
            if isinstance(source, Strided) and source.size:
                name = source.file.dev, source.file.ino
                _, before = found.get(name, (source.file, False))
                found[name] = source.file, before or writable

    want((access.source for access in stage.reads), False)
    want((write.target for write in stage.writes if isinstance(write, Blocks)), True)
    return tuple(found.values())


def job_of(
    stage: Stage,
    number: int,
    files: Files,
    policy: Literal["resident", "stream"],
    limits: Limits,
    fresh: tuple[int, ...],
    drop: bool,
) -> Job:
    """The job of a stage, but for its functions."""
    writes = tuple(
        replace(write, reduction=None) if isinstance(write, Partials) else _empty(write)
        for write in stage.writes
    )
    return Job(
        number=number,
        stage=replace(stage, kernel=None, writes=writes),
        kernel=None,
        files=files,
        policy=policy,
        drop=drop,
        fresh=fresh,
        on_error=limits.on_error,
        fill_value=limits.fill_value,
        errstate=np.geterr(),
        log_level=least_level(),
        tuning=limits.tuning,
    )


def _empty(write: Any) -> Any:
    """A write into memory of the coordinator: workers need no more than shape and dtype."""
    if isinstance(write, Blocks) and not hasattr(write.target, "file"):
        return replace(write, target=Room(tuple(write.target.shape), write.target.dtype))
    return write
