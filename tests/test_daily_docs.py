"""Runs the examples of docs/daily.md as one script, and compares what they print."""

import re
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs" / "daily.md"


def test_the_examples_of_the_page(tmp_path):
    text = "\n\n".join(re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL))
    expected = re.findall(r"  # -> (.*)", text)
    script = tmp_path / "example.py"
    script.write_text(text)
    ran = subprocess.run(
        [sys.executable, "-W", "error", script],
        cwd=tmp_path, capture_output=True, text=True, timeout=110,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == expected
    assert "DEBUG:oocarray:run: scheduler serial" in ran.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"example.py", "frames.npy", "log.npy"}
