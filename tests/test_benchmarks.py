"""Runs the benchmarks on a small array: they run, check and report; compares no speeds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]


def engine(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.engine", *map(str, arguments)]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100
    )


def bench_groups() -> set[str]:
    base = Path("/sys/fs/cgroup")
    return {str(path) for path in base.rglob("oocarray-bench-*")} if base.is_dir() else set()


def test_io_cases_run_and_are_recorded(tmp_path: Path) -> None:
    groups, data, file = bench_groups(), tmp_path / "data", tmp_path / "result.jsonl"
    options = ("--cases", "mean,map,update", "--size", "8MiB", "--rounds", "1")
    done = engine(*options, "--data", data, "--json", file)
    assert done.returncode == 0, done.stdout + done.stderr

    records: list[dict[str, Any]] = [json.loads(line) for line in file.read_text().splitlines()]
    machine = records[0]
    assert machine["record"] == "machine"
    assert (machine["size"], machine["budget"], machine["limit"]) == (8 << 20, 256 << 20, 1 << 30)
    assert set(machine["versions"]) == {"oocarray", "numpy", "numba", "dask", "zarr"}

    rounds = [record for record in records if record["record"] == "round"]
    three = {"oocarray", "dask + zarr", "memmap loop"}
    expected = {(case, rival) for case in ("mean", "map") for rival in three}
    expected |= {("update", "oocarray"), ("update", "memmap loop")}
    assert {(record["case"], record["rival"]) for record in rounds} == expected
    assert len(rounds) == len(expected)
    for record in rounds:
        assert record["seconds"] > 0
        assert record["cpu_seconds"] >= 0
        assert record["bytes"] == 8 << 20
        assert record["gb_per_second"] == pytest.approx((8 << 20) / 1e9 / record["seconds"])
        # The clock of a process ticks a hundred times a second.
        if record["cpu_seconds_cgroup"] is not None:
            assert record["cpu_seconds"] == pytest.approx(record["cpu_seconds_cgroup"], abs=0.1)

    by = {(record["case"], record["rival"]): record["seconds"] for record in rounds}
    targets = [record for record in records if record["record"] == "target"]
    assert [(target["case"], target["wanted"]) for target in targets] == [
        ("mean", 2.0),
        ("mean", 1.4),
        ("mean", 0.09),
        ("map", 2.0),
        ("map", 2.3),
        ("update", 1.2),
    ]
    ratio = by["mean", "dask + zarr"] / by["mean", "oocarray"]
    assert targets[0]["found"] == pytest.approx(ratio)
    assert targets[0]["reached"] == (ratio >= 2.0)

    assert "free" in done.stdout.splitlines()[0]
    assert "reached" in done.stdout or "missed" in done.stdout
    assert list(data.iterdir()) == []
    assert bench_groups() <= groups


def test_a_disk_without_room_is_not_filled(tmp_path: Path) -> None:
    done = engine("--size", "1 EiB", "--cases", "map", "--data", tmp_path)
    assert done.returncode == 2
    assert "needs 3 EiB in" in done.stdout
    assert "not started" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_unknown_cases_are_named() -> None:
    done = engine("--cases", "mean,sort")
    assert done.returncode == 2
    assert "sort; there are mean, map, update" in done.stderr


def test_a_wrong_result_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks.cases import make_cases
    from benchmarks.data import Data

    cases, data = make_cases(1 << 20, 2), Data(tmp_path, 40 << 20)
    data.make_source()
    x = np.load(data.source, mmap_mode="r")
    right = x[data.rows, data.columns]
    assert right.tolist() == data.values().tolist()
    assert data.mean == pytest.approx(float(x.mean()), rel=1e-13)

    assert cases["mean"].compare(data, data.mean, None) == ""
    assert "the mean is" in cases["mean"].compare(data, data.mean * (1 + 1e-11), None)
    assert cases["map"].compare(data, (2 * right + 1).tolist(), None) == ""
    assert cases["update"].compare(data, (0.5 * right + 1).tolist(), right.tolist()) == ""
    wrong = 2 * right + 1
    wrong[-1] = 0.0
    place = (data.rows[-1], data.columns[-1])
    assert cases["map"].compare(data, wrong.tolist(), None).startswith(f"element {place} is 0.0")
    assert "element" in cases["update"].compare(data, right.tolist(), right.tolist())
