"""`oo.compare` and ``oocarray compare``: one expression on several backends, judged by NumPy.

Nothing is said about which backend is faster: numbers are only held against what must be so.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import oocarray as oo
from oocarray import cli, comparison, comparisoncache
from oocarray.comparison import _beside, _Trials
from oocarray.comparisoncache import Cache, files_of, name_of
from oocarray.comparisondiff import difference
from oocarray.comparisonrun import Failed, Measured, Result
from oocarray.comparisontable import Comparison, Row
from oocarray.config import _CLIENT
from oocarray.storage.filesystems import file_system

ONE = {"workers": 1, "scheduler": "serial"}
Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Two arrays of 800 KB in a folder of their own, on the disk."""
    random = np.random.default_rng(3)
    folder = tmp_path / "data"
    folder.mkdir()
    paths = [str(folder / name) for name in ("a.npy", "b.npy")]
    for path in paths:
        np.save(path, random.random((250, 400)))
    return paths


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Run a command here; return its exit code, what it printed, and what it complained of."""

    def call(*arguments: object) -> tuple[int, str, str]:
        try:
            code: Any = cli.main([str(argument) for argument in arguments])
        except SystemExit as ended:
            code = ended.code
        found = capsys.readouterr()
        return code, found.out, found.err

    return call


def several(a: Any, b: Any) -> Any:
    gap = a - b
    return {"gap": gap, "more": [gap.mean(), (a.max(axis=0), 7)]}


def apart(a: Any) -> Any:
    """Something else by any backend but the first."""
    return a[:5] + (0 if oo.options.get("backend") == "mapped" else 1)


def burns(block: Any) -> Any:
    import time

    began = time.thread_time()
    while time.thread_time() - began < 0.2:
        pass
    return block + np.ones(4 << 20)[0]


# ---- what is compared, and what comes of it -------------------------------------------------


def test_three_backends_agree(files: list[str]) -> None:
    before = sorted(os.listdir(os.path.dirname(files[0])))
    found = oo.compare(several, *files, workers=1)
    assert found.agree, str(found)
    assert [row.backend for row in found.rows] == ["mapped", "dask", "zarr"]
    assert found.rows[0].state == "reference"
    for row in found.ran:
        assert row.wall is not None
        assert row.wall > 0
        assert row.max_abs is None or row.max_abs < 1e-12
    assert (found.function, found.inputs, found.nbytes) == ("several", ("a.npy", "b.npy"), 1600000)
    assert sorted(os.listdir(os.path.dirname(files[0]))) == before


def test_a_difference_is_found_and_said(files: list[str]) -> None:
    found = oo.compare(apart, files[0], backends=["mapped", "dask"], **ONE)
    assert not found.agree
    row = found.rows[1]
    assert (row.state, row.agrees, row.differing, row.first) == ("differs", False, 2000, (0, 0))
    assert row.max_abs == pytest.approx(1)
    assert "2,000 of 2,000 elements differ, first at (0, 0): " in row.note
    assert f"dask: {row.note}" in str(found)


def test_large_results_go_to_files_that_are_gone_afterwards(tmp_path: Path) -> None:
    def large(x: Any) -> Any:
        return x + 1, oo.zeros((2200, 1000)) + oo.options.get("workers")

    path = tmp_path / "x.npy"
    np.save(path, np.arange(2_200_000.0).reshape(2200, 1000))
    aside = tmp_path / "aside"
    aside.mkdir()
    seen = []
    found = oo.compare(
        large, path, backends=["mapped", "dask"], folder=aside, workers=1,
        told=lambda *what: seen.append((*what, os.listdir(aside))),
    )  # fmt: skip
    assert found.agree, str(found)
    assert [what[:3] for what in seen] == [("mapped", 1, 1), ("dask", 1, 1)]
    assert all(len(what[3]) == 1 for what in seen)
    assert os.listdir(aside) == []
    kind = file_system(str(tmp_path))
    if kind is not None and kind.kind == "ext4":
        assert all((row.written or 0) >= 17 << 20 for row in found.rows)


def test_the_order_rotates_and_medians_are_told(files: list[str]) -> None:
    seen: list[Any] = []
    found = oo.compare(
        lambda a: a.sum(), files[0], backends=["mapped", "dask"], repeat=2,
        told=lambda *what: seen.append(what), **ONE,
    )  # fmt: skip
    names = [name for name, _, _ in seen]
    assert names == ["mapped", "dask", "dask", "mapped"]
    assert seen[-1] == ("mapped", 2, 2)
    assert all(row.runs == 2 and row.wall == sum(row.walls) / 2 for row in found.rows)


def test_what_fails_is_a_row_and_is_not_run_again(files: list[str]) -> None:
    def ends(a: Any) -> Any:
        import signal

        if oo.options.get("backend") == "dask":
            os.kill(os.getpid(), signal.SIGKILL)
        if oo.options.get("backend") == "zarr":
            raise NotImplementedError("it has no such thing")
        return a.sum()

    seen: list[str] = []
    found = oo.compare(ends, files[0], repeat=2, told=lambda name, *_: seen.append(name), **ONE)
    assert [row.state for row in found.rows] == ["reference", "killed", "cannot"]
    assert found.rows[1].note == "killed by signal 9 (out of memory?)"
    assert found.rows[2].note == "it has no such thing"
    assert sorted(seen) == ["dask", "mapped", "mapped", "zarr"]
    assert found.agree
    assert "only mapped has a result" in str(found)


def test_a_run_that_fails_after_others_is_not_passed_over(files: list[str], tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    def ends(a: Any) -> Any:
        if oo.options.get("backend") == "dask":
            if mark.exists():
                raise ZeroDivisionError("the second time")
            mark.touch()
        return a.sum()

    found = oo.compare(ends, files[0], repeat=2, backends=["mapped", "dask"], **ONE)
    assert [row.state for row in found.rows] == ["reference", "failed"]
    assert "the second time" in found.rows[1].note


def test_an_error_of_the_function_is_told_once(files: list[str]) -> None:
    def wrong(a: Any) -> Any:
        return a @ undefined  # type: ignore[name-defined]  # noqa: F821

    found = oo.compare(wrong, files[0], backends=["mapped", "dask"], **ONE)
    assert not found.agree
    assert found.ran == ()
    assert str(found).count("NameError: name 'undefined' is not defined") == 1
    assert "mapped, dask: NameError" in str(found)
    assert f'File "{__file__}"' in found.rows[0].trace


def test_a_process_that_ends_itself_and_what_cannot_be_compared(files: list[str]) -> None:
    (row,) = oo.compare(lambda a: os._exit(3), files[0], backends="mapped", **ONE).rows
    assert (row.state, row.note) == ("failed", "its process ended itself, with exit code 3")
    (row,) = oo.compare(lambda a: {"x": object()}, files[0], backends="mapped", **ONE).rows
    assert row.note == "TypeError: result['x'] is object, not an array that can be compared"


def test_options_travel_and_memory_and_processors_are_seen() -> None:
    def work(x: Any) -> Any:
        assert oo.options.get("math") == "libm"
        assert oo.options.get("progress") is False
        return x.rechunk(1).map_blocks(burns, dtype="f8")

    with oo.options(math="libm", backend="zarr"):
        found = oo.compare(work, np.arange(3.0), backends="mapped", workers=2)
    (row,) = found.rows
    assert row.state == "reference", row.note
    assert row.cpu is not None
    assert row.cpu >= 0.55
    # Each block has 32 MiB, however short.
    assert row.peak is not None
    assert row.peak >= 30 << 20
    assert row.rss is not None
    assert row.rss > row.peak
    assert row.cached is None
    assert "page cache" not in str(found)


def test_runs_are_cold_or_warm(files: list[str]) -> None:
    kind = file_system(files[0])
    if kind is None or kind.kind != "ext4":
        pytest.skip("the page cache of other file systems may be another's affair")
    size = sum(os.path.getsize(path) for path in files)
    # They are read by Python: nothing of a new process of ours has them mapped.
    found = oo.compare(several, *files, backends="mapped", **ONE)
    (row,) = found.rows
    if row.cached is None:
        pytest.skip("this system does not tell what is cached")
    assert row.cached < 0.01
    assert row.read is None or row.read >= size
    assert "dropped from the page cache before it" in str(found)
    found = oo.compare(several, *files, backends="mapped", cold=False, **ONE)
    assert found.rows[0].cached > 0.99
    assert "read into the page cache" in str(found)


def test_what_stays_cached_is_said(files: list[str]) -> None:
    held = np.load(files[0], mmap_mode="r")
    assert held.sum() > 0
    cache = Cache(files, cold=True)
    cache.prepare("mapped")
    (share,) = cache.before["mapped"]
    assert 0.4 < share <= 1
    row = Row("mapped", "reference", 1.0, 1.0, 1, None, 0, True, cached=share)
    assert "not cold: up to" in str(Comparison((row,), inputs=("a.npy",)))
    assert "n/a" in str(Comparison((row,)))


def test_all_files_are_treated_alike_where_the_system_does_not_tell(
    files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped = []
    monkeypatch.setattr(comparisoncache, "let_go", dropped.append)
    monkeypatch.setattr(comparisoncache, "count_pages", lambda *_: [SimpleNamespace(cached=None)])
    cache = Cache(files, cold=True)
    cache.prepare("mapped")
    assert len(dropped) == len(files)
    assert not cache.before["mapped"]


def test_files_that_are_never_written_have_nothing_to_write_back(
    files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fdatasync", refuse)
    number = errno.EINVAL
    Cache(files, cold=True).prepare("mapped")
    number = errno.EIO
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        Cache(files, cold=True).prepare("mapped")


def test_large_results_go_beside_a_file_but_into_no_zarr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = tmp_path / "g.zarr" / "a"
    group.mkdir(parents=True)
    (group / "zarr.json").touch()
    assert _beside([str(group / "zarr.json")]) == str(tmp_path)
    monkeypatch.chdir(group)
    assert _beside([]) == tempfile.gettempdir()


def test_what_was_persisted_is_in_memory(files: list[str]) -> None:
    kept = (oo.open(files[0]) + 1).persist(**ONE)
    assert name_of(kept) == "array in memory"
    assert list(files_of([kept, oo.open(files[1])])) == [files[1]]


def test_too_much_to_send_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "_MOST_SENT", 1 << 20)
    with pytest.raises(ValueError, match=r"inputs in memory of 1 MiB.*np\.save"):
        oo.compare(lambda x: x.sum(), np.zeros(1 << 17), backends="mapped", **ONE)


def test_what_is_asked_wrongly_is_refused_at_once(files: list[str], tmp_path: Path) -> None:
    refused: list[dict[str, Any]] = [
        {"backends": ["numpy"]}, {"backends": []}, {"backends": ["dask", "dask"]},
        {"repeat": 0}, {"repeat": 1.5}, {"rtol": -1.0}, {"atol": float("nan")},
    ]  # fmt: skip
    for wrong in refused:
        with pytest.raises(ValueError, match=next(iter(wrong))):
            oo.compare(several, *files, **wrong)
    with pytest.raises(TypeError, match="backends="):
        oo.compare(several, *files, backend="dask")
    with pytest.raises(TypeError, match="no option is called speed"):
        oo.compare(several, *files, speed=2)
    with pytest.raises(TypeError, match="func=3 is no function"):
        oo.compare(3, *files)  # type: ignore[arg-type]
    client = SimpleNamespace(**dict.fromkeys(_CLIENT, print))
    with pytest.raises(TypeError, match="give scheduler= as a name"):
        oo.compare(several, *files, scheduler=client)
    with oo.options(scheduler=client), pytest.raises(TypeError, match="process of its own"):
        oo.compare(several, *files)
    with pytest.raises(FileNotFoundError):
        oo.compare(several, *files, json=tmp_path / "nowhere" / "x.json")
    with pytest.raises(IsADirectoryError):
        oo.compare(several, *files, png=tmp_path)
    with pytest.raises(FileNotFoundError):
        oo.compare(several, tmp_path / "none.npy")
    with open(files[0]) as stream, pytest.raises(TypeError, match="cannot be sent"):
        oo.compare(lambda a, b: stream and open and sys._getframe and iter(stream.buffer), *files)


def test_zarr_a_group_of_files_and_arrays_in_memory_can_be_inputs(tmp_path: Path) -> None:
    values = np.arange(60.0).reshape(6, 10)
    for number in range(2):
        np.save(tmp_path / f"day{number}.npy", values[3 * number : 3 * number + 3])
    oo.create(tmp_path / "g.zarr", (6, 10), "f8", chunks=(2, 5))[:] = values
    stack = oo.open(str(tmp_path / "day*.npy"))
    found = oo.compare(
        lambda a, b, c: (a + b + c).sum(), tmp_path / "g.zarr", stack, values,
        backends=["mapped", "dask"], **ONE,
    )  # fmt: skip
    assert found.agree, str(found)
    assert found.inputs[0] == "g.zarr"
    assert found.inputs[2] == "array in memory"


MAIN = """
    import os, sys
    import numpy as np
    import oocarray as oo

    with open("runs", "a") as runs:
        runs.write("run\\n")
    FACTOR = 3

    def mine(x):
        return helper(x).sum()

    def helper(x):
        return x * FACTOR

    found = oo.compare(mine, np.arange(5.0), backends=["mapped", "dask"], workers=1)
    print(found.agree, len(found.ran))
"""


def test_a_script_is_not_run_again(tmp_path: Path) -> None:
    script = tmp_path / "work.py"
    script.write_text(textwrap.dedent(MAIN))
    root = str(Path(__file__).resolve().parents[1])
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=100,
        env={**os.environ, "PYTHONPATH": root},
    )  # fmt: skip
    assert (done.stdout, done.stderr, done.returncode) == ("True 2\n", "", 0)
    assert (tmp_path / "runs").read_text() == "run\n"


# ---- in how far two results are the same ----------------------------------------------------

BIG = 1 << 62
DAY = np.datetime64("2026-01-01")
PAIR = np.dtype([("n", "i4"), ("x", "f8", (2,))])


@pytest.mark.parametrize(
    ("found", "expected", "differing", "first", "max_abs"),
    [
        pytest.param([1.0, np.nan], [1.0, np.nan], 0, None, 0.0, id="nan"),
        pytest.param([np.nan, 1.0], [2.0, 1.0], 1, (0,), np.inf, id="nan and a number"),
        pytest.param([np.inf, -np.inf], [np.inf, -np.inf], 0, None, 0.0, id="infinities"),
        pytest.param([1.0, 1 + 1e-9], [1.0, 1.0], 0, None, 1e-9, id="within rtol"),
        pytest.param([BIG + 1, 5], [BIG, 5], 1, (0,), 1.0, id="integers are exact"),
        pytest.param(np.uint8([0, 255]), np.uint8([1, 0]), 2, (0,), 255.0, id="unsigned"),
        pytest.param([True, False], [True, True], 1, (1,), None, id="bool"),
        pytest.param(["a", "b"], ["a", "c"], 1, (1,), None, id="text"),
        pytest.param([1 + 1j], [1 + 2j], 1, (0,), 1.0, id="complex"),
        pytest.param([DAY, np.datetime64("NaT")], [DAY, np.datetime64("NaT")], 0, None, None,
                     id="dates"),
        pytest.param(np.zeros(3, PAIR), np.zeros(3, PAIR), 0, None, None, id="structured"),
        pytest.param(np.array(2.0), np.array(3.0), 1, (), 1.0, id="a scalar"),
        pytest.param(np.zeros((0, 3)), np.zeros((0, 3)), 0, None, None, id="nothing"),
        pytest.param(np.zeros(3, ">f8"), np.zeros(3, "<f8"), 0, None, 0.0, id="byte order"),
        pytest.param(np.zeros(3), np.zeros(2), 3, None, None, id="shape"),
        pytest.param(np.zeros(3), np.zeros(3, "f4"), 3, None, None, id="dtype"),
    ],
)  # fmt: skip
def test_a_difference(
    found: Any, expected: Any, differing: int, first: Any, max_abs: float | None
) -> None:
    told = difference(found, expected, 1e-6, 0.0)
    assert (told.differing, told.first) == (differing, first)
    assert told.max_abs == (None if max_abs is None else pytest.approx(max_abs))
    assert bool(told.words) == bool(differing)


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_first_difference_is_found_in_any_piece_and_order(order: Any) -> None:
    one = np.zeros((700, 1000))
    two = one.copy(order)
    two[612, 7] = two[613, 0] = 0.5
    told = difference(one, two, 1e-6, 0.0)
    assert (told.first, told.differing, told.max_abs, told.max_rel) == ((612, 7), 2, 0.5, 1.0)
    assert np.allclose(one, two, atol=0.6)
    assert difference(one, two, 0.0, 0.6).words == ""


def test_a_backend_that_does_not_agree_with_itself_is_told(tmp_path: Path) -> None:
    trials = _Trials(["mapped", "dask"], 1e-6, 0.0)
    for number, value in enumerate((1.0, 2.0)):
        folder = tmp_path / str(number)
        folder.mkdir()
        results = [Result("result", np.array(value))]
        trials.take("mapped", Measured(1.0, 1.0, 1, 1, None, None, results), str(folder))
    row = trials.row("mapped", [])
    assert (row.state, row.agrees) == ("differs", False)
    assert row.note == "2.0 here, 1.0 by mapped; at most 1 apart (1 relative)"
    trials.take("mapped", Measured(1.0, 1.0, 1, 1, None, None, results), str(folder))
    assert trials.row("mapped", []).differing == 1  # the same one, in each run
    (tmp_path / "2").mkdir()
    trials.take("dask", Failed("failed", "no room"), str(tmp_path / "2"))
    row = trials.row("dask", [])
    assert (row.state, row.agrees, row.wall, row.note) == ("failed", None, None, "no room")


# ---- how it is shown ------------------------------------------------------------------------

ROWS = (
    Row("mapped", "reference", 1.25, 2.1, 200 << 20, 1 << 30, 0, True),
    Row("dask", "differs", 90.0, 3.9, 900 << 20, None, 5000, False, float("inf"), 0.5,
        "3 of 9 elements differ <here>", 3, (1, 2)),
    Row("zarr", "killed", None, None, None, None, None, None, note="killed by signal 9"),
)  # fmt: skip


def test_it_is_written_as_json_html_and_a_picture(tmp_path: Path) -> None:
    found = Comparison(ROWS, "mean", ("x.npy",), 1 << 30, repeat=3)
    found.to_json(tmp_path / "x.json")
    record = json.loads((tmp_path / "x.json").read_text())
    assert record["agree"] is False
    assert [row["backend"] for row in record["rows"]] == ["mapped", "dask", "zarr"]
    assert record["rows"][1]["max_abs"] == "inf"
    assert record["rows"][1]["first"] == [1, 2]
    assert record["rows"][2]["wall"] is None
    html = found._repr_html_()
    assert html.count("<tr>") == 4
    assert "&lt;here&gt;" in html
    pytest.importorskip("matplotlib")
    found.to_png(tmp_path / "x.png")
    Comparison(ROWS[2:]).to_png(tmp_path / "none.png")
    for name in ("x.png", "none.png"):
        assert (tmp_path / name).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_lines_fit_a_terminal() -> None:
    found = Comparison(ROWS, "mean", ("x.npy",), 1 << 30, repeat=3)
    assert max(map(len, str(found).splitlines())) <= 80


# ---- the command ----------------------------------------------------------------------------

SCRIPT = """
print("run")

def mean(a, b):
    print("working")
    return (a + b).mean()

def apart(a, b):
    import oocarray as oo
    return a[:3].sum() + (oo.options.get("backend") == "dask")

def wrong(a, b):
    raise ValueError("no such data")
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "bands.py"
    path.write_text(SCRIPT)
    return path


def test_the_command_says_and_writes(
    say: Say, script: Path, files: list[str], tmp_path: Path
) -> None:
    code, out, _ = say(
        "compare", f"{script}:mean", *files, "--backends", "mapped,dask", "--memory", "512MiB",
        "--json", tmp_path / "x.json",
    )  # fmt: skip
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "mean of a.npy, b.npy (1.53 MiB)"
    assert lines[1].split() == ["backend", "wall", "CPU", "memory", "read", "written", "result"]
    assert [line.split()[0] for line in lines[2:4]] == ["mapped", "dask"]
    assert "run" not in lines
    assert json.loads((tmp_path / "x.json").read_text())["agree"] is True


def test_exit_codes_tell(say: Say, script: Path, files: list[str]) -> None:
    some = ("--backends", "mapped,dask", "--scheduler", "serial")
    code, out, _ = say("compare", f"{script}:apart", *files, *some, "--json", "-")
    assert code == 1
    assert json.loads(out)["rows"][1]["state"] == "differs"
    code, out, err = say("compare", f"{script}:wrong", *files, *some, "--debug")
    assert code == 2
    assert "mapped, dask: ValueError: no such data" in out
    assert "oocarray: error: no backend had a result" in err
    assert err.count('raise ValueError("no such data")') == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--backends", "numpy"], "'numpy' names no backends"),
        (["--backends", "dask,dask"], "each once"),
        (["--rtol", "-1"], "'-1' is not a number from 0"),
        (["--repeat", "0"], "'0' is not above 0"),
    ],
)
def test_wrong_arguments(
    say: Say, script: Path, files: list[str], arguments: list[str], words: str
) -> None:
    code, out, err = say("compare", f"{script}:mean", *files, *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


def test_a_missing_file_or_function_is_one_line(say: Say, script: Path, files: list[str]) -> None:
    code, _, err = say("compare", f"{script}:mean", files[0], "none.npy")
    assert (code, err) == (1, "oocarray: error: none.npy: No such file or directory\n")
    code, _, err = say("compare", f"{script}:median", *files)
    assert code == 1
    assert "has no 'median'; it has mean, apart, wrong" in err
