"""Runs every script in examples/ with small sizes and reads what it prints."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "examples"

RUNS = {
    "calibrate.py": (
        ["--shape", "40", "64", "96"],
        ["1 MB in", "calibrated.npy, the first pixel is 500.0"],
    ),
    "expressions.py": (
        ["--shape", "600", "1000"],
        [
            "50% of the area is green, 0.413 on average, 0.429 at most",
            "300000 of 600000 values are in ",
        ],
    ),
    "statistics_in_one_pass.py": (
        ["--size", "3000000"],
        ["3000000 values: mean 0.000", " 0.5 ####", "-0.5 " + 60 * "#"],
    ),
    "update_in_place.py": (
        ["--shape", "600", "1000"],
        ["upper half 2.0, lower half 3.0, in ", "values.npy"],
    ),
}


def test_every_example_is_run() -> None:
    assert {path.name for path in FOLDER.glob("*.py")} >= set(RUNS)


@pytest.mark.parametrize("name", RUNS)
def test_example(name: str, tmp_path: Path) -> None:
    arguments, expected = RUNS[name]
    done = subprocess.run(
        [sys.executable, "-W", "error", FOLDER / name, *arguments, "--folder", tmp_path],
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for text in expected:
        assert text in done.stdout
