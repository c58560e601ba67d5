"""Writes result pages and compares result files, all made up; measures nothing.

Runs of the suite that end early are here too, for the page they leave, and groups that are not.
"""

from __future__ import annotations

import errno
import html.parser
import json
import math
import os
import random
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks import (
    compare_results,
    groups,
    page,
    page_figures,
    page_plots,
    page_tables,
    page_text,
    results,
)
from benchmarks.__main__ import main
from benchmarks.results import Cell, Run, read, say
from benchmarks.suite.journal import Journal
from benchmarks.suite.suite import Suite

MIB, GIB = 1 << 20, 1 << 30
RIVALS = ("oocarray", "numpy-naive", "numpy-careful", "dask", "zarr", "new-one")
Record = dict[str, Any]


def machine(**changed: Any) -> Record:
    facts: Record = {"kind": "machine", "when": "2026-11-29T09:00:00+00:00", "cpu": "a <cpu>"}
    facts |= {"cores": 2, "ram": 24 * GIB, "kernel": "6.1", "filesystem": "ext4", "disk": "vda"}
    facts |= {"python": "3.11", "versions": {"numpy": "2.4", "dask": "1", "zarr": "3"}}
    facts |= {"commit": "abc", "size": 4 * GIB, "memory": GIB, "rounds": 3, "quick": False}
    return facts | changed


def record(case: str, rival: str, state: str, number: int, wall: float, **changed: Any) -> Record:
    found: Record = {"kind": "run", "sweep": "main", "case": case, "rival": rival, "state": state}
    found |= {"round": number, "size": 4 * GIB, "memory": GIB, "workers": 2, "chunk_bytes": None}
    found |= {"outcome": "ok", "message": "", "wall": wall, "cpu": 2 * wall, "peak": 100 * MIB}
    found |= {"peak_cache": MIB, "read": 4 * GIB, "written": 0, "planned_read": 4 * GIB}
    found |= {"planned_written": 0}
    found |= changed
    if found["outcome"] != "ok":
        found |= dict.fromkeys(("wall", "cpu", "peak", "read", "written"))
    return found


def made(seed: int = 0, ours: float = 1.0, all_of: float = 1.0) -> list[Record]:
    """Runs of everything, 2 % apart from round to round."""
    rng = random.Random(seed)
    records = [machine()]
    tried = {str(4 * MIB): 1.0, str(16 * MIB): 0.5}
    records.append(
        {
            "kind": "tuning",
            "case": "mean",
            "rival": "dask",
            "chunk_bytes": 16 * MIB,
            "tried": tried,
        }
    )
    for case in ("mean", "map", "zscore"):
        for place, rival in enumerate(RIVALS):
            base = (2.0 + place) * all_of * (ours if rival == "oocarray" else 1.0)
            for state in ("cold", "warm"):
                for number in range(3):
                    outcome = "killed" if (case, rival) == ("map", "numpy-naive") else "ok"
                    wall = base * rng.uniform(0.98, 1.02) * (1 if state == "cold" else 0.5)
                    one = record(case, rival, state, number, wall, outcome=outcome)
                    records.append(one)
    for x in (1, 2, 4):
        for rival in RIVALS[:4]:
            times = all_of * (ours if rival == "oocarray" else 1.0)
            wall = 4.0 / x * times
            at = {"sweep": "memory", "memory": x * GIB}
            bad = "killed" if rival == "dask" and x == 1 else "ok"
            records.append(record("mean", rival, "cold", 0, wall, **at, outcome=bad))
            records.append(record("mean", rival, "cold", 0, x * times, sweep="size", size=x * GIB))
            for state, part in (("cold", 1.0), ("warm", 0.25)):
                at = {"sweep": "workers", "workers": x}
                records.append(record("mean", rival, state, 0, part * wall, **at))
    records.append({"kind": "left_out", "what": "Spark & co", "why": "needs <Java>"})
    records.append({"kind": "end", "seconds": 600.0})
    return records


def write(path: Path, records: list[Record], more: str = "") -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in records) + more)
    return path


class Tags(html.parser.HTMLParser):
    """Fails where tags do not match."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


# ---- the page ------------------------------------------------------------------------------------


def test_page_is_whole_and_asks_for_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "results.jsonl", made())
    found = page.write(path)
    assert found == tmp_path / "results.html"
    text = found.read_text()
    tags = Tags()
    tags.feed(text)
    assert not tags.open
    assert not re.search(r"https?://|<script|<link|@import|url\(|src=", text)
    assert "prefers-color-scheme:dark" in text
    for words in (
        "killed at 1 GiB",
        "a &lt;cpu&gt;",
        "needs &lt;Java&gt;",
        "Spark &amp; co",
        "MiB/s",
        "seconds per GiB",
        "times as fast",
        "--memory 1GiB",
        "Sizes that were tried",
        "new-one",
    ):
        assert words in text, words
    for section in ("glance", "summary", "time", "cpu", "memory", "size", "workers", "bytes"):
        assert f'<section id="{section}">' in text
    assert "stopped before its end" not in text
    assert text.count("<svg") > 10


def test_best_of_each_row_is_bold(tmp_path: Path) -> None:
    records = [machine()]
    records += [record("mean", "oocarray", "cold", 0, 3.0), record("mean", "dask", "cold", 0, 1.2)]
    text = page.write(write(tmp_path / "r.jsonl", records)).read_text()
    assert "<b>1.20 s</b>" in text
    assert "<b>3.00 s</b>" not in text
    assert "oocarray takes 2.50 times as long" in text


def test_speed_by_workers_is_beside_one_worker_in_the_same_state(tmp_path: Path) -> None:
    found = read(write(tmp_path / "r.jsonl", made()))
    drawn: list[page_plots.Point] = []

    def note(title: str, series: dict[int, list[page_plots.Point]], *_: Any, **__: Any) -> str:
        drawn.extend(point for points in series.values() for point in points)
        return title

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page_figures, "lines", note)
        page_figures.workers_figure(found, page_plots.colours(found.rivals()))
    assert {(point.x, point.y) for point in drawn} == {(1, 1.0), (2, 2.0), (4, 4.0)}


@pytest.mark.parametrize("states", [("cold", "warm"), ("cold",), ("warm",)])
def test_warm_runs_of_a_sweep_have_panels_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, states: tuple[str, ...]
) -> None:
    walls = {"cold": 4.0, "warm": 1.0}
    records = [machine()]
    for rival in ("oocarray", "dask"):
        for state in states:
            for x in (1, 2):
                at: Record = {"sweep": "memory", "memory": x * GIB}
                records.append(record("mean", rival, state, 0, walls[state] / x, **at))
                # Warm, none ended well: there is nothing to draw.
                bad = "killed" if state == "warm" else "ok"
                records.append(record("map", rival, state, 0, 1.0, **at, outcome=bad))
    found = read(write(tmp_path / "r.jsonl", records))
    numbers = page_plots.colours(found.rivals())
    titles = re.findall(r'aria-label="([^"]*)"', page_figures.memory_figure(found, numbers))
    tails = {"cold": "", "warm": ", warm"}
    mean, map_ = (f"{case}: {page_text.title_of(case)}" for case in ("mean", "map"))
    wanted = [mean + tails[state] for state in states] + [map_] * ("cold" in states)
    assert titles == wanted
    text = page_figures.memory_figure(found, numbers)
    assert ("A warm run comes at once after" in text) == ("warm" in states)
    assert ("All runs are cold." in text) == ("warm" not in states)

    drawn: dict[str, set[tuple[float, float | None]]] = {}

    def note(title: str, series: dict[int, list[page_plots.Point]], *_: Any, **__: Any) -> str:
        points = {(p.x / GIB, p.y) for points in series.values() for p in points}
        drawn[title] = points
        return title

    monkeypatch.setattr(page_figures, "lines", note)
    page_figures.memory_figure(found, numbers)
    for state in states:
        # 4 GiB by so many seconds.
        points = {(x, 4096 * x / walls[state]) for x in (1, 2)}
        assert drawn[mean + tails[state]] == points


def test_memory_is_shown_in_both_ways_and_not_ranked(tmp_path: Path) -> None:
    records = [machine(), record("mean", "oocarray", "cold", 0, 1.5, peak=7 * MIB)]
    text = page.write(write(tmp_path / "r.jsonl", records)).read_text()
    assert "memory held, cold" in text
    assert "charged, cold" in text
    assert "7 MiB" in text
    assert "<b>7 MiB" not in text


def lead(tmp_path: Path, *records: Record) -> str:
    found = read(write(tmp_path / "r.jsonl", [machine(), *records]))
    return " ".join(page_text.lead(found))


def test_lead_tells_what_was_run(tmp_path: Path) -> None:
    ours = [record("mean", "oocarray", "cold", number, 1.0) for number in range(3)]
    warm = record("mean", "oocarray", "warm", 0, 1.0)
    none = record("mean", "zarr", "cold", 0, 1.0, outcome="missing")
    text = lead(tmp_path, *ours, none)
    assert "Each run was done 3 times" in text
    assert "warm" not in text
    assert "was done with oocarray." in text
    assert "with at most 1 GiB" in text
    assert "4 times as large" in text
    text = lead(tmp_path, *ours, warm, record("mean", "dask", "cold", 0, 2.0), none)
    assert "Each run was done 1 to 3 times" in text
    assert "in 1 other way," in text
    assert "warm" in text
    assert "no limit could be set" in lead(tmp_path, ours[0] | {"memory": None})
    assert "No run has ended well" in lead(tmp_path, none)


def test_what_was_only_done_warm_is_no_reading_from_the_disk(tmp_path: Path) -> None:
    records = [machine()]
    for rival, wall in (("oocarray", 1.0), ("dask", 4.0)):
        outcome = "killed" if rival == "oocarray" else "ok"
        records += [record("mean", rival, "cold", 0, wall, outcome=outcome)]
        records += [record("mean", rival, "warm", 0, wall)]
        records += [record("map", rival, "cold", 0, wall)]
    found = read(write(tmp_path / "r.jsonl", records))
    assert page_text.score(found).startswith("Of 1 kind of work, read from the disk, oocarray")
    assert len(page_text.glance(found)) == 2


@pytest.mark.parametrize(("wall", "words"), [(1.48, "no clear"), (1.52, "1.52 times as fast")])
def test_single_rounds_that_are_close_are_not_told_apart(
    tmp_path: Path, wall: float, words: str
) -> None:
    records = [machine(), record("mean", "oocarray", "cold", 0, 1.0)]
    records += [record("mean", "dask", "cold", 0, wall)]
    # Our own code is no rival, however fast.
    records += [record("mean", "backend-dask", "cold", 0, 0.1)]
    found = read(write(tmp_path / "r.jsonl", records))
    [(_, _, text)] = page_text.glance(found)
    assert "fastest rival dask" in text
    assert words in text


def test_the_command_to_repeat_is_exact(tmp_path: Path) -> None:
    more = {"size": 5 * GIB + 4 * MIB, "cases": ["mean", "map"], "rivals": ["oocarray"]}
    facts = machine(**more, sweeps=[], workers=2, minutes=2.8, quick=True, rounds=1)
    text = page_text.repeat(read(write(tmp_path / "r.jsonl", [facts])))
    assert text == (
        f"python -m benchmarks --quick --size {5 * GIB + 4 * MIB} --memory 1GiB --cases mean,map "
        "--rivals oocarray --sweeps none --rounds 1 --workers 2 --minutes 2.8 --out bench-results"
    )


def test_remarks_on_runs_that_ended_well_are_shown(tmp_path: Path) -> None:
    records = [machine(), record("mean", "oocarray", "cold", 0, 1.5, message="one was <killed>")]
    path = write(tmp_path / "r.jsonl", records)
    text = page.write(path).read_text()
    assert "<b>1.50 s</b> †" in text
    assert "but: one was &lt;killed&gt;" in text
    assert "1.50 s †" in page.table(path)


def test_an_interrupted_run_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = made()
    records[-1] = records[-1] | {"interrupted": True}
    path = write(tmp_path / "r.jsonl", records)
    assert "stopped before its end" in page.write(path).read_text()
    assert "stopped before its end" in page.table(path)
    assert compared(tmp_path, made(), records) == 0
    assert "new.jsonl was stopped before its end" in capsys.readouterr().out


def test_an_unfinished_run_is_told(tmp_path: Path) -> None:
    records = made()[:-1]
    path = write(tmp_path / "r.jsonl", records, '{"kind": "run", "sweep": "ma')
    assert "stopped before its end" in page.write(path, tmp_path / "other.html").read_text()
    assert "stopped before its end" in page.table(path)


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_a_page_of_almost_nothing(tmp_path: Path, kept: int) -> None:
    path = write(tmp_path / "r.jsonl", made()[:kept])
    assert page.write(path).read_text().endswith("</html>\n")
    assert page.table(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no line of kind"),
        ('{"kind": "run"}\n{"kind": "machine"}\n', "line 1"),
        ("nonsense\n[]\n", "line 1"),
        ('{"kind": "machine"}\n', "line 1 .*no 'size'"),
        ('{"kind": "machine", "size": 1}\n{"kind": "tuning"}\n', "no 'case', 'rival'"),
    ],
)
def test_what_is_no_result_file_is_refused(
    tmp_path: Path, text: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError, match=words):
        read(path)
    assert page.main([str(path)]) == 2
    assert re.search(words, capsys.readouterr().err)


def test_page_by_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "r.jsonl", made())
    assert page.main([str(path)]) == 0
    assert str(tmp_path / "r.html") in capsys.readouterr().out
    assert page.main([]) == 2


def test_terminal_table_has_all_rivals(tmp_path: Path) -> None:
    text = page.table(write(tmp_path / "r.jsonl", made()))
    assert all(name in text for name in RIVALS)
    assert "killed at 1 GiB" in text
    assert "\x1b" not in text


def test_cells_are_medians_of_what_ended_well() -> None:
    def run(number: int, outcome: str, wall: float | None) -> Run:
        return Run("main", "mean", "dask", "cold", outcome, GIB, number, GIB, wall=wall)

    runs = (run(0, "ok", 1.0), run(1, "killed", None), run(2, "ok", 3.0))
    cell = Cell(runs)
    assert (cell.median("wall"), cell.span("wall"), cell.outcome) == (2.0, (1.0, 3.0), "ok")
    assert say(cell, "wall") == "2.00 s"
    assert say(Cell(runs[1:2]), "wall") == "killed at 1 GiB"
    assert "1 of 3 rounds ended otherwise" in page_text.tip(cell)


def test_amounts_have_three_digits() -> None:
    assert [results.amount(v) for v in (0, 0.9, 0.01, 1.0, 12, 150.4)] == [
        "0.00",
        "0.900",
        "0.0100",
        "1.00",
        "12.0",
        "150",
    ]


# ---- a run that ends early -----------------------------------------------------------------------


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Arguments of a run of the suite that measures nothing."""
    monkeypatch.setattr("benchmarks.__main__.machine", lambda _: {"filesystem": "ext4"})
    monkeypatch.setattr(Suite, "run", lambda _: None)
    monkeypatch.setattr("benchmarks.__main__.sweep", lambda _: None)
    # Handlers of signals would outlive the test.
    monkeypatch.setattr("signal.signal", lambda *_: None)
    return ["--size", "8MiB", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]


@pytest.mark.parametrize("part", ["main", "sweeps"])
def test_a_run_that_a_full_disk_ends_has_its_page(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    started: list[str],
    capsys: pytest.CaptureFixture[str],
    part: str,
) -> None:
    def filled(suite: Suite) -> None:
        suite.journal.write(**record("mean", "oocarray", "cold", 1, 1.5))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a.npy")

    if part == "main":
        monkeypatch.setattr(Suite, "run", filled)
    else:
        monkeypatch.setattr("benchmarks.__main__.sweep", filled)
    assert main(started) == 1
    found = read(tmp_path / "out/results.jsonl")
    assert found.end is not None
    assert found.stopped
    assert [run.wall for run in found.runs] == [1.5]
    [left] = [each for each in found.left_out if each["what"] == "what was to follow"]
    assert left["why"] == "[Errno 28] No space left on device: 'a.npy'"
    text = (tmp_path / "out/results.html").read_text()
    tags = Tags()
    tags.feed(text)
    assert not tags.open
    assert "stopped before its end" in text
    assert "No space left on device" in text
    assert not (tmp_path / "data").exists()
    assert "page: " in capsys.readouterr().out


@pytest.mark.parametrize("keep", [False, True])
def test_what_a_full_disk_did_not_take_is_written_once_the_data_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: list[str], keep: bool
) -> None:
    there = []
    leave_out = Journal.leave_out

    def filled(suite: Suite) -> None:
        (suite.folder / "mine").touch()
        raise OSError(errno.ENOSPC, "full")

    def noted(journal: Journal, what: str, why: str) -> None:
        there.append(any((tmp_path / "data").rglob("mine")))
        leave_out(journal, what, why)

    monkeypatch.setattr(Suite, "run", filled)
    monkeypatch.setattr(Journal, "leave_out", noted)
    assert main([*started, *["--keep"] * keep]) == 1
    assert there == [keep]


def test_a_run_to_the_end_is_not_stopped(tmp_path: Path, started: list[str]) -> None:
    assert main(started) == 0
    assert not read(tmp_path / "out/results.jsonl").stopped


@pytest.mark.parametrize("missing", ["cgroup", "mounts"])
def test_without_what_the_kernel_tells_there_are_no_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    point = tmp_path / "point"
    point.mkdir()
    (tmp_path / "cgroup").write_text("3:memory:/\n")
    (tmp_path / "mounts").write_text(f"cgroup {point} cgroup rw,memory 0 0\n")
    monkeypatch.setattr(groups, "_SELF", tmp_path)
    assert list(groups._parents("memory")) == [(point, 1)]
    (tmp_path / missing).unlink()
    assert list(groups._parents("memory")) == []
    assert "no memory cgroup" in str(groups.make_group(None))


# ---- comparing -----------------------------------------------------------------------------------


def compared(tmp_path: Path, old: list[Record], new: list[Record], *more: str) -> int:
    before, after = write(tmp_path / "old.jsonl", old), write(tmp_path / "new.jsonl", new)
    return compare_results.main([str(before), str(after), *more])


def test_chance_is_no_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(1, 6):
        assert compared(tmp_path, made(0), made(seed)) == 0
    assert "the machine changed" not in capsys.readouterr().out


def test_slower_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compared(tmp_path, made(0), made(1, ours=1.3)) == 1
    out = capsys.readouterr().out
    assert "slower" in out
    assert "the machine changed" not in out
    assert compared(tmp_path, made(0), made(1, ours=0.7)) == 0
    assert "faster" in capsys.readouterr().out


def test_a_slower_machine_is_not_our_doing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compared(tmp_path, made(0), made(1, all_of=1.5)) == 0
    out = capsys.readouterr().out
    assert "the machine changed" in out
    assert "moved as much as the rivals did" in out
    # Both at once are told apart.
    assert compared(tmp_path, made(0), made(1, ours=1.3, all_of=1.5)) == 1


def test_no_longer_done_is_worse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = [
        record("map", "oocarray", one["state"], one["round"], 1.0, outcome="killed")
        if one.get("case") == "map" and one.get("rival") == "oocarray"
        else one
        for one in made(1)
    ]
    assert compared(tmp_path, made(0), new) == 1
    assert "ok -> killed" in capsys.readouterr().out
    assert compared(tmp_path, new, made(1)) == 0
    assert "killed -> ok" in capsys.readouterr().out


def test_a_round_that_is_wrong_is_worse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = made(1)
    one = next(n for n, one in enumerate(new) if one.get("rival") == "oocarray")
    new[one] = new[one] | {"outcome": "wrong", "wall": None}
    assert compared(tmp_path, made(0), new) == 1
    assert "ok -> wrong (1 of 3)" in capsys.readouterr().out


def test_runs_that_are_gone_are_worse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = made(1)
    kept = [one for one in new if (one.get("case"), one.get("rival")) != ("map", "oocarray")]
    assert compared(tmp_path, made(0), kept) == 1
    assert "oocarray no longer does map, warm" in capsys.readouterr().out
    # Not reached, which who takes no part does not tell.
    rest = [one for one in new if one.get("case") != "map"]
    rest.append(record("map", "zarr", "cold", 0, 1.0, outcome="n/a"))
    assert compared(tmp_path, made(0), rest) == 0


def test_our_other_way_is_no_control(tmp_path: Path) -> None:
    rivals = ["oocarray", "backend-dask", "dask", "zarr", "numpy", "cubed"]

    def moved() -> compare_results.Moved | None:
        records = [machine(), *(record("mean", rival, "cold", 0, 1.0) for rival in rivals)]
        found = read(write(tmp_path / "r.jsonl", records))
        return compare_results.compare(found, found)[1]["cold"]

    # With both of ours there would be six.
    assert moved() is None
    rivals.append("numexpr")
    assert moved() == (1.0, 0.0)


def test_renewed_rivals_are_no_controls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = [machine(versions={"numpy": "2.4", "dask": "2", "zarr": "3"}, cpu="other"), *made(1)[1:]]
    assert compared(tmp_path, made(0), new, "--all") == 0
    out = capsys.readouterr().out
    assert "no control is dask: dask 1 -> 2" in out
    assert "not normalised" not in out.split("cold, by memory")[0]
    assert "cpu differs" in out


@pytest.mark.parametrize(
    ("changed", "rivals"),
    [
        ({"numpy": "2.5"}, set(results.RIVALS) - set(results.OWN)),
        ({"dask": "2"}, {"dask", "distributed", "dask-distributed"}),
        ({"zarr": "4"}, {"dask", "distributed", "dask-distributed", "zarr", "cubed"}),
        ({"distributed": "2"}, {"distributed", "dask-distributed"}),
        ({"numexpr": "3"}, {"numexpr", "blosc2"}),
        ({"tensorstore": "2"}, {"tensorstore"}),
        ({"rich": "2"}, set()),
    ],
)
def test_whoever_computes_or_stores_by_a_renewed_library_is_no_control(
    tmp_path: Path, changed: dict[str, str], rivals: set[str]
) -> None:
    runs = [record("mean", rival, "cold", 0, 1.0) for rival in results.RIVALS]
    versions = machine()["versions"]
    found = [
        read(write(tmp_path / "r.jsonl", [machine(versions=each), *runs]))
        for each in (versions, versions | changed)
    ]
    assert set(compare_results._renewed(*found)) == rivals
    moved = compare_results.compare(*found)[1]["cold"]
    assert (moved is None) == ("numpy" in changed)


def test_nobody_is_a_control_in_another_python(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = [machine(python="3.12"), *made(1, all_of=1.5)[1:]]
    # With no controls the machine cannot be told from what changed.
    assert compared(tmp_path, made(0), new) == 1
    out = capsys.readouterr().out
    assert "python differs: 3.11 -> 3.12" in out
    assert f"no control is {' or '.join((*RIVALS[1:3], 'zarr', 'dask', 'new-one'))}: Python" in out
    assert "cold: fewer than 5 controls, figures are not normalised" in out


def test_medians_of_three_rounds_seldom_differ_by_chance(tmp_path: Path) -> None:
    rng = random.Random(7)
    rivals = [f"rival-{number}" for number in range(400)]

    def drawn() -> results.Results:
        runs = [
            record("mean", rival, "cold", number, rng.gauss(1.0, 0.1))
            for rival in rivals
            for number in range(3)
        ]
        return read(write(tmp_path / "r.jsonl", [machine(), *runs]))

    old, new = drawn(), drawn()
    raw = [change.raw or 0 for change in compare_results.compare(old, new)[0]]
    assert max(raw) > 1.2
    # Without controls: their scatter is a bound of its own.
    new.machine["python"] = "3.12"
    changes = compare_results.compare(old, new)[0]
    assert sum(change.verdict == "slower" for change in changes) <= 16


def test_two_single_rounds_may_differ_by_as_much_as_was_seen(tmp_path: Path) -> None:
    old, *new = (
        read(write(tmp_path / "r.jsonl", [machine(), record("mean", "oocarray", "cold", 0, wall)]))
        for wall in (1.0, 1.48, 1.52)
    )
    verdicts = [compare_results.compare(old, each)[0][0].verdict for each in new]
    assert verdicts == ["same", "slower"]


def test_other_sizes_cannot_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = [one | {"size": 3 * GIB} if one["kind"] == "run" else one for one in made(1)]
    other[0] = machine(size=3 * GIB)
    assert compared(tmp_path, made(0), other) == 2
    said = capsys.readouterr()
    assert "size differs: 4 GiB -> 3 GiB" in said.out
    assert "no work in common" in said.err
    assert compare_results.main([str(tmp_path / "none"), str(tmp_path / "none")]) == 2


def test_noise_is_of_median_deviation_or_range() -> None:
    def cell(*walls: float) -> Cell:
        return Cell(tuple(Run("main", "mean", "dask", "cold", "ok", GIB, wall=w) for w in walls))

    assert compare_results.noise(cell(1.0)) is None
    assert compare_results.noise(cell(0.9, 1.0, 1.2)) == pytest.approx(0.15)
    assert compare_results.noise(cell(0.5, 0.5, 1.0, 1.5, 1.5)) == pytest.approx(0.7413)
    assert compare_results.control([2.0] * 4) is None
    assert compare_results.control([2.0] * 5) == (pytest.approx(2.0), 0.0)
    found = compare_results.control([1.0, 1.0, 2.0, 4.0, 4.0])
    assert found == (pytest.approx(2.0), pytest.approx(1.4826 * math.log(2)))


def test_bytes_that_are_not_those_of_the_work_are_marked(tmp_path: Path) -> None:
    runs = [
        record("mean", rival, "cold", 1, 1.0, read=read)
        for rival, read in (("oocarray", 4 * GIB), ("dask", 8 * GIB), ("zarr", 2 * GIB))
    ]
    path = tmp_path / "r.jsonl"
    path.write_text("\n".join(map(json.dumps, [machine(), *runs])))
    table = page_tables.bytes_table(read(path))
    assert "1.00 &times;<" in table
    assert "2.00 &times; !<" in table
    assert "0.50 &times; !<" in table


def test_a_rival_that_does_something_else_is_no_control(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = dict.fromkeys(RIVALS, "1")

    def told(codes: dict[str, str], **changed: Any) -> str:
        new = [machine(codes=codes)]
        for one in made(1)[1:]:
            slow = one["kind"] == "run" and one["rival"] in RIVALS[1:] and one["wall"]
            new.append({**one, "wall": 2 * one["wall"], **changed} if slow else one)
        assert (
            compared(tmp_path, [machine(codes=dict.fromkeys(RIVALS, "1")), *made(0)[1:]], new) == 0
        )
        return capsys.readouterr().out

    assert "the machine changed" in told(codes)
    other = told(codes | dict.fromkeys(RIVALS[1:], "2"))
    assert "the machine changed" not in other
    assert "or zarr or dask or new-one: its code in benchmarks/rivals was changed" in other
    assert "the machine changed" not in told(codes, chunk_bytes=MIB)
