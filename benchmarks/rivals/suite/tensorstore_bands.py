"""The suite by TensorStore: bands of chunks, the next one read while this one is worked on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tensorstore as ts

from .. import Job
from . import blocks
from .zarr_bands import ZarrBands


class TensorstoreBands(ZarrBands):
    def __init__(self, job: Job) -> None:
        super().__init__(job)
        limits = {"data_copy_concurrency": {"limit": self.workers}}
        self._context = ts.Context({**limits, "cache_pool": {"total_bytes_limit": 0}})

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

    def _bands(self, z: Any, chunk: int) -> Iterator[tuple[slice, Any]]:
        ahead: tuple[slice, Any] | None = None
        for rows in blocks(z.shape[0], 8 * z.shape[1], chunk):
            coming = rows, z[rows].read(order="C")
            if ahead is not None:
                yield ahead[0], ahead[1].result()
            ahead = coming
        if ahead is not None:
            yield ahead[0], ahead[1].result()


RIVAL = TensorstoreBands
