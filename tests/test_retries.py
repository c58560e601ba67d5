"""What is handed out again after deaths, with numbers only: no process takes part."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oocarray.plan import Task
from oocarray.runtime.beats import MOST_WORKERS, Beat, Beats, Pulse
from oocarray.runtime.handing import Handing
from oocarray.runtime.pipeline import Pipeline
from oocarray.runtime.retries import STRIKES, Order, Retries, sort_out

JOB = 7


def orders(*ranges: tuple[int, int]) -> list[Order]:
    return [Order(Task(JOB, first, count)) for first, count in ranges]


def ranges(found) -> list[tuple[int, int]]:
    return [(order.task.first, order.task.count) for order in found]


@pytest.mark.parametrize(
    ("beat", "done", "running", "waiting"),
    [
        (Beat(), [], None, [(0, 2), (2, 3), (5, 1)]),
        (Beat(JOB, 0), [], 0, [(1, 1), (2, 3), (5, 1)]),
        (Beat(JOB, 1, ended=True), [(0, 1), (1, 1)], None, [(2, 3), (5, 1)]),
        (Beat(JOB, 3), [(0, 2), (2, 1)], 3, [(4, 1), (5, 1)]),
        (Beat(JOB, 5), [(0, 2), (2, 3)], 5, []),
        (Beat(JOB, 5, ended=True), [(0, 2), (2, 3), (5, 1)], None, []),
        # Of a task that has been answered: nothing that it holds is begun.
        (Beat(JOB, 9), [], None, [(0, 2), (2, 3), (5, 1)]),
    ],
)
def test_what_a_dead_worker_left_behind(beat, done, running, waiting):
    lost = sort_out(orders((0, 2), (2, 3), (5, 1)), beat)
    assert (ranges(lost.done), lost.running, ranges(lost.waiting)) == (done, running, waiting)


def test_only_the_item_that_was_worked_on_is_suspected():
    retries = Retries(JOB, 2)
    beat = Beat(JOB, 3)
    assert retries.take_back(sort_out(orders((0, 2), (2, 3), (5, 1)), beat), beat) is None
    assert retries.strikes == {3: 1}
    order, other = retries.next(idle=False, all_idle=False)
    assert (order.task, order.how, order.alone, other) == (Task(JOB, 0, 2), "again", False, True)
    suspect, other = retries.next(idle=True, all_idle=False)
    assert (suspect.task, suspect.how, suspect.alone, other) == (
        Task(JOB, 3, 1),
        "again",
        True,
        False,
    )
    assert retries.take(suspect)
    assert not retries.take(Order(Task(JOB, 0, 2), "again")), "an equal one is not the same"
    found = []
    while retries:
        order, _ = retries.next(idle=True, all_idle=False)
        found.append((order.task[1:], order.how))
        assert retries.take(order)
    assert found == [((0, 2), "again"), ((2, 1), "again"), ((4, 1), ""), ((5, 1), "")]


def test_the_thread_that_brings_pages_in_is_suspected_too():
    retries = Retries(JOB, 2)
    beat = Beat(JOB, 0, pages=4)
    assert retries.take_back(sort_out(orders((0, 1), (4, 2)), beat), beat) is None
    assert retries.strikes == {0: 1, 4: 1}
    beat = Beat(JOB, pages=8, binding=True)
    retries.take_back(sort_out(orders((8, 1)), beat), beat)
    assert 8 not in retries.strikes, "it was the functions, which are not there yet"
    # Of several items whose pages were being brought in the first bears the strikes.
    for strike in range(2, STRIKES + 1):
        beat = Beat(JOB, pages=4)
        condemned = retries.take_back(sort_out(orders((4, 2)), beat), beat)
        assert condemned == (4 if strike == STRIKES else None)
    assert (5, 1) in ranges(retries._again)


def test_an_item_is_given_up_after_its_strikes():
    retries = Retries(JOB, 2)
    for strike in range(1, 2 * STRIKES):
        beat = Beat(JOB, 3)
        condemned = retries.take_back(sort_out(orders((3, 1)), beat), beat)
        assert condemned == (3 if strike >= STRIKES else None)
        if condemned is not None:
            assert retries.give_up(3)
            order, _ = retries.next(idle=True, all_idle=True)
            assert (order.task, order.how) == (Task(JOB, 3, 1), "give up")
            assert retries.take(order)
        else:
            assert retries.take(retries.next(idle=True, all_idle=True)[0])
    assert retries.take_back(sort_out(orders((3, 1)), beat), beat) == 3
    assert not retries.give_up(3), "not even filling it is survived"


def test_the_last_try_has_the_pool_to_itself():
    retries = Retries(JOB, 2)
    beat = Beat(JOB, 3)
    for _ in range(STRIKES - 1):
        retries.take_back(sort_out(orders((3, 1)), beat), beat)
    assert retries.next(idle=True, all_idle=False) == (None, False)
    order, _ = retries.next(idle=True, all_idle=True)
    assert order.task == Task(JOB, 3, 1)


def test_workers_that_never_begin_are_not_started_for_ever():
    retries, deaths = Retries(JOB, 2), 0
    while not retries.hopeless:
        retries.take_back(sort_out(orders((0, 1)), Beat()), Beat())
        deaths += 1
    assert 3 <= deaths <= 20


@given(st.data())
def test_every_item_is_answered_once_whatever_dies(data):
    """A scheduler of numbers: workers work, answer and die as hypothesis likes."""
    items = data.draw(st.integers(1, 40))
    per_task = data.draw(st.integers(1, 7))
    workers = data.draw(st.integers(1, 3))
    item_bytes, room = 10, data.draw(st.sampled_from([10, 50, 1000]))
    tasks = Pipeline(item_bytes, per_task, room, workers)
    handing = Handing(JOB, items, tasks, workers, 4, apart=data.draw(st.booleans()))
    held: dict[int, list[Order]] = {worker: [] for worker in range(workers)}
    begun: dict[int, int] = dict.fromkeys(range(workers), 0)
    answers: Counter[int] = Counter()
    deaths: Counter[int] = Counter()
    dirty: set[int] = set()
    for _ in range(5000):
        for worker, order in handing.give():
            held[worker].append(order)
            in_flight = sum(o.task.count for h in held.values() for o in h) * item_bytes
            assert in_flight <= max(room, order.task.count * item_bytes)
            if order.alone:
                assert held[worker] == [order]
        if not handing.busy:
            assert not handing.waiting
            break
        worker = data.draw(st.sampled_from(handing.busy))
        task, how, _ = held[worker][0]
        first, stop = task.first, task.first + task.count
        if deaths.total() < 12 and data.draw(st.integers(0, 3)) == 0:
            ended = data.draw(st.booleans())
            item = stop - 1 if ended else data.draw(st.integers(first, stop - 1))
            if deaths[item] < STRIKES - 1:
                beat = Beat(JOB, item, ended)
                if not ended:
                    deaths[item] += 1
                # Where the function has been, stays what it stored until it is cleared.
                dirty.update(range(first, item + 1))
                handing.retries.take_back(handing.lost(worker, beat), beat)
                held[worker].clear()
                continue
        for item in range(first, stop):
            assert item not in dirty or how == "again", f"item {item} is not cleared"
            answers[item] += 1
        assert handing.answered(worker, task) is not None
        assert handing.answered(worker, task) is None
        held[worker].pop(0)
        begun[worker] += 1
    assert answers == dict.fromkeys(range(items), 1)
    assert max(handing.retries.strikes.values(), default=0) == max(deaths.values(), default=0)


def test_what_is_noted_in_one_process_is_read_in_another(no_leaks):
    page = Beats()
    first, last = Pulse(page.fd, 0), Pulse(page.fd, MOST_WORKERS - 1)
    first.job(JOB)
    first.begin(0)
    last.job(1 << 40)
    last.begin(1 << 50)
    last.end()
    last.leave(5)
    last.tell(99)
    assert page.read(0) == Beat(JOB, 0)
    assert page.read(1) == Beat()
    assert page.read(MOST_WORKERS - 1) == Beat(1 << 40, 1 << 50, True, 5, True, told=99)
    last.rest()
    last.bring(6)
    first.end()
    assert page.read(0) == Beat(JOB, 0, True)
    assert page.read(MOST_WORKERS - 1)[3:5] == (6, False)
    page.clear(0)
    assert page.read(0) == Beat()
    del first, last
    page.close()


def test_without_a_page_it_is_noted_for_oneself():
    pulse = Pulse()
    assert pulse.read() == Beat(binding=True)
    pulse.job(3)
    pulse.bound()
    assert pulse.read() == Beat(3)
    pulse.begin(4)
    assert pulse.read() == Beat(3, 4)
