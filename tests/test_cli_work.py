"""The commands that work on arrays: map, stat and tune, each judged by NumPy or by its own files.

Nothing is said here about how fast anything is: that is what `oocarray tune` is for.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oocarray as oo
from oocarray.backends import mapped, tuned
from oocarray.cli import main
from oocarray.cli.bars import bars, labels
from oocarray.cli.functions import arguments_of
from oocarray.config import merged
from oocarray.lazy.graph import Root
from oocarray.pages import calls
from oocarray.pages.mapping import read_pages
from oocarray.pages.tuning import DEFAULT, Kept, Tuning, read_kept, write_kept
from oocarray.plan import Began
from oocarray.runtime.files import Files
from oocarray.storage import filesystems
from oocarray.storage.filekey import FileKey
from oocarray.storage.filesystems import file_system
from oocarray.trials import Way, judge, try_ways

Run = Callable[..., tuple[int, str, str]]

SCRIPT = """
import os
import numpy as np
import oocarray as oo

with open(os.environ["RUNS"], "a") as runs:
    runs.write(f"{__name__} {os.getpid()}\\n")
OFFSET = 100
NUMBER = 3

@oo.kernel
def flat(out, counts, gain):
    for i in range(out.shape[0]):
        out[i] = gain * (counts[i] - OFFSET)

def scaled(block, factor=1, *, plus=0):
    print("working")
    return (block - OFFSET) * factor + plus

def added(a, b):
    return a + b

def odd(block, block_id):
    if block_id[0] == 1:
        return block // (NUMBER - 3 + 0 * block)
    raise KeyError("other") if block_id[0] > 1 else ValueError("first")
    return block

def picky(block, block_id):
    if block_id[0] == 1:
        raise KeyError("no such star")
    return block

def whole(block):
    return block[:-1]
"""


@pytest.fixture
def run(capsys, monkeypatch, tmp_path) -> Iterator[Run]:
    """Run a command in this process and in the test's folder: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNS", str(tmp_path / "runs.txt"))
    monkeypatch.setattr(sys, "path", list(sys.path))

    def go(*words: Any) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as ended:
            code = int(ended.code or 0)
        out, errors = capsys.readouterr()
        return code, out, errors

    yield go
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def script(tmp_path: Path) -> Path:
    (tmp_path / "work.py").write_text(SCRIPT)
    return tmp_path / "work.py"


def saved(path: Path, array: Any) -> Path:
    np.save(path, array)
    return path


def one_line(errors: str) -> str:
    (line,) = errors.splitlines()
    assert line.startswith("oocarray: ")
    return line


# ---- map ---------------------------------------------------------------------------------------


def test_map_runs_the_script_once_and_sends_the_function_by_value(run, script, tmp_path):
    x = saved(tmp_path / "x.npy", np.arange(1000, dtype="i4"))
    code, out, errors = run(
        "map", "work.py:scaled", x, "y.npy", "--arg", 3, "--arg", "plus=-1", "--chunks", 100,
        "--workers", 2, "--json",
    )  # fmt: skip
    assert code == 0, errors
    record = json.loads(out)
    assert record["output"] == "y.npy"
    assert (record["bytes_read"], record["bytes_written"]) == (4000, 4000)
    assert record["bytes_per_second"] == pytest.approx(8000 / record["seconds"])
    np.testing.assert_array_equal(np.load("y.npy"), (np.arange(1000) - 100) * 3 - 1)
    (line,) = (tmp_path / "runs.txt").read_text().splitlines()
    assert line == f"work {os.getpid()}"
    assert "working" in errors, "what the function prints is no result of the command"


def test_map_takes_kernels_and_several_inputs(run, script, tmp_path):
    x = saved(tmp_path / "x.npy", np.arange(500, dtype="u2"))
    code, out, errors = run("map", "work.py:flat", x, "y.npy", "--dtype", "f4", "--arg", 0.5)
    assert code == 0, errors
    assert out.startswith("y.npy: 500 float32, read 1000 B and wrote 1.95 KiB in ")
    np.testing.assert_array_equal(np.load("y.npy"), 0.5 * (np.arange(500) - 100.0))
    code, out, errors = run("map", "work.py:added", x, "y.npy", "z.npy", "--scheduler", "threads")
    assert code == 0, errors
    assert np.load("z.npy").dtype == np.float32
    np.testing.assert_array_equal(np.load("z.npy"), 0.5 * (np.arange(500) - 100.0) + np.arange(500))


def test_map_knows_raw_files_and_modules(run, tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "deep.py").write_text("class Some:\n    twice = staticmethod(abs)\n")
    values = np.arange(-30, 30, dtype=">i2")
    values.tofile(tmp_path / "x.bin")
    code, _, errors = run(
        "map", "package.deep:Some.twice", "x.bin", "y.bin", "--format", "raw",
        "--in-shape", "-1,10", "--in-dtype", ">i2", "--in-offset", 20,
    )  # fmt: skip
    assert code == 0, errors
    np.testing.assert_array_equal(np.fromfile("y.bin", "i2"), abs(values[10:]))


def test_map_may_replace_its_own_input(run, script, tmp_path):
    x = saved(tmp_path / "x.npy", np.arange(300))
    assert run("map", "work.py:scaled", x, x)[0] == 1
    assert run("map", "work.py:scaled", x, x, "--overwrite", "--chunks", 50)[0] == 0
    np.testing.assert_array_equal(np.load(x), np.arange(300) - 100)


def test_map_explains_and_does_nothing(run, script, tmp_path):
    x = saved(tmp_path / "x.npy", np.arange(300))
    before = sorted(os.listdir())
    code, out, _ = run("map", "work.py:scaled", x, "y.npy", "--explain", "--memory", "1MiB")
    assert code == 0
    assert f"writes {tmp_path / 'y.npy'} (300,) int64, 2.34 KiB" in out
    assert "memory budget 1 MiB" in out
    (record,) = [json.loads(run("map", "work.py:scaled", x, "y.npy", "--explain", "--json")[1])]
    assert record["plan"][0].startswith("1 stage, reads 2.34 KiB")
    assert sorted({*before, "runs.txt"}) == sorted(os.listdir())


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("work.py:nothing x.npy y.npy", 1, "work.py has no 'nothing'; it has flat, scaled, added"),
        ("work.py:NUMBER x.npy y.npy", 1, "'NUMBER' of work.py is int, not a function"),
        ("work.py x.npy y.npy", 2, "write SCRIPT.py:NAME or PACKAGE.MODULE:NAME"),
        ("gone.py:f x.npy y.npy", 1, "gone.py: No such file or directory"),
        ("gone.module:f x.npy y.npy", 1, "ModuleNotFoundError: No module named 'gone'"),
        ("broken.py:f x.npy y.npy", 1, "broken.py cannot be run: SyntaxError"),
        ("raising.py:f x.npy y.npy", 1, "cannot be run: ZeroDivisionError: division by zero (line"),
        ("leaving.py:f x.npy y.npy", 1, "leaving.py ended itself, with exit code 3"),
        ("work.py:scaled x.npy", 2, "name the input and the output"),
        ("work.py:scaled gone.npy y.npy", 1, "gone.npy: No such file or directory"),
        ("work.py:scaled x.npy y.dat", 1, "cannot tell a format from 'y.dat'"),
        ("work.py:scaled x.npy x.npy", 1, "x.npy: file exists; give --overwrite to replace it"),
        ("work.py:scaled x.npy y.npy --dtype q9", 2, "NumPy knows no dtype 'q9'"),
        ("work.py:scaled x.npy y.npy --in-shape 3 --in-dtype i8", 2, "these say what they are"),
        ("work.py:scaled raw.bin y.npy --in-shape 3", 2, "--in-dtype is missing"),
        ("work.py:scaled x.npy y.npy --arg plus=1 --arg plus=2", 2, "plus is given twice"),
        ("work.py:scaled x.npy y.npy --arg name=blue", 2, "name= is a word of map_blocks itself"),
        ("work.py:scaled x.npy y.npy --arg dtype=f4", 2, "dtype= is a word of map_blocks itself"),
        ("work.py:scaled x.npy y.npy --workers 0", 2, "'0' is not above 0"),
        (
            "work.py:picky x.npy y.npy --chunks 100",
            1,
            "picky raised KeyError in block (1,), region [100:200]: 'no such star'",
        ),
        ("work.py:odd x.npy y.npy --chunks 100", 1, "odd raised ValueError in block (0,)"),
        ("work.py:whole x.npy y.npy --dtype i8", 1, "(299,)"),
    ],
)
def test_what_goes_wrong_in_map_is_one_line(run, script, tmp_path, words, code, said):
    saved(tmp_path / "x.npy", np.arange(300))
    (tmp_path / "raw.bin").write_bytes(bytes(80))
    (tmp_path / "broken.py").write_text("def f(block:\n")
    (tmp_path / "raising.py").write_text("x = 1\ny = x / 0\n")
    (tmp_path / "leaving.py").write_text("import sys\nsys.exit(3)\n")
    done, out, errors = run("map", *words.split())
    assert (done, out) == (code, "")
    assert said in one_line(errors)
    assert not (tmp_path / "y.npy").exists()
    assert not list(tmp_path.glob(".*")), "an unfinished file was left"


def test_debug_shows_the_functions_own_lines(run, script, tmp_path):
    x = saved(tmp_path / "x.npy", np.arange(300))
    with pytest.raises(KeyError, match="no such star") as caught:
        main(["map", "work.py:picky", str(x), "y.npy", "--chunks", "100", "--debug"])
    assert 'raise KeyError("no such star")' in str(caught.value.__cause__)


@pytest.mark.filterwarnings("always")
def test_a_block_that_fails_may_be_filled(run, script, tmp_path):
    x = saved(tmp_path / "x.npy", np.arange(300.0))
    code, out, errors = run(
        "map", "work.py:picky", x, "y.npy", "--chunks", 100, "--dtype", "f8",
        "--on-error", "fill", "--fill-value", "-7", "--json",
    )  # fmt: skip
    assert code == 0, errors
    assert json.loads(out)["failed_blocks"] == [[1]]
    assert one_line(errors).startswith("oocarray: warning: ")
    expected = np.arange(300.0)
    expected[100:200] = -7
    np.testing.assert_array_equal(np.load("y.npy"), expected)


def test_arguments_are_values_or_text():
    given, named = arguments_of(["1e3", "x=[1, 2]", "a=nan", "b=plain text", "-2", "c=None"])
    assert given == [1000.0, -2]
    assert np.isnan(named.pop("a"))
    assert named == {"x": [1, 2], "b": "plain text", "c": None}


# ---- stat --------------------------------------------------------------------------------------

_generator = np.random.default_rng(5)
ARRAYS = {
    "floats": _generator.normal(3, 2, (300, 70)),
    "with nan": np.where(_generator.random(5000) < 0.2, np.nan, _generator.random(5000)),
    "with inf": np.array([1, np.inf, np.nan, -np.inf, 5, 2.5, np.inf]),
    "single": np.array([1, np.inf, np.nan, -np.inf, 5, 2.5, np.inf], "f4"),
    "big-endian": _generator.random(1000).astype(">f4"),
    "half": _generator.random(1000).astype("f2"),
    "columns": np.asfortranarray(_generator.random((40, 30))),
    "integers": _generator.integers(-5000, 5000, 4000, "i2"),
    "few values": _generator.integers(3, 8, 1000, "u1"),
    "widest": np.array([-(2**63), 2**63 - 1, 0, 5]),
    "unsigned": np.array([2**64 - 1, 2**63, 7], "u8"),
    "truth": _generator.random(999) < 0.3,
    "one": np.array(4.25),
    "all the same": np.full(100, 1e300),
    "far apart": np.array([-1.7e308, 1.7e308, 0.0]),
    "close": np.nextafter(1.0, [0, 1, 2, 2]),
}


# Each dtype is five kernels to be compiled: those of the others are compiled for others too.
OF_OTHER_DTYPES = ("single", "big-endian", "half", "few values", "unsigned", "truth")


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.long if n in OF_OTHER_DTYPES else ()) for n in ARRAYS],
)
def test_stat_says_what_numpy_says(run, tmp_path, name):
    array = ARRAYS[name]
    code, out, errors = run("stat", saved(tmp_path / "x.npy", array), "--json")
    assert (code, errors) == (0, "")
    found = json.loads(out)
    wide = array.astype("f8")
    numbers = wide[~np.isnan(wide)]
    with np.errstate(all="ignore"):
        mean, std = numbers.mean(), numbers.std()
    if array.dtype.kind in "iu":
        mean = sum(array.tolist()) / array.size  # exact: float64 holds no such sum
    assert float(found["min"]) == numbers.min()
    assert float(found["max"]) == numbers.max()
    if np.isfinite(numbers).all():
        assert found["mean"] == pytest.approx(mean, rel=1e-9, abs=1e-300)
    if name not in ("far apart", "all the same", "close") and np.isfinite(numbers).all():
        assert found["std"] == pytest.approx(std, rel=1e-9)
    if array.dtype.kind == "f":
        assert found["nan"] == np.isnan(wide).sum()
    else:
        assert found["nan"] is None
    finite = numbers[np.isfinite(numbers)]
    plotted = found["histogram"]
    assert sum(plotted["counts"]) == finite.size
    assert plotted["outside"] == numbers.size - finite.size
    assert plotted["edges"][0] == finite.min()
    if array.dtype.itemsize < 8 or array.dtype.kind == "f":
        np.testing.assert_array_equal(plotted["counts"], np.histogram(finite, plotted["edges"])[0])
    assert found["passes"] == (2 if np.isfinite(numbers).all() else 3)


def test_stat_is_one_pass_if_it_knows_the_range(run, tmp_path, monkeypatch):
    began: list[Began] = []

    def observers(progress: Any) -> list[Any]:
        return [lambda event: began.append(event) if isinstance(event, Began) else None]

    monkeypatch.setattr(mapped, "default_observers", observers)
    for name in ("floats", "with inf", "integers"):
        for more, passes in ((("--no-histogram",), 1), (("--range", "-1", "4"), 1)):
            began.clear()
            path = saved(tmp_path / "x.npy", ARRAYS[name])
            _, out, _ = run("stat", path, "--json", *more)
            assert json.loads(out)["passes"] == len(began) == passes, began
    # Everything in one plan reads the file once, and what it reads is all that it reads.
    assert began[0].nbytes == ARRAYS["integers"].nbytes


def test_stat_counts_what_is_outside_of_the_range(run, tmp_path):
    path = saved(tmp_path / "x.npy", np.append(np.arange(100.0), np.nan))
    _, out, _ = run("stat", path, "--range", "-1e1", "49.5", "--bins", 7, "--json")
    plotted = json.loads(out)["histogram"]
    expected, edges = np.histogram(np.arange(100.0), 7, (-10, 49.5))
    np.testing.assert_array_equal(plotted["counts"], expected)
    np.testing.assert_allclose(plotted["edges"], edges)
    assert plotted["outside"] == 50
    assert "outside: 50 (49.50%)" in run("stat", path, "--range", "-1e1", "49.5")[1]


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.empty((0, 3)), "no histogram: there are no elements"),
        (np.empty((5, 0), "i4"), "no histogram: there are no elements"),
        (np.full(7, np.nan), "no histogram: all elements are NaN"),
        (np.full(7, np.nan + 0j), "NaN       7 (100.00%)"),
        (np.array([np.inf, -np.inf, np.nan]), "no histogram: there is no finite number"),
        (np.array([1 + 2j, 3 - 4j]), "no histogram: complex numbers have no order"),
        (np.array([1 + 2j, 3 - 4j]), "mean      (2-1j)"),
    ],
)
def test_stat_of_what_has_no_histogram(run, tmp_path, array, said):
    code, out, errors = run("stat", saved(tmp_path / "x.npy", array))
    assert (code, errors) == (0, "")
    assert said in out
    json.loads(run("stat", tmp_path / "x.npy", "--json")[1])


def test_stat_wants_a_field_of_a_structured_array(run, tmp_path):
    table = np.zeros(50, [("height", "f8"), ("id", "i8"), ("name", "S3")])
    table["height"] = np.arange(50)
    path = saved(tmp_path / "x.npy", table)
    code, _, errors = run("stat", path)
    assert code == 2
    assert "--field: height (float64), id (int64), name (|S3)" in one_line(errors)
    code, _, errors = run("stat", path, "--field", "depth")
    assert code == 2
    assert "no field 'depth'; it has height, id, name" in one_line(errors)
    code, _, errors = run("stat", path, "--field", "name")
    assert code == 1
    assert "holds no numbers" in one_line(errors)
    code, out, errors = run("stat", path, "--field", "height")
    assert (code, errors) == (0, "")
    assert "mean      24.5\n" in out


def test_stat_of_raw_bytes_and_of_dates(run, tmp_path):
    np.arange(100, dtype="i2").tofile(tmp_path / "x.bin")
    code, out, errors = run("stat", "x.bin", "--shape", "-1,10", "--dtype", "i2", "--offset", 20)
    assert code == 0, errors
    assert "x.bin: 9 x 10 int16, 180 B\n" in out
    assert "mean      54.5\n" in out
    code, _, errors = run("stat", saved(tmp_path / "x.npy", np.array(["2020-01-01"], "M8[D]")))
    assert code == 1
    assert "datetime64[D] holds no numbers" in one_line(errors)
    code, _, errors = run("stat", "x.npy", "--range", "5", "2")
    assert code == 2
    assert "5.0 is not below 2.0" in one_line(errors)
    code, _, errors = run("stat", "x.npy", "--range", "nan", "2")
    assert (code, "'nan' is not finite" in one_line(errors)) == (2, True)


def test_a_histogram_fits_its_terminal(run, tmp_path, monkeypatch):
    path = saved(tmp_path / "x.npy", ARRAYS["floats"])
    for width in (50, 80, 200):
        monkeypatch.setenv("COLUMNS", str(width))
        lines = [line for line in run("stat", path)[1].splitlines() if "│" in line or "|" in line]
        assert len(lines) == 20
        assert len({len(line) for line in lines}) == 1
        assert len(lines[0]) <= width
    drawn = bars([0, 1, 1000], [0, 1, 2, 3], 40, whole=True)
    assert [line.count("█") for line in drawn[:3]] == [0, 0, drawn[2].index(" 1,000") - 3]
    assert "▏" in drawn[1], "what is not zero is seen"
    assert drawn[3].split() == ["0", "1,000"]


def test_labels_tell_neighbours_apart():
    assert labels([0.0, 0.25, 0.5]) == ["0", "0.25", "0.5"]
    near = [1000.0, 1000.001, 1000.002]
    assert [float(label) for label in labels(near)] == near
    assert labels([7, 8, 9]) == ["7", "8", "9"]


# ---- tunings -----------------------------------------------------------------------------------


@pytest.fixture
def kept(tmp_path, monkeypatch) -> Path:
    """Where tunings are kept during a test: not yet there."""
    path = tmp_path / "cache" / "tune.json"
    monkeypatch.setattr(tuned, "kept_path", lambda: str(path))
    monkeypatch.delenv("OOCARRAY_TUNING", raising=False)
    return path


ODD = Tuning("sequential", False, "none", 3 << 20)


def keep(path: Path, folder: Path, tuning: Tuning = ODD) -> None:
    system = file_system(str(folder))
    assert system is not None
    write_kept(str(path), {tuned.key_of(system): Kept(tuning, system.mount, system.kind, "today")})


def test_what_is_kept_comes_back_and_is_the_owners_alone(kept, tmp_path):
    keep(kept, tmp_path)
    (one,) = read_kept(str(kept)).values()
    assert one.tuning == ODD
    assert one.date == "today"
    assert "by `oocarray tune`, today" in one.tuning.origin
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.parent.stat().st_mode & 0o777 == 0o700
    assert os.listdir(kept.parent) == ["tune.json"]


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda path: path.write_text("{"), "damaged"),
        (lambda path: path.write_text("[]"), "damaged"),
        (lambda path: path.write_text("[" * 100_000), "damaged"),
        (lambda path: path.write_bytes(b"\xff\xfe{}"), "damaged"),
        (lambda path: path.write_text('{"version": 2, "tunings": {}}'), "version 2"),
        (lambda path: path.write_text(path.read_text().replace("sequential", "fast")), "advice"),
        (lambda path: path.write_text(path.read_text().replace("3145728", "1e99")), "unit"),
        (lambda path: path.write_text(path.read_text().replace("3145728", "5")), "unit"),
        (lambda path: path.write_text(path.read_text().replace("false", "null")), "populate"),
        (lambda path: path.write_text('{"version": 1}'), "damaged"),
        (lambda path: path.write_bytes(bytes(2 << 20)), "2 MiB, more than 1 MiB"),
        (lambda path: path.chmod(0o666), "others than you"),
        (lambda path: (path.unlink(), path.mkdir()), "no regular file"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "no regular file"),
        (lambda path: (path.rename(path.with_suffix(".b")), path.symlink_to("tune.b")), "symbolic"),
    ],
)
def test_a_bad_file_of_tunings_is_ignored_with_one_line(kept, tmp_path, caplog, damage, why):
    keep(kept, tmp_path)
    x = oo.open(saved(tmp_path / "x.npy", np.arange(10.0)))
    assert mapped.limits_of(merged({}), [Root(x.node)]).tuning == ODD
    damage(kept)
    with caplog.at_level(logging.WARNING, "oocarray"):
        for _ in range(3):
            assert mapped.limits_of(merged({}), [Root(x.node)]).tuning == DEFAULT
    (line,) = [record.getMessage() for record in caplog.records]
    assert str(kept) in line
    assert why in line


def test_somebody_elses_file_of_tunings_is_ignored(kept, tmp_path, caplog):
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    keep(kept, tmp_path)
    os.chown(kept, 12345, -1)
    assert read_kept(str(kept)) == {}
    assert "others than you" in caplog.text


def test_runs_follow_what_is_kept_for_their_files(kept, tmp_path, monkeypatch):
    keep(kept, tmp_path)
    x = oo.open(saved(tmp_path / "x.npy", np.arange(1000.0)))
    line = next(text for text in x.sum().explain().splitlines() if text.startswith("advice:"))
    assert (
        "by `oocarray tune`, today: inputs sequential, read past; outputs none; at most 3" in line
    )
    given = Tuning(unit=5 << 20)
    assert mapped.limits_of(merged({"tuning": given}), [Root(x.node)]).tuning is given
    seen: list[Tuning] = []
    before = Files.__init__

    def spy(files: Files, *args: Any, **kwargs: Any) -> None:
        before(files, *args, **kwargs)
        seen.append(files.tuning)

    monkeypatch.setattr(Files, "__init__", spy)
    assert x.sum().compute(scheduler="serial") == 499500
    assert ODD in seen
    seen.clear()
    monkeypatch.setenv("OOCARRAY_TUNING", "off")
    assert x.sum().compute(scheduler="serial") == 499500
    assert set(seen) == {DEFAULT}
    assert "advice:" not in x.sum().explain()
    monkeypatch.setenv("OOCARRAY_TUNING", "perhaps")
    with pytest.raises(ValueError, match="tuning='perhaps' is none of 1, true"):
        x.sum().compute()


def test_the_output_decides_and_another_file_system_has_its_own(kept, tmp_path):
    if not os.access("/dev/shm", os.W_OK) or file_system("/dev/shm") == file_system(str(tmp_path)):
        pytest.skip("there is no second file system")
    keep(kept, Path("/dev/shm"))
    x = oo.open(saved(tmp_path / "x.npy", np.arange(10.0)))
    assert mapped.limits_of(merged({}), [Root(x.node)]).tuning == DEFAULT
    place = Path("/dev/shm") / f"oocarray-test-{os.getpid()}.npy"
    y = oo.create(place, (10,))
    try:
        assert mapped.limits_of(merged({}), [Root(x.node, y.layout)]).tuning == ODD
    finally:
        place.unlink()


def test_a_kernel_of_another_version_is_another_machine(kept, tmp_path, monkeypatch):
    keep(kept, tmp_path)
    x = oo.open(saved(tmp_path / "x.npy", np.arange(10.0)))
    monkeypatch.setattr("platform.release", lambda: "9.99.1-generic")
    assert mapped.limits_of(merged({}), [Root(x.node)]).tuning == DEFAULT


TUNINGS = [
    Tuning("none", True, "none", 1 << 20),
    Tuning("willneed", True, "hugepage", 2 << 20),
    Tuning("sequential", False, "none", 5 << 20),
    Tuning("willneed", False, "hugepage", 1 << 30),
    Tuning("hugepage", False, "hugepage", 17 << 20),
]


@pytest.mark.parametrize("scheduler", ["processes", "threads"])
def test_no_tuning_changes_a_bit(tmp_path, scheduler):
    values = np.random.default_rng(1).normal(size=(1500, 1000)).astype("f4")
    x = oo.open(saved(tmp_path / "x.npy", values), chunks=(37, -1))

    def results(**options: Any) -> tuple[bytes, ...]:
        y = x.map_blocks(np.tanh, dtype="f4")
        out = tmp_path / "y.npy"
        oo.store(y, out, overwrite=True, **options)
        mean, std = oo.compute(x.mean(), x.std(), **options)
        return mean.tobytes(), std.tobytes(), out.read_bytes()

    expected = results(scheduler="serial", memory="1 GiB")
    for tuning in TUNINGS:
        for memory in ("3 MiB", "1 GiB"):  # passing through, and staying
            found = results(scheduler=scheduler, workers=2, memory=memory, tuning=tuning)
            assert found == expected, (tuning, memory)


@pytest.mark.parametrize("tuning", TUNINGS, ids=lambda tuning: tuning.words())
def test_under_any_tuning_a_file_cut_short_is_an_error_of_python(tmp_path, tuning):
    path = tmp_path / "x.bin"
    path.write_bytes(bytes(8 * calls.PAGE))
    key = FileKey.of(str(path))
    files = Files([(key, os.open(path, os.O_RDONLY), False)], tuning=tuning)
    window = files.whole(key, (0, 8 * calls.PAGE))
    files.bring(window, key, 0, 8 * calls.PAGE, write=False)
    os.truncate(path, calls.PAGE)
    files.bring(window, key, 0, calls.PAGE, write=False)
    with pytest.raises(oo.TruncatedFileError, match="was cut to"):
        files.bring(window, key, 0, 8 * calls.PAGE, write=False)
    files.close()


def test_reading_past_sees_every_page_of_a_file_that_ends_within_one(tmp_path):
    path = tmp_path / "x.bin"
    path.write_bytes(bytes(600_001))
    fd = os.open(path, os.O_RDONLY)
    try:
        read_pages(fd, 5000, 600_001)
        read_pages(fd, 0, -(-600_001 // calls.PAGE) * calls.PAGE)
        with pytest.raises(OSError, match="file ends before"):
            read_pages(fd, 5000, 600_001 + calls.PAGE)
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    "fields",
    [{"advice": "random"}, {"write_advice": "willneed"}, {"unit": 4096}, {"populate": 1}],
)
def test_what_is_no_tuning_is_refused(fields):
    with pytest.raises(ValueError, match=next(iter(fields))):
        Tuning(**fields)


# ---- file systems ------------------------------------------------------------------------------

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 8:2 / /data rw - xfs /dev/sdb1 rw
24 22 8:2 /sub /my\\040data rw shared:2 master:3 - xfs /dev/sdb1 rw
25 22 0:31 / /home rw - btrfs /dev/sdc rw
26 22 0:44 / /net rw - nfs4 server:/export rw
nonsense
"""


@pytest.mark.parametrize(
    ("path", "device", "expected"),
    [
        ("/etc/x", (8, 1), ("ext4", "/", "ext4 /dev/sda1")),
        ("/data/a/b", (8, 2), ("xfs", "/data", "xfs /dev/sdb1")),
        ("/my data/b", (8, 2), ("xfs", "/my data", "xfs /dev/sdb1")),
        ("/database", (8, 1), ("ext4", "/", "ext4 /dev/sda1")),
        ("/elsewhere", (8, 2), ("xfs", "/data", "xfs /dev/sdb1")),
        ("/home/me/x", (0, 99), ("btrfs", "/home", "btrfs /dev/sdc")),
        ("/net/x", (0, 44), ("nfs4", "/net", "nfs4 server:/export")),
    ],
)
def test_mounts_are_read(tmp_path, monkeypatch, path, device, expected):
    (tmp_path / "mounts").write_text(MOUNTS)
    monkeypatch.setattr(filesystems, "_MOUNTS", str(tmp_path / "mounts"))
    monkeypatch.setattr(filesystems, "_BY_UUID", str(tmp_path / "none"))
    assert file_system(path, os.makedev(*device)) == expected


def test_a_file_system_is_known_by_its_uuid(tmp_path, monkeypatch):
    (tmp_path / "mounts").write_text("22 1 0:0 / / rw - ext4 /dev/sda1 rw\n")
    (tmp_path / "uuid").mkdir()
    (tmp_path / "uuid" / "1234-abcd").write_text("")  # of a plain file the device is 0:0
    monkeypatch.setattr(filesystems, "_MOUNTS", str(tmp_path / "mounts"))
    monkeypatch.setattr(filesystems, "_BY_UUID", str(tmp_path / "uuid"))
    assert file_system("/x", 0) == ("ext4", "/", "ext4 1234-abcd")
    monkeypatch.setattr(filesystems, "_MOUNTS", str(tmp_path / "gone"))
    assert file_system("/x", 0) is None


# ---- trials ------------------------------------------------------------------------------------


def ways(default: list[float], again: list[float], **others: list[float]) -> list[Way]:
    return [
        Way("reads", "default", DEFAULT, default),
        Way("reads", "again", DEFAULT, again),
        *(
            Way("reads", name, Tuning(advice=name), seconds)  # type: ignore[arg-type]
            for name, seconds in others.items()
        ),
    ]


@pytest.mark.parametrize(
    ("default", "again", "other", "wins"),
    [
        ([1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [0.9, 0.9, 0.9], True),
        ([1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [0.97, 0.97, 0.97], False),  # too little to matter
        ([1.0, 1.0, 1.0], [1.0, 1.3, 1.0], [0.9, 0.9, 0.9], False),  # within the noise
        ([1.0, 1.0, 1.0], [1.3, 1.0, 1.0], [0.5, 0.6, 0.5], True),
        ([1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [0.1, 1.1, 1.1], False),  # once lucky
        ([1.0, 2.0, 4.0], [1.0, 2.0, 4.0], [0.8, 1.6, 3.2], True),  # the disk slows down for all
        ([1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [1.5, 1.5, 1.5], False),
    ],
)
def test_a_way_wins_by_more_than_the_noise(default, again, other, wins):
    tried = ways(default, again, none=other, willneed=[9.0, 9.0, 9.0])
    noise, tuning = judge(tried)
    assert tried[2].wins is wins
    assert tuning == (Tuning(advice="none") if wins else DEFAULT)
    pairs = zip(default, again, strict=True)
    assert noise["reads"] == pytest.approx(max(max(p) / min(p) for p in pairs) - 1)


def test_winners_of_both_works_are_taken_together():
    reads = ways([1.0], [1.0], none=[0.5])
    writes = [
        Way("writes", "default", DEFAULT, [1.0]),
        Way("writes", "again", DEFAULT, [1.0]),
        Way("writes", "small", Tuning(unit=2 << 20), [0.5]),
    ]
    assert judge([*reads, *writes])[1] == Tuning(advice="none", unit=2 << 20)


def _on_disk(folder: Path) -> None:
    system = file_system(str(folder))
    if system is None or system.kind in ("tmpfs", "ramfs", "overlay"):
        pytest.skip("the test's folder is on no disk")


def test_tune_tries_keeps_shows_and_forgets(run, kept, tmp_path):
    _on_disk(tmp_path)
    (tmp_path / "data").mkdir()
    words = ("tune", "data", "--size", "32MiB", "--seconds", "0.1", "--json")
    code, out, errors = run(*words)
    assert (code, errors) == (0, "")
    found = json.loads(out)
    assert found["rounds"] == 3
    assert found["bytes"] == 32 << 20
    assert found["kept_in"] == str(kept)
    assert all(len(way["seconds"]) == 3 for way in found["ways"])
    winners = [way for way in found["ways"] if way["wins"]]
    assert all(way["gain"] > max(found["noise"][way["work"]], 0.05) for way in winners)
    assert os.listdir("data") == []
    (shown,) = json.loads(run("tune", "--show", "--json")[1])["tunings"]
    assert {name: shown[name] for name in found["tuning"]} == found["tuning"]
    assert shown["mount"] == found["mount"]
    x = oo.open(saved(tmp_path / "x.npy", np.arange(10.0)))
    assert f"advice: tuned for {found['mount']} (" in x.sum().explain()
    assert run("tune", "--forget", "data")[0] == 0
    assert json.loads(run("tune", "--show", "--json")[1])["tunings"] == []
    assert "advice:" not in x.sum().explain()
    code, _, errors = run("tune", "--forget", "data")
    assert (code, "nothing is kept" in one_line(errors)) == (1, True)


def test_tune_prints_a_table_and_cannot_keep_without_a_home(run, tmp_path, monkeypatch):
    _on_disk(tmp_path)
    monkeypatch.setattr(tuned, "kept_path", lambda: None)
    code, out, errors = run("tune", ".", "--size", "32MiB", "--seconds", "0.1")
    assert code == 0
    assert "cannot be kept: there is no home folder" in one_line(errors)
    assert out.count("the same again") == 2
    assert out.count("noise: ") == 2
    assert ("the default stays: " in out) is ("chosen: " not in out)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("", 2, "name a folder"),
        ("gone", 1, "gone: No such file"),
        (". --size 1MiB", 1, "a file of 1 MiB tells nothing; give --size at least 32 MiB"),
        (". --size 4EiB", 1, "two files of 4 EiB do not fit"),
        (". --show --forget", 2, "not allowed with"),
        ("/dev/shm", 1, "/dev/shm is on tmpfs, which is memory: there is nothing to tune"),
    ],
)
def test_what_cannot_be_tuned_is_one_line(run, kept, tmp_path, words, code, said):
    if "/dev/shm" in words and getattr(file_system("/dev/shm"), "kind", "") != "tmpfs":
        pytest.skip("/dev/shm is no tmpfs")
    if "--size" in words:
        _on_disk(tmp_path)
    done, out, errors = run("tune", *words.split())
    assert (done, out) == (code, "")
    assert said in one_line(errors)
    assert not kept.exists()


def test_a_trial_that_ends_early_leaves_nothing(tmp_path):
    _on_disk(tmp_path)

    def tell(text: str) -> None:
        if text == "round 2":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        try_ways(str(tmp_path), 32 << 20, 0.1, tell)
    assert os.listdir(tmp_path) == []


def test_tunings_are_in_the_users_cache_folder(tmp_path):
    plain = {key: value for key, value in os.environ.items() if not key.startswith("OOCARRAY_C")}
    homes = {
        "home": ({"HOME": "/my/home", "XDG_CACHE_HOME": ""}, "/my/home/.cache/oocarray/tune.json"),
        "xdg": ({"XDG_CACHE_HOME": str(tmp_path)}, f"{tmp_path}/oocarray/tune.json"),
        "none": ({"OOCARRAY_CACHE": ""}, None),
    }
    for given, expected in homes.values():
        done = subprocess.run(
            [sys.executable, "-m", "oocarray", "tune", "--show", "--json"],
            env={**plain, **given}, capture_output=True, text=True, timeout=100,
        )  # fmt: skip
        assert json.loads(done.stdout) == {"path": expected, "tunings": []}, done.stderr
    assert os.listdir(tmp_path) == [], "a look makes no folder"


@pytest.mark.parametrize("command", ["convert", "info", "map", "stat", "tune"])
def test_help_is_quick_to_load(command):
    heavy = "{'numba', 'llvmlite', 'dask', 'zarr', 'matplotlib', 'oocarray.core'}"
    code = (
        "import sys\nfrom oocarray.cli import main\n"
        f"try:\n    main([{command!r}, '--help'])\n"
        f"except SystemExit:\n    print(*({heavy} & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert "examples:" in done.stdout
    assert done.stderr.split() == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_map_that_is_ended_leaves_nothing(tmp_path, number, code):
    (tmp_path / "slow.py").write_text(
        "import pathlib, time\n"
        "def wait(block):\n"
        f"    pathlib.Path({str(tmp_path / 'began')!r}).touch()\n"
        "    time.sleep(0.2)\n"
        "    return block\n"
    )
    saved(tmp_path / "x.npy", np.zeros(1000))
    words = ["map", "slow.py:wait", "x.npy", "y.npy", "--dtype", "f8", "--chunks", "50"]
    with subprocess.Popen(
        [sys.executable, "-m", "oocarray", *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as process:
        limit = time.monotonic() + 60
        while not (tmp_path / "began").exists() and time.monotonic() < limit:
            time.sleep(0.05)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert "Traceback" not in errors
    assert {*os.listdir(tmp_path)} - {"__pycache__"} == {"began", "slow.py", "x.npy"}
