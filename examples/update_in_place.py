"""Change an array where it lies: no second file, and no more memory than the budget."""

import argparse
import os

import oocarray as oo

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--shape", type=int, nargs=2, default=(20_000, 1_000))
parser.add_argument("--memory", default="64 MiB")
parser.add_argument("--folder", default=".")
options = parser.parse_args()


def shift_and_limit(block, offset, limit):
    block += offset
    block.clip(max=limit, out=block)


path = os.path.join(options.folder, "values.npy")
x = oo.create(path, options.shape, "float32", fill_value=1.5, overwrite=True)
with oo.options(memory=options.memory):
    oo.update_blocks(shift_and_limit, x, 2.0, limit=3.0)
    oo.update_blocks(shift_and_limit, x[: len(x) // 2], -1.0, limit=3.0)  # a view: half the rows
    print(f"upper half {x[0, 0].compute()}, lower half {x[-1, -1].compute()}, in {path}")
