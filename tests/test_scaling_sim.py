"""Judges the simulation of a cluster by what can be worked out by hand; starts no large one."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from benchmarks import scaling
from benchmarks.scaling_model import INPUTS, read_inputs, rule, simulate

NOTHING = dict.fromkeys(read_inputs(), 0.0) | {
    "network_bytes_per_second": math.inf,
    "disk_bytes_per_second": math.inf,
    "disk_bytes_per_second_per_worker": math.inf,
    "straggler_factor": 1.0,
    "tasks_ahead_per_thread": 4.0,
}
"""Nothing costs anything."""


def test_without_overhead_it_is_ideal() -> None:
    found = simulate({**NOTHING, "block_seconds": 0.5}, 1000, 10, 5)
    assert found["makespan"] == pytest.approx(50.0)
    assert found["efficiency"] == pytest.approx(1.0)
    assert found["tasks"] == 200
    assert found["idle_p99"] == pytest.approx(0.0, abs=1e-9)


def test_what_does_not_divide_waits_for_the_last() -> None:
    found = simulate({**NOTHING, "block_seconds": 1.0}, 11, 10, 1)
    assert found["makespan"] == pytest.approx(2.0)
    assert found["efficiency"] == pytest.approx(0.55)
    assert simulate({**NOTHING, "block_seconds": 1.0}, 11, 2, 4)["makespan"] == pytest.approx(7.0)


def test_a_scheduler_serves_one_at_a_time() -> None:
    inputs = {**NOTHING, "block_seconds": 0.001, "scheduler_seconds_per_task": 0.01}
    found = simulate(inputs, 500, 100, 1)
    assert found["makespan"] == pytest.approx(5.0, rel=0.01)
    assert found["scheduler_load"] == pytest.approx(1.0, abs=0.01)
    assert found["idle_p99"] > 0.9
    # Larger tasks take the load off it.
    assert simulate(inputs, 500, 100, 5)["makespan"] == pytest.approx(1.0, rel=0.05)


def test_a_client_fetches_one_answer_at_a_time() -> None:
    inputs = {**NOTHING, "gather_seconds_per_result": 0.002, "hop_seconds": 0.001}
    inputs["submit_seconds_per_task"] = 0.001
    # Submit, fetch, and four hops: to the scheduler, to a worker, back, and to the client.
    found = simulate(inputs, 1000, 50, 1)
    assert found["makespan"] == pytest.approx(1000 * (0.001 + 0.002 + 0.004), rel=0.02)
    assert found["client_load"] == pytest.approx(1.0, abs=0.02)
    alone = simulate({**inputs, "scheduler_seconds_per_task": 0.001}, 1000, 50, 1)
    beside = simulate({**inputs, "scheduler_seconds_per_task": 0.001}, 1000, 50, 1, shared=True)
    assert beside["makespan"] > 0.99 * alone["makespan"]


def test_a_disk_is_shared_by_all() -> None:
    inputs = {**NOTHING, "block_bytes": 1e6, "disk_bytes_per_second": 1e7}
    inputs["disk_bytes_per_second_per_worker"] = 2e6
    assert simulate(inputs, 100, 1, 10)["makespan"] == pytest.approx(50.0)
    assert simulate(inputs, 100, 4, 5)["makespan"] == pytest.approx(12.5)
    # Beyond five workers the disk is all that counts.
    for workers in (5, 10, 50):
        assert simulate(inputs, 100, workers, 1)["makespan"] == pytest.approx(10.0, rel=1e-6)


def test_computing_and_moving_go_on_at_once() -> None:
    inputs = {**NOTHING, "block_bytes": 1e6, "disk_bytes_per_second_per_worker": 1e6}
    # One second to move and one to compute a block: eleven for ten, as the first stands alone.
    assert simulate({**inputs, "block_seconds": 1.0}, 10, 1, 10)["makespan"] == pytest.approx(11.0)


def test_each_task_is_made_durable() -> None:
    inputs = {**NOTHING, "block_seconds": 0.1, "fsync_seconds_per_task": 0.9}
    assert simulate(inputs, 10, 1, 1)["makespan"] == pytest.approx(10.0)
    assert simulate(inputs, 10, 1, 10)["makespan"] == pytest.approx(1.9)


def test_stragglers_and_skew_cost_time() -> None:
    inputs = {**NOTHING, "block_seconds": 0.1}
    even = simulate(inputs, 20_000, 100, 10)["makespan"]
    slow = {**inputs, "straggler_chance": 0.1, "straggler_factor": 10.0}
    assert simulate(slow, 20_000, 100, 10)["makespan"] > 1.05 * even
    uneven = {**inputs, "block_skew": 0.5, "block_likeness": 1.0}
    found = simulate(uneven, 20_000, 100, 10)
    assert even < found["makespan"] < 1.5 * even
    assert simulate(uneven, 20_000, 100, 10) == found
    assert simulate(uneven, 20_000, 100, 10, seed=1) != found
    held = {**inputs, "pause_chance": 0.05, "pause_seconds": 10.0}
    assert simulate(held, 20_000, 100, 10)["makespan"] > 1.2 * even


def test_a_million_blocks_on_a_thousand_workers() -> None:
    inputs = read_inputs()
    size = rule(inputs, 1_000_000, 1000)
    found = simulate(inputs, 1_000_000, 1000, size)
    assert found["tasks"] == -(-1_000_000 // size)
    assert found["ideal"] <= found["makespan"] < 1e5
    assert all(0 <= found[name] <= 1 for name in found if "load" in name or "idle" in name)


def test_sweeps_and_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs = read_inputs()
    rows = scaling.sweep_workers(inputs, 2000, (1, 10, 100))
    assert [row["workers"] for row in rows] == [1, 10, 100]
    assert rows[0]["makespan"] > rows[1]["makespan"] > rows[2]["makespan"]
    luck = scaling.sweep_stragglers(inputs, 2000, 10)
    assert luck["none, no skew"]["makespan"] < luck["10 % of workers 3 times as slow"]["makespan"]
    png = tmp_path / "scaling.png"
    arguments = ["--blocks", "2000", "--workers", "50", "--png", str(png)]
    assert scaling.main([*arguments, "--set", "block_seconds=0.2"]) == 0
    out = capsys.readouterr().out
    assert "set for this run" in out
    assert "by stragglers" in out
    assert png.read_bytes().startswith(b"\x89PNG")


def test_bad_input_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        simulate(read_inputs(), 10, 0, 1)
    with pytest.raises(ValueError, match="lacks hop_seconds"):
        simulate({n: v for n, v in NOTHING.items() if n != "hop_seconds"}, 10, 1, 1)
    entries = json.loads(INPUTS.read_text())
    entries["block_seconds"]["value"] = -1
    path = tmp_path / "inputs.json"
    path.write_text(json.dumps(entries))
    assert scaling.main(["--inputs", str(path)]) == 2
    assert "block_seconds must be at least 0" in capsys.readouterr().err
    assert scaling.main(["--set", "nonsense=1"]) == 2
    assert scaling.main(["--inputs", str(tmp_path / "none.json")]) == 2


def test_inputs_say_where_they_come_from() -> None:
    for name, entry in json.loads(INPUTS.read_text()).items():
        assert set(entry) == {"value", "unit", "what", "from"}, name
        assert entry["from"], name
