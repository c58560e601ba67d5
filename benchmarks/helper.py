"""The process of one rival: it waits for a line on its standard input, works, and answers with one.

Started as ``python -m benchmarks.helper RIVAL JOB [CGROUP...]``.  It enters its control groups
before it imports anything large, so that all it ever holds is counted there.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
import time
import traceback
from typing import Any


def main(rival: str, job: str, *groups: str) -> int:
    """Serve until the other end closes."""
    for group in groups:
        with open(os.path.join(group, "cgroup.procs"), "w") as stream:
            stream.write(str(os.getpid()))
    # What a library prints shall not get between the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def answer(content: dict[str, Any]) -> None:
        answers.write(json.dumps(content) + "\n")

    import importlib

    from benchmarks.rivals import Job

    try:
        module = importlib.import_module(f"benchmarks.rivals.{rival}")
        worker = module.RIVAL(Job(**json.loads(job)))
    except Exception:
        answer({"error": traceback.format_exc()})
        return 1
    answer({"ready": os.getpid()})
    for line in sys.stdin:
        try:
            answer(_obey(worker, json.loads(line)))
        except Exception:
            answer({"error": traceback.format_exc()})
    with contextlib.suppress(Exception):
        worker.close()
    return 0


def _obey(worker: Any, order: dict[str, Any]) -> dict[str, Any]:
    if order["do"] == "sample":
        values = worker.sample(order["written"], order["places"])
        return {"values": values.tolist()}
    if order["do"] == "tidy":
        # Garbage of what was done before is not the next run's, nor is the time to find it.
        gc.collect()
        return {}
    method = getattr(worker, order["method"])
    seconds, value = [], None
    for _ in range(order["calls"]):
        begin = time.perf_counter()
        value = method(**order["arguments"])
        seconds.append(time.perf_counter() - begin)
    return {"seconds": seconds, "value": value}


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
