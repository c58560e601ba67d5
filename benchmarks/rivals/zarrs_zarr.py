"""The cases of Zarr arrays by zarr-python with the codec pipeline of zarrs; needs that package."""

from __future__ import annotations

import zarr

from . import Job
from .python_zarr import PythonZarr


class ZarrsZarr(PythonZarr):
    def __init__(self, job: Job) -> None:
        super().__init__(job)
        import zarrs

        assert zarrs.__version__
        zarr.config.set(
            {
                "codec_pipeline.path": "zarrs.ZarrsCodecPipeline",
                "codec_pipeline.chunk_concurrent_maximum": job.workers,
            }
        )


RIVAL = ZarrsZarr
