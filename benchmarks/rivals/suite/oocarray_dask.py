"""The suite by our ``backend="dask"``, to be held against what an expert wrote for dask by hand."""

from __future__ import annotations

from .. import Job
from .oocarray_ import OOCArray


class BackendDask(OOCArray):
    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._options["backend"] = "dask"


RIVAL = BackendDask
