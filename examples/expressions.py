"""NumPy on files larger than memory: an index of two bands, a mask, statistics, a correction."""

import argparse
import os

import numpy as np

import oocarray as oo

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--shape", type=int, nargs=2, default=(20_000, 5_000))
parser.add_argument("--memory", default="64 MiB")
parser.add_argument("--folder", default=".")
options = parser.parse_args()

red = oo.create(os.path.join(options.folder, "red.npy"), options.shape, "u2", overwrite=True)
near = oo.create(os.path.join(options.folder, "near.npy"), options.shape, "u2", overwrite=True)
with oo.options(memory=options.memory):
    # Assignment goes straight into the files, block by block.
    red[:] = 400 + 100 * (oo.arange(options.shape[1]) % 3)
    near[:] = red * 2
    near[: options.shape[0] // 2] += 200

    index = (near - red.astype("f4")) / (near + red)  # lazy: nothing is read yet
    green = index > 0.35
    high = index[green]  # how many there are is not known yet
    share, mean, top = oo.compute(green.mean(), high.mean(), high.max())  # counted, then read
    print(f"{share:.0%} of the area is green, {mean:.3f} on average, {top:.3f} at most")

    path = os.path.join(options.folder, "index.npy")
    np.where(green, index, np.float32(0)).store(path, overwrite=True)
    print(f"{len(high)} of {index.size} values are in {path}")
