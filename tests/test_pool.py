"""What the scheduler may expect of a pool, checked alike on all three; no scheduler takes part."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle
import numpy as np
import pytest

import oocarray as oo
from oocarray.errors import TruncatedFileError
from oocarray.grid import Grid
from oocarray.plan import Access, Blocks, Gather, Stage, Task
from oocarray.program import Call, Input, Operand, Program
from oocarray.runtime.carry import _Packer, pack
from oocarray.runtime.causes import GARBLED, UNFORESEEN, Causes
from oocarray.runtime.files import _close, copy, open_all
from oocarray.runtime.interrupts import Interrupts, Terminated, ends_by_sigterm, terminate
from oocarray.runtime.job import Answer, Died, Job
from oocarray.runtime.pool import SerialPool, ThreadPool
from oocarray.runtime.processes import ProcessPool

ITEMS, SIZE = 40, 30
POOLS = {
    "serial": SerialPool,
    "threads": lambda: ThreadPool(2),
    "processes": lambda: ProcessPool(2),
}
_numbers = iter(range(1, 1000))


@pytest.fixture(params=POOLS)
def pool(request, no_leaks) -> Iterator[Any]:
    made = POOLS[request.param]()
    yield made
    made.close()


class Bench:
    """One pool, and a file to read and one to write for each job."""

    def __init__(self, pool: Any, folder: Path) -> None:
        self.pool, self.folder = pool, folder

    def begin(
        self, function: Callable[..., Any], policy: str = "stream", cut: int | None = None
    ) -> int:
        """Start a job that applies `function` to 40 blocks; return its number."""
        number = next(_numbers)
        self.x = oo.create(self.folder / f"x{number}.npy", ITEMS * SIZE, "i8", fill_value=2)
        self.y = oo.create(self.folder / f"y{number}.npy", ITEMS * SIZE, "i8")
        grid = Grid([(SIZE,) * ITEMS])
        access = Access(self.x.layout, Gather(grid, (0,)))
        node = Operand(Input(0, grid), (0,))
        dtypes = (np.dtype("i8"),)
        call = Call(
            function, "block", (node,), {}, grid, grid.chunks, dtypes, "function", ("block_id",)
        )
        program: Any = Program((call,), (None,), (None,))
        if self.pool.separate:
            program = pack(program, lambda array: pytest.fail("nothing is large here"))
        files = ((self.x.layout.file, False), (self.y.layout.file, True))
        stage = Stage(None, grid, (access,), (Blocks(self.y.layout, grid),))
        job = Job(
            number,
            stage,
            program,
            files,
            policy,
            errstate=np.geterr(),
            path=tuple(sys.path),
            folder=os.getcwd(),
        )
        if cut is not None:
            os.truncate(self.x.layout.file.path, cut)
        fds = [os.open(key.path, os.O_RDWR if writes else os.O_RDONLY) for key, writes in files]
        try:
            self.pool.start(job, fds)
        finally:
            for fd in fds:
                os.close(fd)
        return number

    def gather(self, tasks: Sequence[Task]) -> dict[Task, Answer]:
        """Hand out tasks as a scheduler does; return the answers, one each."""
        waiting, out = list(tasks), Counter()
        answers: dict[Task, Answer] = {}
        limit = time.monotonic() + 30
        while len(answers) < len(tasks):
            for worker in range(self.pool.size):
                while waiting and out[worker] < self.pool.depth:
                    self.pool.submit(worker, waiting.pop(0))
                    out[worker] += 1
            for answer in self.pool.wait(0.5):
                if not isinstance(answer, Answer):
                    continue
                assert answer.task not in answers, "answered twice"
                answers[answer.task] = answer
                out[answer.worker] -= 1
            assert time.monotonic() < limit, f"{len(answers)} answers"
        assert self.pool.wait(0.05) == []
        return answers

    def gather_submitted(self, tasks: Sequence[Task]) -> dict[Task, Answer]:
        """Return the answers to tasks that were handed out already."""
        answers: dict[Task, Answer] = {}
        limit = time.monotonic() + 10
        while len(answers) < len(tasks):
            for answer in self.pool.wait(0.5):
                assert answer.task not in answers
                answers[answer.task] = answer
            assert time.monotonic() < limit
        return answers

    def written(self) -> np.ndarray:
        return np.fromfile(self.y.layout.file.path, "i8", offset=self.y.layout.offset)


@pytest.fixture
def bench(pool, tmp_path) -> Bench:
    return Bench(pool, tmp_path)


def tasks_of(number: int, per_task: int) -> list[Task]:
    return [
        Task(number, first, min(per_task, ITEMS - first)) for first in range(0, ITEMS, per_task)
    ]


def times_place(block, block_id=None):
    return block * block_id[0]


def fails_at_seven(block, block_id=None):
    if block_id == (7,):
        raise LookupError("seven", block_id)
    return block


def slow_at_first(block, block_id=None):
    time.sleep(0.3 if block_id < (2,) else 0.001)
    return block


EXPECTED = np.repeat(np.arange(ITEMS) * 2, SIZE)


@pytest.mark.parametrize("policy", ["stream", "resident"])
def test_every_task_is_answered_once(bench, policy):
    tasks = tasks_of(bench.begin(times_place, policy), 3)
    answers = bench.gather(tasks)
    bench.pool.finish()
    assert set(answers) == set(tasks)
    assert [answer.failure.text for answer in answers.values() if answer.failure] == []
    assert not any(answer.cancelled for answer in answers.values())
    assert all(answer.seconds > 0 and answer.kept_bytes == 0 for answer in answers.values())
    np.testing.assert_array_equal(bench.written(), EXPECTED)


def test_a_warm_pool_takes_job_after_job(bench):
    for function, expected in [(times_place, EXPECTED), (np_negative, -2), (times_place, EXPECTED)]:
        tasks = tasks_of(bench.begin(function), 4)
        bench.gather(tasks)
        bench.pool.finish()
        np.testing.assert_array_equal(bench.written(), np.broadcast_to(expected, ITEMS * SIZE))


def np_negative(block, block_id=None):
    return -block


def test_a_failure_brings_exception_block_note_and_traceback(bench):
    tasks = tasks_of(bench.begin(fails_at_seven), 5)
    answers = bench.gather(tasks)
    bench.pool.finish()
    failed = {task: answer.failure for task, answer in answers.items() if answer.failure}
    assert [task[1:] for task in failed] == [(5, 5)]
    (failure,) = failed.values()
    assert type(failure.exception) is LookupError
    assert failure.exception.args == ("seven", (7,))
    assert failure.block == (7,)
    assert failure.exception.__notes__ == ["oocarray: in block (7,), region [210:240]"]
    assert failure.text.startswith("Traceback (most recent call last):")
    assert "in fails_at_seven" in failure.text
    assert failure.exception.__traceback__ is None  # it would hold the blocks
    # The others are done, and the pool is as good as before.
    assert (bench.written().reshape(ITEMS, SIZE)[np.r_[0:7, 10:ITEMS]] == 2).all()
    bench.gather(tasks_of(bench.begin(times_place), 5))
    bench.pool.finish()
    np.testing.assert_array_equal(bench.written(), EXPECTED)


def test_cancelled_tasks_are_answered_too_and_write_nothing(bench):
    number = bench.begin(slow_at_first)
    tasks = tasks_of(number, 1)[: bench.pool.size * bench.pool.depth]
    for place, task in enumerate(tasks):
        bench.pool.submit(place % bench.pool.size, task)
    if bench.pool.size > 1:
        time.sleep(0.1)  # both are in their first block
    bench.pool.cancel()
    answers = bench.gather_submitted(tasks)
    bench.pool.finish()
    cancelled = {task.first for task, answer in answers.items() if answer.cancelled}
    assert cancelled >= {task.first for task in tasks[bench.pool.size :]}
    written = bench.written().reshape(ITEMS, SIZE)
    assert (written[sorted(cancelled)] == 0).all()
    assert (written[[task.first for task in tasks if task.first not in cancelled]] == 2).all()
    # The next job is not cancelled.
    answers = bench.gather(tasks_of(bench.begin(times_place), 5))
    bench.pool.finish()
    assert not any(answer.cancelled for answer in answers.values())


def test_a_file_that_was_cut_is_told_before_any_block(bench):
    if isinstance(bench.pool, SerialPool):
        with pytest.raises(TruncatedFileError):
            bench.begin(times_place, cut=4096)
        return
    number = bench.begin(times_place, cut=4096)
    tasks = tasks_of(number, 10)[:2]
    bench.pool.submit(0, tasks[0])
    bench.pool.submit(1, tasks[1])
    found: list[Answer] = []
    limit = time.monotonic() + 10
    while len(found) < 4 and time.monotonic() < limit:
        found += bench.pool.wait(0.5)
    bench.pool.finish()
    told = [answer for answer in found if answer.task.first < 0]
    assert [type(answer.failure.exception) for answer in told] == [TruncatedFileError] * 2
    assert {answer.task for answer in found if answer.cancelled} == set(tasks)


def test_workers_that_were_ended_are_replaced(bench):
    if isinstance(bench.pool, SerialPool):
        pytest.skip("there is no worker to end")
    number = bench.begin(slow_at_first)
    tasks = tasks_of(number, 1)[:2]
    for worker, task in enumerate(tasks):
        bench.pool.submit(worker, task)
    time.sleep(0.1)
    bench.pool.kill([0, 1])
    bench.pool.finish()
    answers = bench.gather(tasks_of(bench.begin(times_place), 5))
    bench.pool.finish()
    assert set(answers) == set(tasks_of(next(iter(answers)).stage, 5))
    np.testing.assert_array_equal(bench.written(), EXPECTED)


def test_the_end_of_a_worker_names_the_item(tmp_path, no_leaks):
    pool = ProcessPool(2)
    bench = Bench(pool, tmp_path)
    number = bench.begin(lambda block, block_id=None: os._exit(9))
    bench.pool.submit(1, Task(number, 20, 3))
    found: list[Any] = []
    limit = time.monotonic() + 10
    while not found and time.monotonic() < limit:
        found += pool.wait(0.5)
    (death,) = found
    assert isinstance(death, Died)
    assert (death.worker, death.stage, death.item) == (1, number, 20)
    assert os.waitstatus_to_exitcode(death.status) == 9
    pool.close()


def test_waiting_for_nothing_comes_back(bench):
    began = time.monotonic()
    assert bench.pool.wait(0.1) == []
    assert time.monotonic() - began < 5


def test_what_a_pool_says_of_itself(bench):
    assert (bench.pool.alive, bench.pool.given_up) == (True, 0)
    bench.begin(lambda block, block_id=None: block)
    # The server, and two workers.
    assert len(set(bench.pool.pids)) == (3 if bench.pool.separate else 0)
    bench.pool.finish()


def test_a_worker_that_cannot_listen_ends_and_says_why(bench):
    if not bench.pool.separate:
        pytest.skip("it has no channel")
    bench.begin(lambda block, block_id=None: block)
    bench.pool._workers[0].send(())
    died: list[Any] = []
    limit = time.monotonic() + 60
    while not died and time.monotonic() < limit:
        died = [found for found in bench.pool.wait(0.1) if isinstance(found, Died)]
    assert os.waitstatus_to_exitcode(died[0].status) == UNFORESEEN
    assert "IndexError" in died[0].said
    bench.pool.finish()


def test_only_codes_of_ours_have_causes():
    assert [Causes(()).of(f"exit code {code}") for code in (0, 1, 2, 3)] == [""] * 4
    assert "ulimit -n" in Causes(()).of(f"exit code {GARBLED}")


@pytest.mark.parametrize("size", [0, 257])
def test_a_pool_has_a_number_of_workers_that_can_be(size):
    with pytest.raises(ValueError, match=f"workers={size}: a pool has 1 to 256 workers"):
        ProcessPool(size)


def test_ctrl_c_is_held_back_once():
    before = signal.getsignal(signal.SIGINT)
    with Interrupts() as interrupts:
        interrupts.check()
        os.kill(os.getpid(), signal.SIGINT)  # not here
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()
        interrupts.came = None
    with pytest.raises(KeyboardInterrupt), Interrupts():
        os.kill(os.getpid(), signal.SIGINT)  # never asked for: raised at the end
    with Interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        interrupts.came = None
    with pytest.raises(KeyboardInterrupt), Interrupts(hold=False) as interrupts:
        os.kill(os.getpid(), signal.SIGINT)
    assert not interrupts.came
    assert signal.getsignal(signal.SIGINT) is before


def test_what_the_user_sends_by_value_stays_so():
    module = sys.modules[__name__ + "_typed"] = ModuleType(__name__ + "_typed")
    cloudpickle.register_pickle_by_value(module)
    try:
        packer = _Packer(io.BytesIO(), lambda array: None)
        packer._look_at(module.__name__)
        packer.forget()
        assert module.__name__ in cloudpickle.list_registry_pickle_by_value()
    finally:
        cloudpickle.unregister_pickle_by_value(module)
        del sys.modules[module.__name__]


def test_descriptors_are_closed_when_a_later_one_cannot_be_had(opened_since):
    def opening(number: int) -> int:
        if number == 3:
            raise OSError(errno.EMFILE, "too many")
        return copy(0) if number % 2 else os.dup(0)

    opened = opened_since()
    with pytest.raises(OSError, match="too many"):
        open_all(opening, ((number,) for number in range(5)))
    assert opened() == []
    made = open_all(opening, ((number,) for number in range(3)))
    assert len(set(made)) == 3
    for fd in made:
        _close(fd)


def test_sigterm_is_held_back_also_where_the_program_catches_it():
    @ends_by_sigterm
    def run(after: list[str]) -> None:
        with Interrupts() as interrupts:
            os.kill(os.getpid(), signal.SIGTERM)
            after.append("not at once")
            interrupts.check()

    after: list[str] = []
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        with pytest.raises(Terminated):
            run(after)
        assert signal.getsignal(signal.SIGTERM) is terminate
    finally:
        signal.signal(signal.SIGTERM, before)
    assert after == ["not at once"]


def test_a_sigint_handler_of_the_program_stays_in_force():
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append(1))
    try:
        with Interrupts() as interrupts:
            os.kill(os.getpid(), signal.SIGINT)
        assert (seen, interrupts.came) == ([1], None)
    finally:
        signal.signal(signal.SIGINT, before)
