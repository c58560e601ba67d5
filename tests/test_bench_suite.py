"""Runs the benchmark suite on tiny arrays: it runs, checks and records; compares no speeds."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from benchmarks.__main__ import main
from benchmarks.client import Failure
from benchmarks.suite.cases import CASES, RIVALS
from benchmarks.suite.clock import Clock
from benchmarks.suite.data import PLANE_BYTES, Dataset
from benchmarks.suite.device import Disk
from benchmarks.suite.elements import elements_of
from benchmarks.suite.journal import Journal
from benchmarks.suite.settings import Settings, fitting
from benchmarks.suite.sitting import Sitting, Table
from benchmarks.suite.suite import MAIN_PART, Share, Suite
from benchmarks.suite.terminal import show
from benchmarks.suite.tuning import Tuner
from benchmarks.watch import Watch
from oocarray.pages import calls

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
    if "is in memory" in done.stderr:
        pytest.skip("the folder of temporary files is in memory")
    assert done.returncode == 0, done.stdout + done.stderr

    records = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert records[0]["kind"] == "machine"
    assert records[0]["size"] == 8 * MIB
    assert records[0]["cases"] == ["mean", "map"]
    assert records[0]["minutes"] == 55
    assert records[-1]["kind"] == "end"
    assert not records[-1]["interrupted"]
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
    data.path("out").write_bytes(b"")
    assert data.wrong(CASES["map"], None, None, "out")
    data.remove("out")
    assert data.wrong(CASES["map"], None, None, "out")
    assert data.wrong(CASES["columns"], [[1.0], [1.0, 2.0]], None, "")
    assert data.wrong(CASES["mean"], {}, None, "")


@pytest.mark.parametrize("kind", ["plain", "edges", "shards", "v2", "npy"])
def test_elements_are_read_one_by_one(tmp_path: Path, kind: str) -> None:
    value = np.arange(7.0 * 10).reshape(7, 10)
    value[4:, :4] = 9
    places = np.array([0, 3, 39, 40, 52, 69])
    path = tmp_path / ("x.npy" if kind == "npy" else "x.zarr")
    if kind == "npy":
        np.save(path, value)
    else:
        how: dict[str, Any] = {
            "plain": {"chunks": (7, 2)},
            "edges": {"chunks": (4, 4), "fill_value": 9.0},
            "shards": {"chunks": (2, 5), "shards": (4, 10)},
            "v2": {"chunks": (3, 3), "zarr_format": 2},
        }[kind]
        zarr.create_array(path, shape=(7, 10), dtype="f8", compressors=None, **how)[:] = value
    assert (kind == "edges") == (not (path / "c/1/0").exists() and (path / "c/1/1").exists())
    shape, found = elements_of(path, places)
    assert (shape, found.tolist()) == ((7, 10), value.ravel()[places].tolist())
    assert elements_of(path, np.array([0, 70]))[0] == (7, 10)  # another array than was expected


def test_elements_that_are_not_there(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((4, 4), "f4"))
    with pytest.raises(ValueError, match="dtype float32"):
        elements_of(tmp_path / "x.npy", np.array([0]))
    zarr.create_array(tmp_path / "y.zarr", shape=(4,), chunks=(2,), dtype="f8")
    with pytest.raises(ValueError, match="compressors"):
        elements_of(tmp_path / "y.zarr", np.array([0]))
    made = zarr.create_array(
        tmp_path / "z.zarr", shape=(4,), chunks=(2,), dtype="f8", compressors=None
    )
    made[:] = 1.0
    os.truncate(tmp_path / "z.zarr/c/1", 12)
    with pytest.raises(ValueError, match="too short"):
        elements_of(tmp_path / "z.zarr", np.array([0, 3]))


def test_little_beside_the_elements_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.zeros(1 << 23))
    with path.open("rb") as stream:
        os.fdatasync(stream.fileno())
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        elements_of(path, np.arange(0, 1 << 23, 1 << 18))
        found = calls.cached_bytes(stream.fileno(), 0, 1 << 26)
    if found is None:
        pytest.skip("this system does not tell what is cached")
    assert found <= 8 << 20  # the head by way of a stream, which reads ahead


def test_who_fails_is_a_result(tmp_path: Path, data: Dataset) -> None:
    tiny = Dataset(tmp_path / "tiny", PLANE_BYTES)
    data.provide({"a"})
    data.path("a").write_bytes(b"no array")
    table = Table(tiny, Disk(tmp_path))
    sitting = Sitting(table, CASES["mean"], RIVALS["numpy"], data, 64 * MIB, 1, 60.0)
    (found,) = sitting.runs([("cold", MIB), ("warm", MIB)])
    assert found["outcome"] == "failed"
    assert found["wall"] is None
    assert found["message"]


def test_who_is_over_time_is_a_result(tmp_path: Path, data: Dataset) -> None:
    data.provide({"a"})
    table = Table(Dataset(tmp_path / "tiny", PLANE_BYTES), Disk(tmp_path))
    sitting = Sitting(table, CASES["mean"], RIVALS["numpy"], data, 64 * MIB, 1, 0.0)
    (found,) = sitting.runs([("cold", MIB)])
    assert found["outcome"] == "timeout"


@pytest.mark.parametrize(
    "error", ["MemoryError: Unable to allocate 8 GiB", "distributed.scheduler.KilledWorker: (1, 2)"]
)
def test_who_has_too_little_memory_is_killed(
    tmp_path: Path, data: Dataset, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise Failure(f"Traceback\n  in a line\n{error}")

    monkeypatch.setattr("benchmarks.suite.sitting.Client", fails)
    table = Table(Dataset(tmp_path / "tiny", PLANE_BYTES), Disk(tmp_path))
    sitting = Sitting(table, CASES["mean"], RIVALS["numpy"], data, 64 * MIB, 1, 60.0)
    (found,) = sitting.runs([("cold", MIB)])
    assert (found["outcome"], found["message"]) == ("killed", error)


def test_warm_runs_come_once_where_memory_does_not_hold_the_files(tmp_path: Path) -> None:
    settings = Settings(size=1 << 30, memory=1 << 29, cases=("mean",), rivals=("numpy",), sweeps=())
    suite = Suite(settings, tmp_path, Journal(io.StringIO(), lambda _: None))
    both = ("cold", "warm")
    assert [suite._states(Share(3), number) for number in (1, 2)] == [both, ("cold",)]
    assert suite._states(Share(3, warm=False), 1) == ("cold",)
    fitting = replace(settings, memory=1 << 30)
    suite = Suite(fitting, tmp_path, Journal(io.StringIO(), lambda _: None))
    assert [suite._states(Share(3), number) for number in (1, 2)] == [both, both]


def test_files_that_the_case_before_leaves_cost_nothing(tmp_path: Path) -> None:
    settings = Settings(size=1 << 30, cases=("zscore", "zarr", "slab"), sweeps=())
    suite = Suite(settings, tmp_path, Journal(io.StringIO(), lambda _: None))
    for case in settings.chosen:
        suite.tuner.chunks[case.name, "oocarray"] = None
        suite.tuner.chunks[case.name, "zarr"] = 16 * MIB
    anew = [suite._made_anew(case) for case in settings.chosen]
    assert anew[:2] == [{"a", "zarr"}, set()]


def test_who_holds_too_much_goes_on(
    tmp_path: Path, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.suite.sitting.make_group", lambda _: "none here")
    monkeypatch.setattr("benchmarks.watch.Watch._unwritten", lambda _: 0)
    data.provide({"a"})
    table = Table(Dataset(tmp_path / "tiny", PLANE_BYTES), Disk(tmp_path))
    plan = [("cold", MIB), ("warm", MIB)]
    for memory, outcome in ((1, "over"), (64 * MIB, "ok")):
        sitting = Sitting(table, CASES["transcendental"], RIVALS["numpy"], data, memory, 1, 60.0)
        assert [found["outcome"] for found in sitting.runs(plan)] == [outcome, outcome]


def test_clean_pages_of_files_are_not_firm(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(0, None)
    looks = iter([(10, 20, 0), (15, 520, 7)])
    monkeypatch.setattr(watch, "_look", lambda: next(looks))
    monkeypatch.setattr(watch._stop, "wait", lambda _: True)
    with watch:
        pass
    assert (watch.peak, watch.firm) == (505, 12)


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
            outcome = "killed" if wall is None else "ok"
            yield {"outcome": outcome, "wall": wall, "chunk_bytes": chunk}

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
    run = tuner.settle(case, rival, data)
    assert run is not None
    assert (run["chunk_bytes"], run["wall"]) == (16 * MIB, 6.0)
    assert tuner.chunks[named] == 16 * MIB
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["size"], first["chunk_bytes"]) == (tuner.small.nbytes, 4 * MIB)
    assert (second["size"], second["chunk_bytes"]) == (data.nbytes, 16 * MIB)
    assert second["tried"] == {str(4 * MIB): 9.0, str(16 * MIB): 6.0}

    # The best was killed on the full files.
    tuner, _ = _tuner(tmp_path, data, {16 * MIB: 6.0})
    tuner._choose(case, rival, tuner.small, tried)
    assert tuner.settle(case, rival, data) == {**run, "wall": 6.0}
    assert tuner.chunks[named] == 16 * MIB

    # Nobody comes near the best: nothing is tried.
    tuner, stream = _tuner(tmp_path, data, {})
    tuner._choose(case, rival, tuner.small, {4 * MIB: 1.0, 16 * MIB: 1.6})
    assert tuner.settle(case, rival, data) is None
    assert tuner.chunks[named] == 4 * MIB
    assert len(stream.getvalue().splitlines()) == 1


def test_a_chunk_that_fails_leaves_the_others(tmp_path: Path, data: Dataset) -> None:
    case, rival = CASES["mean"], RIVALS["dask"]
    outcomes: dict[int, str] = {}

    class Trials:
        case, rival = CASES["mean"], RIVALS["dask"]

        def runs(self, plan: list[tuple[str, int]]) -> Iterator[dict[str, Any]]:
            for _, chunk in plan:
                outcome = outcomes[chunk // MIB]
                wall = 60.0 / chunk if outcome in ("ok", "over") else None
                yield {"chunk_bytes": chunk, "outcome": outcome, "wall": wall, "message": "why"}
                if outcome not in ("ok", "over"):
                    return

        def nothing(self, outcome: str, message: str) -> dict[str, Any]:
            return {"outcome": outcome, "message": message}

    def tried(*named: str) -> tuple[Tuner, list[dict[str, Any]]]:
        outcomes.update(zip((4, 16, 64, 128), named, strict=True))
        tuner, stream = _tuner(tmp_path, data, {})
        tuner.small.nbytes = 512 * MIB
        trials: Any = Trials()
        tuner._try(trials)
        return tuner, [json.loads(line) for line in stream.getvalue().splitlines()]

    tuner, (record,) = tried("killed", "ok", "wrong", "over")
    assert tuner.chunks[case.name, rival.name] == 16 * MIB
    assert [size is None for size in record["tried"].values()] == [True, False, True, True]

    tuner, _ = tried("killed", "over", "over", "failed")
    assert tuner.chunks[case.name, rival.name] == 64 * MIB

    tuner, (record,) = tried("killed", "timeout", "wrong", "failed")
    assert not tuner.chunks
    assert (record["outcome"], record["size"]) == ("failed", tuner.settings.size)
    assert record["message"] == "on files of 512 MiB: why"


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
    once = suite._cost(case, Share(1, False, settles=False))
    assert suite._cost(case, Share(1, False)) == pytest.approx(once + sitting)
    assert suite._afford([case]) == Share(3)
    suite.clock.total = 12.0
    assert not suite._afford([case]).settles


def test_the_better_trial_on_the_full_files_is_the_first_round(tmp_path: Path) -> None:
    settings = Settings(size=PLANE_BYTES, cases=("mean",), rivals=("numpy",), sweeps=())
    stream, case, named = io.StringIO(), CASES["mean"], ("mean", "numpy")
    suite = Suite(settings, tmp_path, Journal(stream, lambda _: None))
    suite.tuner.chunks[named] = 1 * MIB
    suite.tuner.close[named] = 1 * MIB, 2 * MIB
    suite._case(case, Share(1, False))
    records = [json.loads(line) for line in stream.getvalue().splitlines()]
    (tuning,) = [record for record in records if record["kind"] == "tuning"]
    (run,) = [record for record in records if record["kind"] == "run"]
    assert (run["sweep"], run["round"], run["outcome"]) == ("main", 1, "ok")
    assert run["chunk_bytes"] == tuning["chunk_bytes"]
    assert round(run["wall"], 4) == tuning["tried"][str(run["chunk_bytes"])]

    stream.truncate(0)
    suite.tuner.close[named] = 1 * MIB, 2 * MIB
    suite._case(case, Share(1))
    runs = [record for record in suite.journal.records if record["kind"] == "run"]
    assert [run["state"] for run in runs] == ["cold", "cold", "warm"]


def test_each_case_once_comes_before_sweeps(tmp_path: Path) -> None:
    settings = Settings(size=1 << 30, cases=("mean",), rivals=("numpy",), minutes=10)
    suite = Suite(settings, tmp_path, Journal(io.StringIO(), lambda _: None))
    case, least = CASES["mean"], Share(1, False, False)
    suite.tuner.chunks["mean", "numpy"] = 4 * MIB
    cost = suite.clock.factor * suite._cost(case, least)
    suite.clock.total = cost / 0.85
    assert suite._afford([case]) == least
    part = suite.main_part
    assert MAIN_PART < 0.85 < part < 1
    suite.clock.total = 10 * cost
    assert suite._afford([case]) == Share(3)
    assert suite.main_part == MAIN_PART
    suite.clock.total = cost / 10
    assert suite._afford([case]).rounds == 0


def test_time_that_is_left() -> None:
    clock = Clock(1.0)
    unknown = clock.sitting("mean", "numpy", 1 << 30, 1)
    clock.learn("mean", "numpy", 1 << 30, 0.5)
    known = clock.sitting("mean", "numpy", 1 << 30, 1)
    assert known < unknown
    # Of small files the start is the larger part: large ones tell better, the slowest run of them.
    clock.learn("mean", "numpy", 1 << 20, 0.5)
    assert clock.sitting("mean", "numpy", 1 << 30, 1) == known
    clock.learn("mean", "numpy", 1 << 30, 1.5)
    clock.learn("mean", "numpy", 1 << 30, 1.0)
    assert clock.sitting("mean", "numpy", 1 << 30, 2) == pytest.approx(known - 0.5 + 3.0)
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
    assert "nothing enforced" not in shown


def test_bytes_that_are_not_those_of_the_work_are_marked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run: dict[str, Any] = dict.fromkeys(RUN_FIELDS)
    run |= {"kind": "run", "sweep": "main", "case": "mean", "size": MIB, "message": "", "wall": 1}
    run |= {"round": 1, "state": "cold", "outcome": "ok", "planned_written": 0, "written": 5}
    run |= {"planned_read": MIB, "rival": "once", "read": 1.1 * MIB}
    show([run])
    assert "!" not in capsys.readouterr().out
    show([run, {**run, "rival": "twice", "read": 2 * MIB}])
    shown = capsys.readouterr().out
    assert "2.00 x !" in shown
    assert "! the disk moved other bytes" in shown
    assert shown.count("!") == 2


def test_tables_show_no_figure_that_does_not_count(capsys: pytest.CaptureFixture[str]) -> None:
    run: dict[str, Any] = dict.fromkeys(RUN_FIELDS)
    run |= {"kind": "run", "sweep": "main", "case": "map", "size": 10**9, "message": ""}
    run |= {"round": 1, "state": "cold", "planned_read": 0, "planned_written": 0}
    fast = {**run, "rival": "fast", "outcome": "over", "wall": 0.25, "message": "held 9 GiB"}
    slow = {**run, "rival": "slow", "outcome": "ok", "wall": 0.5, "message": "killed, done again"}
    wrong = {**run, "rival": "bad", "outcome": "wrong", "wall": 0.125, "message": "[/] differ"}
    runs = [fast, slow, wrong]
    show([*runs, *({**run, "sweep": "memory", "memory": MIB} for run in runs)])
    shown = capsys.readouterr().out
    assert shown.index("slow") < shown.index("fast") < shown.index("bad")
    assert "0.25*" in shown
    assert "* held more memory" in shown
    assert "4.00*" in shown
    assert "8.00" not in shown
    assert "map, slow, cold: ok: killed, done again" in shown
    assert shown.count("[/] differ") == 1


@pytest.mark.parametrize(
    "arguments", ["--rounds 0", "--workers 0", "--minutes 0", "--minutes nan", "--size 0"]
)
def test_nothing_cannot_be_asked_for(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments.split())
    assert ended.value.code == 2
    assert arguments.split()[0] in capsys.readouterr().err


def test_data_in_memory_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.__main__.machine", lambda _: {"filesystem": "tmpfs"})
    with pytest.raises(SystemExit) as ended:
        main(["--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")])
    assert ended.value.code == 2
    assert "--data" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_interrupted_run_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: Suite) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Suite, "run", interrupt)
    monkeypatch.setattr("benchmarks.__main__.machine", lambda _: {"filesystem": "ext4"})
    monkeypatch.setattr("benchmarks.__main__._write_page", lambda _: None)
    # Handlers of signals would outlive the test.
    monkeypatch.setattr("signal.signal", lambda *_: None)
    out = tmp_path / "out"
    assert main(["--size", "8MiB", "--data", str(tmp_path / "data"), "--out", str(out)]) == 130
    last = json.loads((out / "results.jsonl").read_text().splitlines()[-1])
    assert (last["kind"], last["interrupted"]) == ("end", True)


def test_whoever_leaves_out_a_chunk_is_found_out(tmp_path: Path) -> None:
    data = Dataset(tmp_path / "big", 64 * MIB)
    data.provide({"a"})
    out = 2 * np.load(data.path("a")) + 1
    rows = 4 * MIB // out[0].nbytes
    for start in range(0, len(out), rows):
        kept = out[start : start + rows].copy()
        out[start : start + rows] = 0
        np.save(data.path("out"), out)
        assert data.wrong(CASES["map"], None, None, "out")
        out[start : start + rows] = kept
    np.save(data.path("out"), out)
    assert not data.wrong(CASES["map"], None, None, "out")


def test_chunks_are_chosen_where_there_is_something_to_choose() -> None:
    blosc2, cubed = RIVALS["blosc2"], RIVALS["cubed"]
    assert blosc2.choices(CASES["columns"])
    assert not blosc2.choices(CASES["mean"])
    assert not cubed.choices(CASES["columns"])


def test_without_time_to_tune_chunks_fit_the_memory(tmp_path: Path) -> None:
    settings = Settings(
        size=64 * MIB,
        memory=64 * MIB,
        workers=2,
        minutes=1e-6,
        rivals=("dask",),
        cases=("mean", "map", "slab"),
    )
    with (tmp_path / "r.jsonl").open("w") as stream:
        suite = Suite(settings, tmp_path, Journal(stream, lambda _: None))
        suite.run()
    wanted = {("mean", "dask"): 4 * MIB, ("map", "dask"): 4 * MIB, ("slab", "dask"): 64 * MIB}
    assert suite.tuner.chunks == wanted


def test_a_cold_run_that_was_not_cold_is_remarked(
    tmp_path: Path, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    data.provide({"a"})
    table = Table(Dataset(tmp_path / "tiny", PLANE_BYTES), Disk(tmp_path))
    sitting = Sitting(table, CASES["mean"], RIVALS["numpy"], data, 64 * MIB, 1, 60.0)
    monkeypatch.setattr(Dataset, "cool", lambda _: None)
    np.load(data.path("a")).sum()
    (found,) = sitting.runs([("cold", MIB)])
    assert found["outcome"] == "ok"
    assert "stayed in the page cache" in found["message"]


def test_a_folder_that_was_there_before_stays(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    options = ["--size", "4MiB", "--cases", "mean", "--rivals", "numpy", "--sweeps", "none"]
    options += ["--rounds", "1", "--minutes", "0.2", "--out", str(tmp_path / "out")]
    main([*options, "--data", str(folder)])
    assert list(folder.iterdir()) == []
    main([*options, "--data", str(tmp_path / "fresh")])
    assert not (tmp_path / "fresh").exists()
