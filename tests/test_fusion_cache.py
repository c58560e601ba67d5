"""Loops made of expressions in the folder of compiled kernels, when that is shared or damaged."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SOURCE = """
import functools, sys
import numpy as np
import oocarray as oo
from oocarray import jit

real, names = jit._compile, []

def counting(root, args, key):
    names.append(root.__name__)
    return real(root, args, key)

jit._compile = counting
if len(sys.argv) > 1:
    told = jit._versions().replace(np.__version__, sys.argv[1])
    jit._versions = lambda: told
a = np.arange(2000.0).reshape(40, 50)
x = oo.from_array(a)
with oo.options(scheduler="serial", progress=False, fuse=True):
    y = abs(x * 2 - 7) / 3 + x
    b = abs(a * 2 - 7) / 3 + a
    assert (y.compute() == b).all()
print(len(names), names.count("fused"))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "kernels"


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(SOURCE), *arguments],
        env={**os.environ, "OOCARRAY_CACHE": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def compiled(process: subprocess.Popen[str]) -> tuple[int, int]:
    """How many kernels a process has compiled, and how many loops of expressions."""
    out, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors
    every, loops = map(int, out.split())
    return every, loops


def test_two_processes_at_once_then_damage_then_other_versions(folder: Path) -> None:
    both = [start(folder), start(folder)]
    for process in both:
        every, loops = compiled(process)
        assert every >= loops
    entries = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert entries
    assert not [name for name in entries if name.startswith(".")]  # no draft is left behind
    assert compiled(start(folder)) == (0, 0)
    count = len(entries)

    damages = [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"\x80\x04" * 50]
    for number, name in enumerate(sorted(entries)):
        (folder / name).write_bytes(damages[number % 3](entries[name]))
    every, loops = compiled(start(folder))
    assert every == count
    assert loops == 1
    assert compiled(start(folder)) == (0, 0)

    assert compiled(start(folder, "9.9.9")) == (count, 1)
    assert len(list(folder.iterdir())) == 2 * count
    assert compiled(start(folder, "9.9.9")) == (0, 0)
    assert compiled(start(folder)) == (0, 0)
