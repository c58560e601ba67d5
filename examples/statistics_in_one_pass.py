"""Mean, spread, extremes and histogram of a large file, all of them in one pass over it."""

import argparse
import os

import numpy as np

import oocarray as oo

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--size", type=int, default=20_000_000, help="number of values")
parser.add_argument("--memory", default="256 MiB")
parser.add_argument("--folder", default=".")
options = parser.parse_args()


def noise(block_id, values):
    return np.random.default_rng(block_id).normal(size=values)


blocks, values = -(-options.size // 1_000_000), min(options.size, 1_000_000)
path = os.path.join(options.folder, "noise.npy")
made = oo.map_blocks(noise, values=values, chunks=((values,) * blocks,), dtype="float64")
x = made.store(path, overwrite=True, memory=options.memory)

counts, edges = x.histogram(9, range=(-4.5, 4.5))
mean, spread, low, high, counts = oo.compute(
    x.mean(), x.std(), x.min(), x.max(), counts, memory=options.memory
)
print(f"{x.size} values: mean {mean:.4f}, std {spread:.4f}, from {low:.2f} to {high:.2f}")
for count, left in zip(counts, edges[:-1], strict=True):
    print(f"{left:5.1f} {'#' * round(60 * count / counts.max())}")
