"""Calibrate raw counts of a camera, frame by frame, into a new file of float32."""

import argparse
import os

import numpy as np

import oocarray as oo

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--shape", type=int, nargs=3, default=(200, 512, 512))
parser.add_argument("--folder", default=".")
options = parser.parse_args()


@oo.kernel
def calibrate(out, counts, dark, gain):
    for t in range(out.shape[0]):
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                out[t, i, j] = (counts[t, i, j] - dark[i, j]) * gain


raw_path, new_path = (os.path.join(options.folder, n) for n in ("raw.npy", "calibrated.npy"))
raw = oo.create(raw_path, options.shape, "uint16", fill_value=1100, overwrite=True)
dark = np.full(options.shape[1:], 100, np.float32)  # an ordinary array: every block gets all of it

result = oo.map_blocks(calibrate, raw, dark, 0.5, dtype="float32").store(new_path, overwrite=True)
print(f"{result.nbytes / 1e6:.0f} MB in {new_path}, the first pixel is {result[0, 0, 0].compute()}")
