"""Measures what a fresh process pays: imports, a pool, a first result; no large data."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["run_fresh"]

_STARTS = 15

_IMPORT = """
import time
begin = time.perf_counter()
import {module}
{use}
print(time.perf_counter() - begin)
"""

# A worker is ready when it sleeps with its listening thread there: it waits for work.
_READY = """
import os, time
from oocarray.runtime.processes import ProcessPool

def ready(pid):
    states = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/stat") as stream:
            states.append(stream.read().rpartition(")")[2].split()[0])
    return len(states) > 1 and set(states) == {"S"}

begin = time.perf_counter()
pool = ProcessPool(2)
pool.warm(kernels=True)
# The first is the server they are forked from.
while len(pool.pids) < 3 or not all(ready(pid) for pid in pool.pids[1:]):
    pool.wait(0.001)
print(time.perf_counter() - begin)
pool.close()
"""

_FIRST = """
import sys, time
begin = time.perf_counter()
import oocarray as oo

@oo.kernel
def twice_plus_one(out, x):
    for i in range(x.size):
        out[i] = 2.0 * x[i] + 1.0

x = oo.open(sys.argv[1])
y = oo.map_blocks(twice_plus_one, x, dtype="f8").compute(workers=2, progress=False)
seconds = time.perf_counter() - begin
assert y[3] == 7.0 and y[-1] == 2.0 * y.size - 1.0
print(seconds)
"""


def run_fresh(
    names: list[str], folder: Path, rounds: int, record: Callable[[dict[str, Any]], None]
) -> None:
    """Run the cases "import", "ready" and "first" as far as they are named."""
    small = folder / "small.npy"
    np.save(small, np.arange((1 << 20) // 8, dtype="f8"))
    if "import" in names:
        codes = {name: _IMPORT.format(module=name, use="") for name in ("numpy", "oocarray")}
        # Names that are imported when first asked for are not free, only later.
        codes["oocarray.open"] = _IMPORT.format(module="oocarray", use="oocarray.open")
        _take_turns("import", codes, _STARTS, [], record)
    if "ready" in names:
        _take_turns("ready", {"oocarray": _READY}, max(rounds, 5), [], record)
    if "first" in names:
        _take_turns("first", {"oocarray": _FIRST}, max(rounds, 5), [str(small)], record)


def _take_turns(
    case: str,
    codes: dict[str, str],
    starts: int,
    arguments: list[str],
    record: Callable[[dict[str, Any]], None],
) -> None:
    for number in range(starts + 1):
        for name, code in codes.items():
            begin = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-c", code, *arguments],
                capture_output=True,
                text=True,
                timeout=120,
                env={**os.environ, "PYTHONWARNINGS": "ignore"},
            )
            whole = time.perf_counter() - begin
            if done.returncode:
                reason = done.stderr.strip()
                record({"record": "failure", "case": case, "rival": name, "reason": reason})
                return
            if number:  # the first start warms files and the cache of kernels
                record(
                    {
                        "record": "round",
                        "case": case,
                        "rival": name,
                        "round": number,
                        "seconds": float(done.stdout),
                        "process_seconds": whole,
                    }
                )
