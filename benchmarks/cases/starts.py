"""Programs that measure what a fresh process pays: imports, a pool, a first result."""

from __future__ import annotations

from .records import Fresh, Settings, Target

__all__ = ["cases", "targets"]

_IMPORT = """
import time
begin = time.perf_counter()
import {module}
{use}
print('{{"seconds": %r}}' % (time.perf_counter() - begin))
"""

# A worker is ready when it sleeps with its listening thread there: it waits for work.
_READY = """
import os, sys, time
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
print('{"seconds": %r}' % (time.perf_counter() - begin))
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
print('{"seconds": %r}' % seconds)
"""


def cases(settings: Settings) -> list[Fresh]:
    """Import, two workers that wait for work, and a map over 1 MiB."""
    imports = {name: _IMPORT.format(module=name, use="") for name in ("numpy", "oocarray")}
    # Names that are imported when first asked for are not free, only later.
    imports["oocarray.open"] = _IMPORT.format(module="oocarray", use="oocarray.open")
    return [
        Fresh("import", "starts", "import, in a fresh process", imports, starts=2),
        Fresh("ready", "starts", "two workers ready", {"oocarray": _READY}),
        Fresh("first", "starts", "first result, fresh process", {"oocarray": _FIRST}, ("small",)),
    ]


def targets(settings: Settings) -> list[Target]:
    """Seconds, NumPy's own import taken off."""
    least = {"most": True, "unit": "s"}
    return [
        Target("import", "more than import numpy", 0.030, "oocarray", less="numpy", **least),
        Target("import", "more, with oocarray.open", 0.030, "oocarray.open", less="numpy", **least),
        Target("ready", "to two workers ready", 0.5, "oocarray", **least),
        Target("first", "to a first result of 1 MiB", 0.8, "oocarray", **least),
    ]
