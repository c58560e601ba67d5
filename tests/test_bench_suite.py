"""Runs the benchmark suite on tiny arrays: it runs, checks and records; compares no speeds."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.suite.cases import CASES, RIVALS
from benchmarks.suite.clock import Clock
from benchmarks.suite.data import PLANE_BYTES, Dataset
from benchmarks.suite.device import Disk
from benchmarks.suite.journal import Journal
from benchmarks.suite.settings import Settings, fitting
from benchmarks.suite.sitting import Sitting, Table
from benchmarks.suite.suite import Share, Suite
from benchmarks.suite.terminal import show
from benchmarks.suite.tuning import Tuner

ROOT = Path(__file__).resolve().parents[1]
MIB = 1 << 20
RUN_FIELDS = (
    *("kind", "sweep", "case", "rival", "state", "round", "size", "memory", "workers"),
    *("chunk_bytes", "outcome", "message", "wall", "cpu", "peak", "peak_cache"),
    *("read", "written", "planned_read", "planned_written"),
)


@pytest.mark.slow
def test_suite_runs_and_is_recorded(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    command = [sys.executable, "-m", "benchmarks", "--cases", "mean,map", "--rounds", "1"]
    command += ["--rivals", "oocarray,numpy", "--size", "8MiB", "--memory", "64MiB"]
    command += ["--sweeps", "none", "--data", str(data), "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr

    records = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert records[0]["kind"] == "machine"
    assert records[0]["size"] == 8 * MIB
    assert records[-1]["kind"] == "end"
    runs = [record for record in records if record["kind"] == "run"]
    found = {(run["case"], run["rival"], run["state"]) for run in runs}
    pairs = [(case, rival) for case in ("mean", "map") for rival in ("oocarray", "numpy")]
    assert found == {(*pair, state) for pair in pairs for state in ("cold", "warm")}
    for run in runs:
        assert set(run) == set(RUN_FIELDS)
        assert run["outcome"] in ("ok", "over"), run
        assert run["wall"] > 0
    tuned = [record for record in records if record["kind"] == "tuning"]
    # Each once, or twice where the small array left it open.
    assert {(record["case"], record["rival"]) for record in tuned} == {
        ("mean", "numpy"),
        ("map", "numpy"),
    }
    assert "mean, 8 MiB" in done.stdout
    assert not data.exists() or not list(data.iterdir())


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return Dataset(tmp_path / "main", 2 * PLANE_BYTES)


def test_expected_values_are_those_of_numpy(data: Dataset) -> None:
    data.provide({"a", "b", "work", "zarr"})
    x: Any = np.load(data.path("a"))
    columns = [x.mean(axis=0), x.std(axis=0), x.min(axis=0), x.max(axis=0)]
    formula = (np.sin(x) ** 2 + np.cos(x) * np.exp(-np.abs(x))).mean()
    assert not data.wrong(CASES["mean"], x.mean(), None, "")
    assert not data.wrong(CASES["columns"], columns, None, "")
    assert not data.wrong(CASES["transcendental"], formula, None, "")

    outputs = {
        "map": 2 * x + 1,
        "two": x * np.load(data.path("b")) + 1,
        "zscore": (x - columns[0]) / columns[1],
    }
    for name, made in outputs.items():
        np.save(data.path("out"), made)
        assert not data.wrong(CASES[name], None, None, "out")
    assert np.array_equal(data.samples("zarr"), data.samples("work"))

    before = data.samples("work")
    work = np.load(data.path("work"), mmap_mode="r+")
    work *= 1.01
    assert not data.wrong(CASES["update"], None, before, "work")


def test_a_cube_is_the_same_file(data: Dataset) -> None:
    data.provide({"a"}, cube=True)
    x = np.load(data.path("a"), mmap_mode="r")
    assert x.ndim == 3
    quarter = x.shape[1] // 4
    means = x[:, quarter : 3 * quarter].mean(axis=(1, 2))
    assert not data.wrong(CASES["slab"], means, None, "")
    data.provide({"a"})
    assert np.load(data.path("a"), mmap_mode="r").ndim == 2


def test_a_wrong_result_is_told(data: Dataset) -> None:
    data.provide({"a"})
    assert "differ" in data.wrong(CASES["mean"], 7.0, None, "")
    np.save(data.path("out"), np.zeros(3))
    assert "shape" in data.wrong(CASES["map"], None, None, "out")
    data.remove("out")
    assert data.wrong(CASES["map"], None, None, "out")


def test_who_fails_is_a_result(tmp_path: Path, data: Dataset) -> None:
    tiny = Dataset(tmp_path / "tiny", PLANE_BYTES)
    data.provide({"a"})
    data.path("a").write_bytes(b"no array")
    table = Table(tiny, Disk(tmp_path), 1)
    sitting = Sitting(table, CASES["mean"], RIVALS["numpy"], data, 64 * MIB, 1, 60.0)
    (found,) = sitting.runs([("cold", MIB), ("warm", MIB)])
    assert found["outcome"] == "failed"
    assert found["wall"] is None
    assert found["message"]


def test_who_is_over_time_is_a_result(tmp_path: Path, data: Dataset) -> None:
    data.provide({"a"})
    table = Table(Dataset(tmp_path / "tiny", PLANE_BYTES), Disk(tmp_path), 1)
    sitting = Sitting(table, CASES["mean"], RIVALS["numpy"], data, 64 * MIB, 1, 0.0)
    (found,) = sitting.runs([("cold", MIB)])
    assert found["outcome"] == "timeout"


def test_no_more_than_half_of_the_disk_is_used() -> None:
    settings = Settings(size=1 << 30, cases=("mean", "map"), rivals=("numpy",))
    assert fitting(settings, 100 << 30) == 1 << 30
    assert fitting(settings, 1 << 30) <= 1 << 28


def _tuner(tmp_path: Path, data: Dataset, walls: dict[int, float]) -> tuple[Tuner, io.StringIO]:
    """A tuner whose rivals take as long as said on the full files; others are killed there."""

    class Seat:
        def __init__(self, *_: Any) -> None:
            pass

        def runs(self, plan: list[tuple[str, int]]) -> Iterator[dict[str, Any]]:
            ((state, chunk),) = plan
            assert state == "cold"
            wall = walls.get(chunk)
            yield {"outcome": "killed" if wall is None else "ok", "wall": wall}

    stream: Any = io.StringIO()
    journal = Journal(stream, lambda _: None)
    small = Dataset(tmp_path / "small", PLANE_BYTES)
    seat: Any = Seat
    return Tuner(Settings(), journal, Clock(1.0), small, seat), stream


def test_the_full_files_settle_what_is_close(tmp_path: Path, data: Dataset) -> None:
    case, rival = CASES["mean"], RIVALS["dask"]
    named = case.name, rival.name
    tried = {4 * MIB: 1.0, 16 * MIB: 1.2, 64 * MIB: 1.4}
    tuner, stream = _tuner(tmp_path, data, {4 * MIB: 9.0, 16 * MIB: 6.0})
    tuner._choose(case, rival, tuner.small, tried)
    assert tuner.close[named] == (4 * MIB, 16 * MIB)
    tuner.settle(case, rival, data)
    assert tuner.chunks[named] == 16 * MIB
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["size"], first["chunk_bytes"]) == (tuner.small.nbytes, 4 * MIB)
    assert (second["size"], second["chunk_bytes"]) == (data.nbytes, 16 * MIB)
    assert second["tried"] == {str(4 * MIB): 9.0, str(16 * MIB): 6.0}

    # The best was killed on the full files.
    tuner, _ = _tuner(tmp_path, data, {16 * MIB: 6.0})
    tuner._choose(case, rival, tuner.small, tried)
    tuner.settle(case, rival, data)
    assert tuner.chunks[named] == 16 * MIB

    # Nobody comes near the best: nothing is tried.
    tuner, stream = _tuner(tmp_path, data, {})
    tuner._choose(case, rival, tuner.small, {4 * MIB: 1.0, 16 * MIB: 1.6})
    tuner.settle(case, rival, data)
    assert tuner.chunks[named] == 4 * MIB
    assert len(stream.getvalue().splitlines()) == 1


def test_chunks_are_settled_where_there_is_time(tmp_path: Path) -> None:
    settings = Settings(size=1 << 30, cases=("mean",), rivals=("numpy",), sweeps=(), minutes=10)
    suite = Suite(settings, tmp_path, Journal(io.StringIO(), lambda _: None))
    case, named = CASES["mean"], ("mean", "numpy")
    suite.tuner.chunks[named] = 4 * MIB
    without = suite._cost(case, Share(3))
    suite.tuner.close[named] = 4 * MIB, 16 * MIB
    sitting = suite.clock.sitting(*named, suite.data.nbytes, 1)
    assert suite._cost(case, Share(3)) == pytest.approx(without + 2 * sitting)
    assert suite._cost(case, Share(3, settles=False)) == pytest.approx(without)
    assert suite._afford([case]) == Share(3)
    suite.clock.total = 20.0
    assert not suite._afford([case]).settles


def test_time_that_is_left() -> None:
    clock = Clock(1.0)
    unknown = clock.sitting("mean", "numpy", 1 << 30, 1)
    clock.learn("mean", "numpy", 1 << 30, 0.5)
    assert clock.sitting("mean", "numpy", 1 << 30, 1) < unknown
    assert clock.left() <= 60
    clock.compare(30.0, 90.0)
    assert clock.factor == pytest.approx(3.0)


def test_tables_show_who_was_killed(capsys: pytest.CaptureFixture[str]) -> None:
    run: dict[str, Any] = dict.fromkeys(RUN_FIELDS)
    run |= {"kind": "run", "sweep": "main", "case": "map", "rival": "numpy-naive", "size": MIB}
    run |= {"round": 1, "state": "cold", "outcome": "killed", "message": "", "planned_read": MIB}
    over = {**run, "sweep": "memory", "memory": MIB}
    show([run, over, {"kind": "left_out", "what": "rounds", "why": "no time"}])
    shown = capsys.readouterr().out
    assert shown.count("killed") == 2
    assert "left out: rounds: no time" in shown
