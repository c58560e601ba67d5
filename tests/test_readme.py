"""Runs the README's example as a newcomer would: pasted into a script without a main guard."""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_the_example_of_the_readme(tmp_path):
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    script = tmp_path / "example.py"
    script.write_text(example)
    ran = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=100
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    lines = ran.stdout.splitlines()
    assert lines[-1] == "400.0 1.0 50000"
    assert lines[0].startswith("2 stages, reads 15.3 MiB, writes 7.63 MiB")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["example.py", "flat.npy", "raw.npy"]
