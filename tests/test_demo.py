"""Runs the demonstration small, sees what it leaves and how it fails; tries the command line."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

import oocarray as oo
from oocarray import cli, demo
from oocarray.demochecks import Checks, thumbnails
from oocarray.landscape import detector, scene, shape_for
from oocarray.reporting import draw_histogram, draw_quicklook

SMALL = ["--size", "32MiB", "--memory", "64MiB"]


def command(*arguments: str, folder: Path, **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "oocarray", *arguments],
        cwd=folder, capture_output=True, text=True, timeout=100,
        env={**os.environ, "COLUMNS": "100", **more},
    )  # fmt: skip


def test_a_small_demonstration_leaves_only_its_pictures(tmp_path) -> None:
    done = command("demo", *SMALL, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "histogram.png",
        "oocarray-demo",
        "scene.png",
    ]
    for name in ("scene.png", "histogram.png"):
        picture = (tmp_path / "oocarray-demo" / name).read_bytes()
        assert picture.startswith(b"\x89PNG")
        assert len(picture) > 20_000
    lines = done.stdout.splitlines()
    rows = {line[:24].strip(): line.split()[-7:] for line in lines if "iB" in line[60:]}
    for name in ("make the scene", "calibrate to float32", "vegetation index", "all steps"):
        assert float(rows[name][2]) > 0
    # Two bands of four bytes in, one out, of 5.6 million pixels.
    assert rows["vegetation index"][:2] == ["0.04", "0.02"]
    assert "48 random samples" in done.stdout
    assert "\x1b" not in done.stdout


def test_data_can_be_kept(tmp_path) -> None:
    done = command("demo", "--size", "1MiB", "--keep", "--folder", "here", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    (data,) = (tmp_path / "here").glob("data-*")
    assert f"Kept the data in {data}" in done.stdout
    assert sorted(path.name for path in data.iterdir()) == [
        "calibrated.npy",
        "ndvi.npy",
        "scene.npy",
    ]
    raw = np.load(data / "scene.npy", mmap_mode="r")
    assert (raw.shape, raw.dtype) == (shape_for(1 << 20), np.dtype("u2"))


Usage = namedtuple("Usage", "total used free")


def test_a_full_disk_is_refused_with_both_numbers(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1 << 40, 1 << 40, 3 << 30))
    folder = tmp_path / "new" / "er"
    assert cli.main(["demo", "--folder", str(folder)]) == 1
    error = capsys.readouterr().err
    assert "needs 7.34 GiB" in error
    assert "3 GiB are free" in error
    assert "--size" in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_space_needed_is_what_is_taken() -> None:
    bands, rows, columns = shape_for(2 << 30)
    assert bands == 3
    assert abs(6 * rows * columns - (2 << 30)) < 1 << 20
    files = 6 * rows * columns + 12 * rows * columns + 4 * rows * columns + 3 * 4096
    assert demo.space_needed(2 << 30) == files + (8 << 20)


def test_a_failure_removes_the_data(tmp_path, monkeypatch, capsys) -> None:
    def fails(tour: demo.Tour) -> None:
        Path(tour.path("scene.npy")).write_bytes(b"x")
        raise ValueError("nothing\nworks")

    monkeypatch.setattr(demo, "_prepare", fails)
    arguments = ["demo", "--size", "1MiB", "--keep", "--folder", str(tmp_path / "a")]
    assert cli.main(arguments) == 1
    assert capsys.readouterr().err == "oocarray: error: nothing works\n"
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="nothing"):
        cli.main([*arguments, "--debug"])


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "term"]
)
def test_a_signal_removes_the_data(tmp_path, number: int, code: int) -> None:
    folder = tmp_path / "a"
    # A background job of a shell is started with SIGINT ignored; this child shall not be.
    with subprocess.Popen(
        [sys.executable, "-m", "oocarray", "demo", "--size", "1GiB", "--folder", folder],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        limit = time.monotonic() + 60
        while not list(folder.glob("data-*")) and time.monotonic() < limit:
            time.sleep(0.02)
        time.sleep(0.5)
        process.send_signal(number)
        # Python itself ends so where it was interrupted in text that it was executing.
        by_python = {-signal.SIGINT} if number == signal.SIGINT else set()
        assert process.wait(60) in {code} | by_python
        error = process.stderr.read()
    assert error == ("oocarray: interrupted\n" if number == signal.SIGINT else "")
    assert list(tmp_path.iterdir()) == []


def test_checks_find_a_wrong_pixel(tmp_path) -> None:
    shape = shape_for(1)
    tour = demo.Tour(demo.Settings(size=1), str(tmp_path), None)
    with oo.options(scheduler="serial", progress=False):
        demo._work(tour)
        checks = Checks(str(tmp_path), shape, demo.HAZE)
        assert "equal plain NumPy's to the bit" in checks.run()
        np.load(tmp_path / "ndvi.npy", mmap_mode="r+")[:, 5] += 0.25
        with pytest.raises(AssertionError, match=r"ndvi\.npy: rows \d+ to \d+ differ"):
            checks.run()


def raw_scene(shape: tuple[int, int, int], rows: int) -> np.ndarray:
    bands, height, width = shape
    dark, gain = detector(width)
    made = oo.map_blocks(
        scene, rows, dark, gain, dtype="u2",
        chunks=((1,) * bands, (rows,) * (height // rows), (width,)),
    )  # fmt: skip
    return made.compute(scheduler="serial")


def test_the_landscape_is_the_same_at_any_size() -> None:
    pictures = []
    for width in (256, 512):
        dark, gain = detector(width)
        raw = raw_scene((2, width, width), width)
        light = (raw.astype(np.float32) - dark) * gain
        assert 0 < light.min() < 0.05
        assert 0.4 < light.max() < 1.5
        pictures.append(light.reshape(2, 64, width // 64, 64, width // 64).mean(axis=(2, 4)))
    assert np.corrcoef(pictures[0].ravel(), pictures[1].ravel())[0, 1] > 0.9


def test_blocks_join_without_a_seam() -> None:
    assert np.array_equal(raw_scene((3, 96, 320), 96), raw_scene((3, 96, 320), 32))


def test_thumbnails_are_means(tmp_path) -> None:
    light = np.arange(3 * 2400 * 2000, dtype="f4").reshape(3, 2400, 2000)
    np.save(tmp_path / "calibrated.npy", light)
    np.save(tmp_path / "ndvi.npy", light[1])
    picture, index = thumbnails(str(tmp_path), (3, 2400, 2000))
    assert (picture.shape, index.shape) == ((3, 1200, 1000), (1200, 1000))
    assert picture[2, 7, 9] == light[2, 14:16, 18:20].mean()
    assert index[7, 9] == picture[1, 7, 9]


def test_figures_are_drawn_of_anything(tmp_path) -> None:
    counts, edges = np.histogram([], 10, range=(-1, 1))
    statistics = {"min": np.nan, "mean": 0.0}
    draw_histogram(tmp_path / "none.png", counts, edges, statistics)
    draw_quicklook(tmp_path / "look.png", np.zeros((3, 4, 9)), np.full((4, 9), np.nan), "t")
    assert {path.suffix for path in tmp_path.iterdir()} == {".png"}


def test_without_matplotlib_it_says_what_to_install(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    (reason,) = {demo.why_no_figures()}
    assert reason is not None
    assert "pip install" in reason


# The command


def test_help_and_version(tmp_path) -> None:
    done = command("--help", folder=tmp_path)
    assert done.returncode == 0
    assert re.search(r"^ +demo +show what oocarray does", done.stdout, re.MULTILINE)
    assert command("--version", folder=tmp_path).stdout == f"oocarray {oo.__version__}\n"


def test_without_a_command_there_is_help(capsys) -> None:
    assert cli.main([]) == 0
    assert "commands:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fly"], "invalid choice: 'fly'"),
        (["demo", "--size", "many"], "cannot read 'many' as a size"),
        (["demo", "--size", "0"], "'0' is not above 0"),
        (["demo", "--workers", "0"], "'0' is not above 0"),
        (["demo", "--workers", "two"], "invalid literal"),
    ],
)
def test_wrong_usage_is_2(capsys, arguments: list[str], words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err
