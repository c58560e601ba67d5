"""Runs the examples of pages in docs/, each page as one script, and compares what they print."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


def run(page: str, folder: Path) -> tuple[list[str], subprocess.CompletedProcess[str]]:
    """What the page says its examples print, and what came of them."""
    text = "\n\n".join(re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL))
    script = folder / "example.py"
    script.write_text(text)
    ran = subprocess.run(
        [sys.executable, "-W", "error", script],
        cwd=folder, capture_output=True, text=True, timeout=110,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return re.findall(r"  # -> (.*)", text), ran


@pytest.mark.parametrize(
    ("page", "left"),
    [
        ("daily.md", {"frames.npy", "log.npy"}),
        ("expressions.md", {"x.npy", "z.npy"}),
        ("fusion.md", set()),
        (
            "formats.md",
            {
                *("run.h5", "t2m.zarr", "cube.zarr", "double.zarr", "small.zarr"),
                *("day1.npy", "day2.npy", "day10.npy"),
            },
        ),
    ],
)
def test_the_examples_of_a_page(page, left, tmp_path):
    expected, ran = run(page, tmp_path)
    assert ran.stdout.splitlines() == expected
    assert {path.name for path in tmp_path.iterdir()} == {"example.py", *left}
    if page == "daily.md":
        assert "DEBUG:oocarray:run: scheduler serial" in ran.stderr
