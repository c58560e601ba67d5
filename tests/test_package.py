"""Looks at the package as an importer sees it, and at the fixtures the other tests rely on."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest

import oocarray

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# Public names that are meant to be modules.
NAMESPACES = {"linalg", "fft", "random"}


def python(code: str) -> list[str]:
    """Words printed by a fresh interpreter that runs `code`."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_importing_loads_nothing_heavy() -> None:
    heavy = {"numba", "llvmlite", "zarr", "dask", "distributed", "h5py"}
    heavy |= {"matplotlib", "rich", "cloudpickle"}
    assert python(f"import sys, oocarray; print(*({heavy} & set(sys.modules)))") == []


def test_no_public_name_is_hidden_by_a_module() -> None:
    code = f"""
import importlib, pkgutil, types
import oocarray
for found in pkgutil.walk_packages(oocarray.__path__, "oocarray."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)
for name in oocarray.__all__:
    if isinstance(getattr(oocarray, name), types.ModuleType) and name not in {NAMESPACES}:
        print(name)
"""
    assert python(code) == []


def test_public_names_exist_once_and_are_documented() -> None:
    names = oocarray.__all__
    assert sorted(set(names)) == sorted(names)
    for name in names:
        value = getattr(oocarray, name)
        if callable(value):
            assert (value.__doc__ or "").strip(), f"oocarray.{name} has no docstring"


def test_the_version_is_said_once() -> None:
    assert oocarray.__version__ == PROJECT["version"]
    assert importlib.metadata.version("oocarray") == PROJECT["version"]


def test_types_are_shipped() -> None:
    assert (Path(oocarray.__file__).parent / "py.typed").exists()


def test_the_command_is_installed() -> None:
    command = Path(sys.executable).with_name("oocarray")
    done = subprocess.run([command, "--help"], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert "demo" in done.stdout


def test_nothing_names_a_registry() -> None:
    files = [ROOT / "Makefile", ROOT / ".ci" / "run", *ROOT.glob("*.toml"), *ROOT.glob("*.cfg")]
    files += [*ROOT.glob("*.lock"), *ROOT.glob("*requirements*.txt"), *ROOT.glob(".*.yaml")]
    for path in files:
        found = re.search(r"pypi\.org|pythonhosted|anaconda\.org|index-url", path.read_text())
        assert found is None, f"{path.name} names a package registry: {found}"


# The fixtures


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        ("<i4", [-400, 456, 303, 150]),
        (">u2", [0, 856, 703, 550]),
        ("f8", [-50.0, 57.0, 37.875, 18.75]),
        ("?", [False, False, True, False]),
        ("S3", [b"0", b"856", b"703", b"550"]),
        ([("a", "u1"), ("b", "f4")], [(0, -50.0), (88, 57.0), (191, 37.875), (38, 18.75)]),
    ],
)
def test_npy_content_is_fixed(npy, dtype, values) -> None:
    found = np.load(npy(len(values), dtype))
    assert found.dtype == np.dtype(dtype)
    assert found.tolist() == values


def test_npy_takes_order_and_name(npy) -> None:
    path = npy((3, 4), order="F", name="raw.data")
    found = np.load(path)
    assert path.name == "raw.data"
    assert found.flags.f_contiguous
    assert (found == np.load(npy((3, 4)))).all()


LEAKY = """
import mmap, os, pathlib, subprocess, sys, threading
kept = []

def test_clean(no_leaks, tmp_path):
    with open(tmp_path / "a", "wb") as file:
        file.write(b"a" * 4096)
    with open(tmp_path / "a", "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ):
        pass

def test_descriptor(no_leaks):
    kept.append(open(__file__))

def test_pipe(no_leaks):
    kept.append(os.pipe())

def test_mapping(no_leaks, tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"a" * 4096)
    with open(path, "r+b") as file:
        kept.append(mmap.mmap(file.fileno(), 0, trackfd=False) if sys.version_info >= (3, 13)
                    else mmap.mmap(file.fileno(), 0))

def test_thread(no_leaks):
    stop = threading.Event()
    kept.append(stop)
    threading.Thread(target=stop.wait, name="stray").start()

def test_free_the_thread():
    kept[-1].set()

def test_pool_is_allowed(no_leaks):
    kept.append(subprocess.Popen(["sleep", "30"], stdin=subprocess.PIPE))

def test_orphan(tmp_path):
    shell = "sleep 31 >/dev/null 2>&1 & echo $!"
    pathlib.Path("orphan").write_text(subprocess.check_output(["sh", "-c", shell], text=True))
    pathlib.Path("child").write_text(str(kept[-1].pid))
"""


def test_leaks_are_found(tmp_path: Path) -> None:
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_leaky.py").write_text(LEAKY)
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", ".", "."]
    environ = {**os.environ, "OOCARRAY_TEST_PATIENCE": "0.3", "PYTEST_ADDOPTS": ""}
    done = subprocess.run(
        command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=100
    )
    strays = [(tmp_path / name).read_text().strip() for name in ("child", "orphan")]
    for pid in strays:
        os.kill(int(pid), 9)
    assert done.returncode == 1
    assert "8 passed, 4 errors" in done.stdout
    for what in ("descriptor", "pipe", "mapping", "thread"):
        assert f"ERROR test_leaky.py::test_{what} - " in done.stdout
    assert "thread stray" in done.stdout
    report = done.stderr.partition("the tests left behind:\n")[2]
    assert f"process {strays[0]}: sleep 30" in report
    assert f"process {strays[1]}: sleep 31" in report


def test_a_memory_cgroup_limits_and_measures(memory_cgroup) -> None:
    group = memory_cgroup(64 << 20)
    hold = "import sys; x = bytearray(b'x' * (int(sys.argv[1]) << 20)); print(len(x))"
    argv = [sys.executable, "-I", "-S", "-c", hold]
    assert group.run([*argv, "24"], capture_output=True, text=True).stdout == f"{24 << 20}\n"
    assert 24 << 20 <= group.peak <= 64 << 20
    assert group.oom_kills == 0
    # The kernel may take a moment to count the kill that the parent already sees.
    assert group.run([*argv, "256"], capture_output=True).returncode in (-9, 137)
    deadline = time.monotonic() + 5
    while group.oom_kills == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert group.oom_kills == 1


def test_every_public_function_has_an_example() -> None:
    import oocarray
    from oocarray import linalg

    without = [
        name
        for home in (oocarray, linalg)
        for name in home.__all__
        if callable(found := getattr(home, name))
        and not isinstance(found, type)
        and ">>>" not in f"{found.__doc__} {type(found).__call__.__doc__}"
    ]
    assert without == []


def test_the_stub_names_what_is_there() -> None:
    import oocarray

    stub = (ROOT / "oocarray" / "__init__.pyi").read_text()
    named = set(re.findall(r"^from \.\S* import \w+ as (\w+)$", stub, re.MULTILINE))
    assert named == set(oocarray.__all__)
