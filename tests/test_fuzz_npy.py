"""Files that hypothesis makes up: the .npy reader refuses them, or reads what NumPy reads."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fuzz import npy_target
from fuzz.npy_target import Finding, examine, seeds
from oocarray.storage.npy import MAGIC

SEEDS = seeds()
TYPES = ("f8", "i4", "u1", "?", "c16", "O", "S5", "S0", "U2", "V7", "V2147483647", "M8[ns]", "f16")


def hostile_ints() -> st.SearchStrategy[str]:
    sizes = st.sampled_from([0, 1, 3, -1, 1 << 31, 1 << 32, 1 << 48, (1 << 63) - 1, 1 << 63, 1e9])
    return st.one_of(
        sizes.map(str), st.integers(-5, 20).map(str), st.sampled_from(["True", "None", "1j", "3L"])
    )


def shapes() -> st.SearchStrategy[str]:
    return st.lists(hostile_ints(), max_size=6).map(
        lambda ints: "(" + "".join(f"{i}, " for i in ints) + ")"
    )


def descrs() -> st.SearchStrategy[str]:
    plain = st.tuples(st.sampled_from("<>|=!"), st.sampled_from(TYPES)).map(
        lambda p: repr("".join(p))
    )
    fields = st.recursive(
        plain,
        lambda inner: st.lists(
            st.tuples(st.sampled_from("abc"), inner, st.one_of(st.just(""), shapes())), max_size=3
        ).map(lambda rows: "[" + "".join(f"({n!r}, {d}, {s}), " for n, d, s in rows) + "]"),
        max_leaves=4,
    )
    return st.one_of(plain, fields, st.sampled_from(["8", "None", "('<f8', (2,))", "{'a': 'f8'}"]))


@st.composite
def headers(draw: st.DrawFn) -> bytes:
    """A header whose parts are each likely, and rarely right together."""
    parts = [
        f"'descr': {draw(descrs())}",
        f"'fortran_order': {draw(st.sampled_from(['True', 'False', '0', 'None']))}",
        f"'shape': {draw(shapes())}",
    ]
    parts = draw(st.permutations(parts))[: draw(st.sampled_from([3, 3, 3, 2]))]
    text = "{" + ", ".join(parts) + draw(st.sampled_from(["}", ", }", "", ", 'x': 1}"]))
    version = draw(st.sampled_from([(1, 0), (2, 0), (3, 0), (0, 0), (1, 1), (255, 255)]))
    raw = (
        text.encode() + b" " * draw(st.integers(0, 80)) + draw(st.sampled_from([b"\n", b"", b"\0"]))
    )
    length = len(raw) + draw(st.sampled_from([0, 0, 0, 0, 1, -1, 1000, 1 << 31]))
    width = 2 if version == (1, 0) else 4
    count = max(length, 0) % (1 << 8 * width)
    data = bytes(draw(st.integers(0, 200)))
    return MAGIC + bytes(version) + count.to_bytes(width, "little") + raw + data


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good file with bytes changed, put in, left out, or cut off."""
    raw = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(len(raw) - 1, 0)))
        piece = draw(st.binary(min_size=1, max_size=4))
        how = draw(st.sampled_from(["change", "put in", "leave out", "cut off"]))
        if how == "change":
            raw[at : at + len(piece)] = piece
        elif how == "put in":
            raw[at:at] = piece
        elif how == "leave out":
            del raw[at : at + len(piece)]
        else:
            del raw[at:]
    return bytes(raw)


@settings(max_examples=120)
@given(headers())
@example(MAGIC + b"\1\0\x40\0{'descr': '<f8', 'fortran_order': True, 'shape': (0, 3), }".ljust(74))
def test_headers_of_likely_parts(content):
    examine(content)


@settings(max_examples=400)
@given(damaged())
def test_damaged_files(content):
    examine(content)


@settings(max_examples=200)
@given(st.binary(max_size=400))
def test_any_bytes(content):
    examine(content)
    examine(MAGIC + content)


def test_good_files_are_read_as_numpy_reads_them():
    assert {examine(content) for content in SEEDS} == {"agreed"}


def test_what_only_we_refuse_is_known():
    # Written by Python 2: NumPy takes the trouble, with a warning.
    text = b"{'descr': '<f8', 'fortran_order': False, 'shape': (3L,), }\n"
    assert (
        examine(MAGIC + b"\1\0" + len(text).to_bytes(2, "little") + text + bytes(24)) == "refused"
    )


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda path, mode: Path(path).write_bytes(b"x" * 500), "the file was changed"),
        (lambda path, mode: int("x"), "invalid literal"),
        (lambda path, mode: _other_shape(path, mode), "NumPy reads"),
        (lambda path, mode: None if mode == "r" else _open(path, mode), "modes r and r"),
        (lambda path, mode: _hungry(path, mode), "took [0-9]+ bytes"),
    ],
    ids=["changes the file", "raises", "other shape", "modes differ", "takes memory"],
)
def test_the_examination_finds_what_it_looks_for(broken, message, monkeypatch):
    def opened(path, mode):
        result = broken(path, mode)
        return result if result is None or hasattr(result, "span") else _open(path, mode)

    monkeypatch.setattr(npy_target, "_opened", opened)
    with pytest.raises((Finding, ValueError), match=message):
        examine(SEEDS[8])


_open = npy_target._opened


def _other_shape(path, mode):
    layout = _open(path, mode)
    return replace(layout, shape=(1,), strides=(layout.dtype.itemsize,))


def _hungry(path, mode):
    # Beyond whatever the process has had before.
    size = npy_target._peak() + (100 << 20)
    return len(bytearray(b"\1") * size) and None


def test_the_fuzzer_runs_where_it_is_installed():
    pytest.importorskip("atheris")
    script = Path(__file__).resolve().parents[1] / "fuzz" / "fuzz_npy.py"
    done = subprocess.run(
        [sys.executable, script, "-runs=300", "-seed=1"],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "stat::number_of_executed_units: 300" in done.stderr
