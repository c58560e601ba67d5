"""The cases by oocarray, as its documentation shows them; no option that a user could not give."""

from __future__ import annotations

import os

import oocarray as oo

from . import Job, Rival


@oo.kernel
def twice_plus_one(out, x):
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = 2.0 * x[i, j] + 1.0


@oo.kernel
def scale(block, factor, term):
    for i in range(block.shape[0]):
        for j in range(block.shape[1]):
            block[i, j] = factor * block[i, j] + term


@oo.kernel
def logistic(out, x):
    """Hundreds of dependent steps per element: memory has nothing to do."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            value = x[i, j]
            for _ in range(600):
                value = 3.7 * value * (1.0 - value)
            out[i, j] = value


class Ours(Rival):
    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._options = {
            "memory": job.memory,
            "workers": job.workers,
            "scheduler": job.scheduler,
            "progress": False,
        }

    def mean(self) -> float:
        with oo.options(**self._options):
            return float(oo.open(self.job.source).mean().compute())

    cached = mean

    def map(self) -> None:
        x = oo.open(self.job.source)
        y = oo.map_blocks(twice_plus_one, x, dtype="f8")
        y.store(self.job.out, durability="machine", **self._options)

    def update(self) -> None:
        with oo.options(**self._options):
            x = oo.open(self.job.work, mode="r+")
            oo.update_blocks(scale, x, self.job.factor, self.job.term)
        fd = os.open(self.job.work, os.O_RDWR)
        try:
            os.fdatasync(fd)
        finally:
            os.close(fd)

    def scaling(self) -> float:
        x = oo.open(self.job.heavy, chunks=(4, -1))
        y = oo.map_blocks(logistic, x, dtype="f8").compute(**self._options)
        return float(y[-1, -1])


RIVAL = Ours
