"""The suite by TensorStore: its own reads and writes go on while threads work on other bands.

It takes no part where a case's input has no Zarr copy, or where the work is in place.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorstore as ts

from .. import Job
from .zarr_bands import ZarrBands


class TensorstoreBands(ZarrBands):
    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._context = ts.Context(
            {
                "data_copy_concurrency": {"limit": self.workers},
                "cache_pool": {"total_bytes_limit": 0},
                # All is made durable at the end: chunk by chunk it takes longer.
                "file_io_sync": False,
            }
        )

    def _open(self, path: str) -> Any:
        return self._opened(path, open=True, read=True, write=False)

    def _create(self, path: str, z: Any) -> Any:
        layout = {"name": "regular", "configuration": {"chunk_shape": self._chunks(z)}}
        codecs = [{"name": "bytes", "configuration": {"endian": "little"}}]
        metadata = {"shape": list(z.shape), "data_type": "float64"}
        kept = {**metadata, "chunk_grid": layout, "codecs": codecs}
        return self._opened(path, kept, create=True)

    def _opened(self, path: str, metadata: Any = None, **options: Any) -> Any:
        spec: dict[str, Any] = {"driver": "zarr3", "kvstore": {"driver": "file", "path": path}}
        if metadata is not None:
            spec["metadata"] = metadata
        return ts.open(spec, context=self._context, **options).result()

    @staticmethod
    def _chunks(z: Any) -> list[int]:
        return list(z.chunk_layout.read_chunk.shape)

    def _read(self, z: Any, rows: slice) -> Any:
        return z[rows].read(order="C")

    def _write(self, out: Any, rows: slice, block: np.ndarray[Any, Any]) -> Any:
        return out[rows].write(block, can_reference_source_data_indefinitely=True)


RIVAL = TensorstoreBands
