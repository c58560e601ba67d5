"""The same work in every home: a mean, a map to a file, an update in place; it prints nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable

import numpy as np

import oocarray as oo

__all__ = ["ALL", "work"]

ALL = ("serial", "threads", "processes")
_SHAPE = (512, 1024)


def work(folder: str, schedulers: Iterable[str] = ALL, kernels: bool = True) -> None:
    """Do the work in `folder`, and raise AssertionError where a result is not as it should be.

    Parameters
    ----------
    folder : str
        Files are made here, and replaced.
    schedulers : iterable of str
    kernels : bool
        Whether compiled code is to be used too: a mean.
    """
    array = (np.arange(_SHAPE[0] * _SHAPE[1], dtype="f8") % 1009).reshape(_SHAPE)
    # More than 64 KiB: it travels by shared memory.
    large = np.linspace(0, 1, 16 * _SHAPE[1])

    def scale(block, weights, factor):
        return block * factor + weights[: block.shape[1]]

    def add(block, what):
        block += what

    source, target = os.path.join(folder, "source.npy"), os.path.join(folder, "target.npy")
    np.save(source, array)
    for scheduler in schedulers:
        with oo.options(scheduler=scheduler, workers=2, memory="64 MiB", progress=False):
            x = oo.open(source, chunks=(32, -1))
            oo.map_blocks(scale, x, large, 3.0, dtype="f8").store(target, overwrite=True)
            expected = array * 3.0 + large[: _SHAPE[1]]
            assert (np.load(target) == expected).all()
            oo.update_blocks(add, oo.open(target, mode="r+", chunks=(32, -1)), 1.5)
            assert (np.load(target) == expected + 1.5).all()
            # Less than the file: its pages pass through.
            with oo.options(memory="3 MiB"):
                negative = oo.map_blocks(np.negative, x, dtype="f8").compute(memory="6 MiB")
                assert (negative == -array).all()
                if kernels:
                    mean = x.mean().compute()
                    assert mean == array.sum() / array.size
