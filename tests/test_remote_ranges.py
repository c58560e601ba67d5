"""How a stage is cut into tasks for a cluster, and what these hold: no cluster is needed."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import oocarray as oo
from oocarray.backends.mapped import limits_of, plan_of
from oocarray.config import merged
from oocarray.lazy.graph import Root
from oocarray.plan import Task
from oocarray.runtime.remote import work
from oocarray.runtime.remote.ranges import Ranges, ranges

MIB = 1 << 20


def stage_of(blocks: int, nbytes: int) -> Any:
    x = oo.from_array(np.zeros((blocks, nbytes // 8)), chunks=(1, -1))
    options = merged({"scheduler": "threads", "memory": 64 * nbytes, "fuse": False})
    roots = [Root((x + 1).node)]
    return plan_of(roots, limits_of(options, roots), options).stages[0]


@pytest.mark.parametrize("share", [2, 3, 5, 7, 13, 40])
@pytest.mark.parametrize("threads", [1, 3])
def test_no_more_is_held_than_there_is(share: int, threads: int) -> None:
    found = ranges(stage_of(64, MIB), share * 2 * MIB, 2, 2 * threads, 64 * MIB)
    assert found.least <= found.held <= share * 2 * MIB
    assert 1 <= found.seats <= threads
    assert 1 <= found.step <= found.count


def test_a_task_has_steps_to_overlap() -> None:
    found = ranges(stage_of(512, 1 << 12), 64 * MIB, 2, 2, 64 * MIB)
    assert (found.count, found.step, found.at_once) == (32, 4, 3)


class Engine:
    """Counts how many steps are held."""

    lasting = True
    item = None

    def __init__(self, fails: int = -1) -> None:
        self.held = self.most = 0
        self.fails, self.order = fails, []
        self._guard = threading.Lock()

    def prefetch(self, task: Task) -> Any:
        with self._guard:
            self.held += 1
            self.most = max(self.most, self.held)
        return SimpleNamespace(
            task=task, error=None, partials=[], failed=[], flags=set(), seconds=0.0
        )

    def compute(self, prepared: Any) -> None:
        self.item = prepared.task.first
        self.order.append(self.item)

    def retire(self, prepared: Any) -> int:
        with self._guard:
            self.held -= 1
        if prepared.task.first == self.fails:
            raise OSError(28, "no room")
        return 1


def how(at_once: int) -> Ranges:
    return Ranges(count=20, step=3, seats=1, least=1, at_once=at_once, held=1, ahead=8)


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_as_many_steps_are_held_as_may_be(at_once: int) -> None:
    engine: Any = Engine()
    stage: Any = SimpleNamespace(ended=False)
    answer = work._steps(stage, engine, Task(0, 5, 20), how(at_once), ["before"])
    assert engine.order == list(range(5, 25, 3))
    assert (engine.held, answer.kept_bytes) == (0, 7)
    assert engine.most <= at_once


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_what_cannot_be_written_is_no_other_blocks_fault(at_once: int) -> None:
    engine: Any = Engine(fails=8)
    stage: Any = SimpleNamespace(ended=False)
    when: list[Any] = ["before"]
    with pytest.raises(OSError, match="no room"):
        work._steps(stage, engine, Task(0, 5, 20), how(at_once), when)
    assert when == ["after"]
    assert engine.most <= at_once


def test_nothing_is_written_once_the_run_is_over() -> None:
    """Its targets are unlocked then: somebody else may write there by now."""
    stage: Any = SimpleNamespace(ended=False)
    retired = []

    class Slow(Engine):
        def compute(self, prepared: Any) -> None:
            super().compute(prepared)
            stage.ended = prepared.task.first == 8

        def retire(self, prepared: Any) -> int:
            retired.append(prepared.task.first)
            return super().retire(prepared)

    engine: Any = Slow()
    with pytest.raises(OSError, match="the run has ended"):
        work._steps(stage, engine, Task(0, 5, 20), how(3), ["before"])
    assert retired == [5]


class Unpacked:
    """A stage of which nothing but its life matters."""

    def __init__(self, blob: bytes, seats: int) -> None:
        self.running = self.claims = 0
        self.ended = self.was_let_go = False

    def end(self) -> None:
        self.ended = self.was_let_go = True


def test_a_stage_that_a_task_has_found_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "_Stage", Unpacked)
    monkeypatch.setattr(work, "_stages", type(work._stages)())
    first: Any = work._stage_of(b"", "run", 0, 1)  # its task has not begun
    others: list[Any] = []
    for number in range(2 * work._MOST_STAGES):
        others.append(work._stage_of(b"", f"other {number}", 0, 1))
        others[-1].claims = 0
    assert not first.was_let_go
    assert sum(other.was_let_go for other in others) >= work._MOST_STAGES
    first.claims = 0
    work._stage_of(b"", "one more", 0, 1)
    assert first.was_let_go


def test_a_late_task_of_a_run_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    unpacking: dict[Any, Any] = {}
    monkeypatch.setattr(work, "_unpacking", unpacking)
    work.release("a run that is over")
    with pytest.raises(OSError, match="the run has ended"):
        work._stage_of(b"", "a run that is over", 3, 1)
    assert not unpacking


def test_what_was_opened_is_closed_when_the_rest_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened_since: Any
) -> None:
    x = oo.create(tmp_path / "x.npy", (8, 8), "f8")

    def unpack(blob: bytes, mapped: Any) -> Any:
        mapped(None, x.node.source)
        raise FileNotFoundError("the next one")

    monkeypatch.setattr(work, "unpack_stage", unpack)
    monkeypatch.setattr(work, "open_carried", lambda *_: os.open(tmp_path / "x.npy", os.O_RDONLY))
    opened = opened_since()
    with pytest.raises(FileNotFoundError, match="the next one"):
        work._Stage(b"", 1)
    assert opened() == []
