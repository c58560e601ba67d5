"""Runs the benchmarks on small arrays: they run, check, record and report; compares no speeds."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import io_policy, report, stats, tables
from benchmarks.cases import Case, Settings, Target, make_cases, make_targets
from benchmarks.core import main
from benchmarks.data import Data
from benchmarks.groups import Group, make_group
from benchmarks.harness import Harness
from benchmarks.stores import make_store, store_mean, store_shape
from benchmarks.watch import Watch

ROOT = Path(__file__).resolve().parents[1]
MIB = 1 << 20
QUIET = {**os.environ, "PYTHONWARNINGS": "ignore"}


def run(module: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=QUIET, capture_output=True, text=True, timeout=110)


def bench_groups(pid: int) -> list[str]:
    """Of one benchmark: others may run beside the tests."""
    base = Path("/sys/fs/cgroup")
    return [str(path) for path in base.rglob(f"oocarray-bench-{pid}-*")] if base.is_dir() else []


def records_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


# ---- they run ------------------------------------------------------------------------------------


def test_cases_run_and_are_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, file = tmp_path / "data", tmp_path / "result.jsonl"
    only = "mean,map,update,left-map,overhead,plan"
    sizes = ("--size", "8MiB", "--part", "4MiB", "--blocks", "500", "--planned", "5000")
    options = ("--only", only, *sizes, "--rounds", "1", "--data", data, "--json", file)
    done = run("core", *options)
    assert done.returncode == 0, done.stdout + done.stderr

    records = records_of(file)
    machine = records[0]
    assert machine["record"] == "machine"
    assert machine["settings"]["size"] == 8 * MIB
    assert set(machine["versions"]) >= {"oocarray", "numpy", "numba", "dask", "zarr"}
    assert {"processor", "processors", "memory", "kernel", "filesystem", "disk"} <= set(machine)

    rounds = {(r["case"], r["rival"]): r for r in records if r["record"] == "round"}
    three = {"oocarray", "dask + zarr", "memmap loop"}
    expected = {(case, rival) for case in ("mean", "map") for rival in three}
    expected |= {(case, who) for case in ("update", "left-map") for who in three - {"dask + zarr"}}
    expected |= {("overhead", who) for who in ("processes x2", "serial", "dask threads")}
    assert set(rounds) == expected | {("overhead", "numba loop"), ("plan", "oocarray")}
    for (case, _), record in rounds.items():
        assert record["seconds"] > 0
        if case == "plan":
            assert record["growth"] > 0
            continue
        assert record["cpu_seconds"] >= record["system_seconds"] >= 0
        assert record["held_samples"] >= 2
        # The clock of a process ticks a hundred times a second.
        if record["cpu_seconds_cgroup"] is not None:
            assert record["cpu_seconds"] == pytest.approx(
                record["cpu_seconds_cgroup"], abs=0.2, rel=0.1
            )
        if case == "overhead":
            items = 50 if record["rival"] == "dask threads" else 500
            assert record["us_per_item"] == pytest.approx(record["seconds"] / items * 1e6)
        else:
            size = (4 if case == "left-map" else 8) * MIB
            assert record["gb_per_second"] == pytest.approx(size / 1e9 / record["seconds"])

    targets = [record for record in records if record["record"] == "target"]
    ratio = rounds["mean", "dask + zarr"]["seconds"] / rounds["mean", "oocarray"]["seconds"]
    assert targets[0]["found"] == pytest.approx(ratio)
    assert targets[0]["reached"] == (ratio >= 2.0)

    assert "free" in done.stdout.splitlines()[0]
    text = done.stdout.partition("\n")[2].strip()
    assert main(["--report", str(file)]) == 0
    assert capsys.readouterr().out.strip() == text
    # What an interrupted run leaves: no conclusions yet, and half a line.
    part = [line for line in file.read_text().splitlines() if '"round"' in line or "mach" in line]
    file.write_text("\n".join(part) + '\n{"record": "rou')
    assert report.report(report.read_records(file)) == text
    assert list(data.iterdir()) == []


@pytest.mark.long
def test_fused_expressions_run_beside_who_is_installed(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "result.jsonl"
    only = "squares,squares-float32,hundred,again"
    options = ("--only", only, "--pair", "2MiB", "--rounds", "1", "--data", data, "--json", file)
    done = run("core", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(data.iterdir()) == []

    records = records_of(file)
    rounds = {(r["case"], r["rival"]): r for r in records if r["record"] == "round"}
    out = {(r["case"], r["rival"]) for r in records if r["record"] == "left out"}
    assert {rival for _, rival in out} <= {"numexpr", "blosc2"}
    expected = {
        (case.name, contestant.label)
        for case in make_cases(Settings()).values()
        if isinstance(case, Case) and case.name in only.split(",")
        for contestant in case.contestants
    }
    assert set(rounds) == expected - out | {("hundred", "oocarray")}
    assert {"build", "compile", "kernels"} <= set(rounds["hundred", "oocarray"])
    for case, rival, size in (
        ("squares", "oocarray", 4),
        ("squares-float32", "dask", 2),
        ("squares-float32", "oocarray float64", 4),
    ):
        assert rounds[case, rival]["bytes"] == size * MIB


@pytest.mark.long
def test_formats_run_beside_who_is_installed(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "result.jsonl"
    only = "zarr_mean,zarr_map,zarr_shards_map,zstd_mean-cached,open_million"
    sizes = ("--size", "4MiB", "--part", "2MiB", "--blocks", "10")
    options = ("--only", only, *sizes, "--rounds", "1", "--data", data, "--json", file)
    done = run("core", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(data.iterdir()) == []
    records = records_of(file)
    rounds = {(r["case"], r["rival"]): r for r in records if r["record"] == "round"}
    out = {(r["case"], r["rival"]) for r in records if r["record"] == "left out"}
    assert {rival for _, rival in out} <= {"zarr-python + zarrs"}
    expected = {
        (case.name, contestant.label)
        for case in make_cases(Settings()).values()
        if isinstance(case, Case) and case.name in only.split(",")
        for contestant in case.contestants
    }
    assert set(rounds) == expected - out
    assert rounds["zarr_map", "oocarray"]["bytes"] == 4 * MIB
    assert rounds["zstd_mean-cached", "oocarray"]["bytes"] == 2 * MIB
    assert "out_cached_after" in rounds["zarr_shards_map", "oocarray"]


def test_a_rival_that_is_not_installed_is_left_out(
    tmp_path: Path,
) -> None:
    found: list[dict[str, Any]] = []
    told: list[str] = []
    case = make_cases(Settings())["squares"]
    assert isinstance(case, Case)
    rival = next(who for who in case.contestants if who.label == "numexpr")
    missing = dataclasses.replace(rival, needs="no_such_package")
    data = Data(tmp_path, MIB, pair=MIB)
    data.make({"pair"}, 10)
    with Harness(data, found.append, told.append) as harness:
        for number in (1, 2):
            harness.run(dataclasses.replace(case, contestants=(missing,)), number)
    assert harness.failures == 0
    assert [(each["record"], each["rival"]) for each in found] == [("left out", "numexpr")]
    said = report.doubts(found, [])
    assert said == ["squares: numexpr was left out: no_such_package is not installed"]


def test_policies_run_and_are_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, file = tmp_path / "data", tmp_path / "result.jsonl"
    options = ("--size", "16MiB", "--limit", "256MiB", "--rounds", "1", "--data", data)
    done = run("io_policy", *options, "--json", file)
    records = records_of(file)
    # What a kernel or file system does not know drops out, and is named; nothing else may.
    failures = [record["reason"] for record in records if record["record"] == "failure"]
    unknown = ("does not take the advice", "cannot populate", "is refused here", "Invalid argument")
    assert all(any(word in reason for word in unknown) for reason in failures), failures
    assert done.returncode == bool(failures), done.stderr
    rounds = [record for record in records if record["record"] == "round"]
    tables_of = {record["case"] for record in rounds}
    assert tables_of == {"read", "windows", "address", "edges", "cached"} | {
        "new",
        "over",
        "in-place",
    }
    assert len(rounds) + len(failures) == 16 + 15 + 2 + 4 + 6 + 8 + 3 + 2
    assert done.stdout.count("| policy") == 8
    assert list(data.iterdir()) == []
    assert io_policy.main(["--report", str(file)]) == 0
    assert capsys.readouterr().out.strip() in done.stdout


def test_interrupted_it_leaves_nothing_but_what_was_measured(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "result.jsonl"
    command = [sys.executable, "-m", "benchmarks.core", "--only", "mean", "--size", "64MiB"]
    command += ["--rounds", "1000", "--data", str(data), "--json", str(file)]
    process = subprocess.Popen(
        command, cwd=ROOT, env=QUIET, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if file.exists() and '"round"' in file.read_text():
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=40)
    # Python itself ends so where it was interrupted in text that it was executing.
    assert process.returncode in (130, -signal.SIGINT), errors
    assert list(data.iterdir()) == []
    assert not bench_groups(process.pid)
    assert any(record["record"] == "round" for record in report.read_records(file))


# ---- they refuse ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "options", "needed"),
    [("core", ("--only", "map"), "3 EiB"), ("io_policy", ("--only", "new"), "2 EiB")],
)
def test_a_disk_without_room_is_not_filled(
    tmp_path: Path, module: str, options: tuple[str, ...], needed: str
) -> None:
    done = run(module, "--size", "1 EiB", *options, "--data", tmp_path)
    assert done.returncode == 2
    assert f"needs {needed} in" in done.stdout
    assert "not started" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_unknown_names_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--only", "mean,sort"])
    assert "sort; there are engine, expressions, fusion, formats, starts" in capsys.readouterr().err


def test_more_blocks_than_the_file_has_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--blocks", "300", "--part", "1MiB"])
    assert "300 of 4 KiB are more than --part, 1 MiB" in capsys.readouterr().err


def test_a_file_without_a_machine_is_no_report(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text('{"record": "round"}\n')
    with pytest.raises(ValueError, match="does not begin with the record of a machine"):
        report.read_records(file)


# ---- they check ----------------------------------------------------------------------------------


def test_a_wrong_result_is_noticed(tmp_path: Path) -> None:
    found, data = make_cases(Settings()), Data(tmp_path, 40 * MIB, 20 * MIB)
    cases = {name: case for name, case in found.items() if isinstance(case, Case)}
    data.make({"source"}, 10)
    data.provide("part")
    x = np.load(data.source, mmap_mode="r").reshape(-1)
    places = data.places["source"]
    right = x[places]
    assert right.tolist() == data.values().tolist()
    assert data.mean == pytest.approx(float(x.mean()), rel=1e-13)
    assert data.sum_of(x.size - 5) == pytest.approx(float(x[:-5].sum()), rel=1e-12)

    assert cases["mean"].compare(data, data.mean, None) == ""
    assert "the mean is" in cases["mean"].compare(data, data.mean * (1 + 1e-11), None)
    assert cases["map"].compare(data, (2 * right + 1).tolist(), None) == ""
    assert cases["update"].compare(data, (0.5 * right + 1).tolist(), right.tolist()) == ""
    wrong = 2 * right + 1
    wrong[-1] = 0.0
    message = cases["map"].compare(data, wrong.tolist(), None)
    assert message.startswith(f"element {places[-1]} is 0.0")
    assert "element" in cases["update"].compare(data, right.tolist(), right.tolist())

    thirds = x[: 3 * data.third].reshape(3, -1)[:, data.places["third"]]
    assert cases["budget-three"].compare(data, thirds.sum(axis=0).tolist(), None) == ""
    assert "element" in cases["budget-three"].compare(data, thirds[0].tolist(), None)

    part = np.load(data.part, mmap_mode="r")
    assert cases["left"].compare(data, float(part.mean()), None) == ""
    assert cases["overhead"].compare(data, [70, float(part[:70, 0].sum())], None) == ""
    assert "first elements" in cases["overhead"].compare(
        data, [70, float(part[:70, 1].sum())], None
    )
    doubled = 2 * part.reshape(-1)[data.places["part"]] + 1
    assert cases["left-map"].compare(data, doubled.tolist(), None) == ""


def test_a_wrong_result_of_a_pair_is_noticed(tmp_path: Path) -> None:
    data = Data(tmp_path, MIB, pair=3 * MIB)
    data.make({"wide", "pair32"}, 10)
    a, b = (np.load(data.path("wide") / f"{name}.npy") for name in "ab")
    assert b.shape == (a.shape[0], 2 * a.shape[1])
    assert data.nbytes("wide") == a.nbytes + b.nbytes == 9 * MIB
    squares = float(((a - b[:, ::2]) ** 2).sum())
    cases = {name: case for name, case in make_cases(Settings()).items() if isinstance(case, Case)}
    assert cases["squares-strided"].compare(data, ["wide", squares], None) == ""
    assert "squares is" in cases["squares"].compare(data, ["pair", squares * (1 + 1e-8)], None)

    right = {name: float(getattr(a, name)()) for name in ("sum", "mean", "std", "min", "max")}
    assert cases["statistics"].compare(data, ["pair", right], None) == ""
    wrong = {"std": right["std"] * 1.0001}
    assert "std is" in cases["statistics"].compare(data, ["pair", wrong], None)

    x, y = (np.load(data.path("pair32") / f"{name}.npy") for name in "ab")
    assert x.dtype == "f4"
    assert data.nbytes("pair32") == x.nbytes + y.nbytes == 3 * MIB
    mean = float((np.sqrt(x * x + y * y) * np.exp(-abs(x))).mean(dtype="f8"))
    compare = cases["transcendental-float32"].compare
    assert compare(data, ["pair32", mean], None) == ""
    assert "transcendental is" in compare(data, ["pair32", mean * 1.0001], None)

    data.cool(data.path("pair32"))
    data.warm(data.path("pair32"))
    cached = data.cached(data.path("pair32"))
    assert cached is None or cached >= 3 * MIB


@pytest.mark.parametrize("nbytes", [1 * MIB, 70 * MIB])
def test_a_wrong_result_of_a_zarr_array_is_noticed(tmp_path: Path, nbytes: int) -> None:
    zarr = pytest.importorskip("zarr")
    make_store(tmp_path, "zstd", nbytes)
    z = zarr.open_array(tmp_path / "zstd.zarr", mode="r")
    assert z.compressors
    assert z.shape == store_shape(nbytes)
    x = z[...].astype("f8")
    assert float(x.mean()) == pytest.approx(store_mean(nbytes), rel=1e-14)

    data = Data(tmp_path, nbytes)
    assert data.nbytes("zstd") == x.nbytes // 2
    right = x.reshape(-1)[data.places["zstd"]]
    assert data.store_values("zstd").tolist() == right.tolist()
    cases = {name: case for name, case in make_cases(Settings()).items() if isinstance(case, Case)}
    assert cases["zstd_mean"].compare(data, data.store_mean("zstd"), None) == ""
    assert "the mean is" in cases["zstd_mean"].compare(data, data.store_mean("zstd") * 1.001, None)
    assert cases["zarr_map"].compare(data, (2 * right + 1).tolist(), None) == ""
    assert "element" in cases["zarr_map"].compare(data, right.tolist(), None)
    assert "the sum is" in cases["open_million"].compare(data, 1.0, None)


def test_files_made_for_a_case_go_with_it(tmp_path: Path) -> None:
    data = Data(tmp_path, MIB, MIB)
    data.make({"source"}, 1000)
    lasting = {"source.npy", "heavy.npy", "small.npy", "sparse.bin"}
    for name, beside in (("work", {"work.npy"}), ("part", {"part.npy"}), ("source", set())):
        data.provide(name)
        assert {path.name for path in tmp_path.iterdir()} == lasting | beside
    assert data.sparse.stat().st_size == 1000 * 4096
    assert data.sparse.stat().st_blocks == 0


# ---- held memory, from outside -------------------------------------------------------------------

HOLD = """
import mmap, os, sys
print("ready", flush=True)
sys.stdin.readline()
block = bytearray(b"x") * (48 << 20)
if os.fork() == 0:
    other = mmap.mmap(-1, 32 << 20)
    other[:] = b"x" * len(other)
    del block
    print("held", flush=True)
    sys.stdin.readline()
    os._exit(0)
os.wait()
"""


def test_held_memory_of_a_process_and_its_children_is_seen() -> None:
    made = make_group(None)
    group = made if isinstance(made, Group) else None
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        with Watch(process.pid, group) as watch:
            process.stdin.write("go\n")
            process.stdin.flush()
            assert process.stdout.readline() == "held\n"
            time.sleep(0.5)
        # The block, the child's share of it and its shared memory; interpreters are small.
        assert watch.peak >= 80 * MIB
        # Without a group all that the machine writes counts too.
        assert watch.peak <= 220 * MIB or group is None
        assert watch.processes == 2
        assert watch.samples >= 4
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
        if group is not None:
            group.remove()


# ---- numbers -------------------------------------------------------------------------------------


def rounds_of(key: str, values: dict[int, float], **more: Any) -> stats.Rounds:
    common = {"record": "round", "section": "engine", "title": "t", "beside": "", **more}
    return {number: {**common, key: value} for number, value in values.items()}


def test_ratios_are_within_rounds() -> None:
    ours = rounds_of("seconds", {1: 1.0, 2: 10.0, 3: 5.0})
    theirs = rounds_of("seconds", {1: 2.0, 2: 20.0, 4: 1.0})
    assert stats.ratios(theirs, ours) == [2.0, 2.0]
    assert stats.ratios(theirs, {}) == []
    assert stats.quartiles([4.0, 1.0, 2.0, 3.0, 5.0]) == [2.0, 3.0, 4.0]


def test_a_summary_has_medians_worst_values_and_ratios() -> None:
    ours = rounds_of("seconds", {1: 1.0, 2: 2.0, 3: 6.0}, held_peak=5, bytes=100, cached_before=2)
    ours[2]["held_peak"] = 7
    theirs = rounds_of("seconds", {1: 3.0, 2: 4.0, 3: 6.0}, beside="ours")
    first, second = stats.summarize("mean", {"ours": ours, "theirs": theirs})
    assert (first["seconds"], first["held_peak"]) == ([1.5, 2.0, 4.0], 7)
    assert first["warm"] == pytest.approx(0.02)
    assert "ratio" not in first
    assert (second["beside"], second["ratio"]) == ("ours", [1.5, 2.0, 2.5])


def test_targets_are_judged_by_the_median_or_the_worst() -> None:
    rivals = {
        "a": rounds_of("seconds", {1: 1.0, 2: 2.0, 3: 9.0}),
        "b": rounds_of("seconds", {1: 2.0, 2: 6.0, 3: 9.0}),
    }
    least = Target("x", "b by a", 2.0, "b", by="a")
    assert stats.judge(least, rivals)["found"] == 2.0
    assert stats.judge(least, rivals)["reached"] is True
    most = Target("x", "a", 2.5, "a", most=True)
    assert stats.judge(most, rivals)["reached"] is True
    worst = dataclasses.replace(most, worst=True)
    assert (stats.judge(worst, rivals)["found"], stats.judge(worst, rivals)["reached"]) == (
        9.0,
        False,
    )
    slowest = Target("x", "a by the slowest", 1.0, "a", by=("a", "b", "c"), most=True)
    assert stats.judge(slowest, rivals)["found"] == 0.5
    less = Target("x", "b less a", 3.0, "b", less="a", most=True)
    assert stats.judge(less, rivals)["found"] == 4.0
    missing = stats.judge(Target("x", "c", 1.0, "c"), rivals)
    assert (missing["found"], missing["reached"]) == (None, None)


def test_every_target_looks_at_a_contestant_that_there_is() -> None:
    cases = make_cases(Settings())
    targets = make_targets(Settings())
    assert len(targets) > 40
    for target in targets:
        case = cases[target.case]
        labels = (
            {contestant.label for contestant in case.contestants}
            if isinstance(case, Case)
            else set(case.codes)
        )
        by = {target.by} if isinstance(target.by, str) else set(target.by)
        named = ({target.rival, target.less} | by) - {""}
        assert named <= labels, target


def test_tables_leave_out_empty_columns_and_align() -> None:
    text = tables.table(("a", "b", "c"), [("x", "", "1"), ("long", "", "22")])
    assert text.splitlines() == ["| a    |  c |", "|------|---:|", "| x    |  1 |", "| long | 22 |"]
    assert tables.spread([1.0, 2.345678, 1234.5]) == "2.35 [1, 1234]"
    assert tables.quantity(8 * MIB, "B") == "8 MiB"
    assert (tables.quantity(0.9, "x"), tables.quantity(25.0, "us")) == ("0.9", "25 us")
