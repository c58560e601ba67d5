"""What is kept in memory, what is let go, who takes which task; it runs no plan."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oocarray.errors import TruncatedFileError
from oocarray.pages import calls, groups
from oocarray.pages.mapping import Window, read_pages
from oocarray.pages.residency import Finished, choose_residency, work_unit
from oocarray.plan import Task
from oocarray.runtime import limits
from oocarray.runtime.files import Files, KeptWindows
from oocarray.runtime.queueing import TaskQueue
from oocarray.storage.filekey import FileKey

ROOT = Path(__file__).resolve().parents[1]
KiB, MiB, GiB = 1 << 10, 1 << 20, 1 << 30
PAGE = calls.PAGE


# ---- policy and work units ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("distinct", "budget", "policy", "reason"),
    [
        (8 * GiB, GiB, "stream", "8 GiB do not fit the budget of 1 GiB"),
        (GiB + 1, GiB, "stream", "1 GiB do not fit the budget of 1 GiB"),
        (GiB, GiB, "resident", "1 GiB fit the budget of 1 GiB"),
        (0, 0, "resident", "0 B fit the budget of 0 B"),
    ],
)
def test_what_fits_stays(distinct, budget, policy, reason):
    found = choose_residency(distinct, budget)
    assert (found.policy, found.reason) == (policy, reason)


@pytest.mark.parametrize(
    ("budget", "workers", "arrays", "unit"),
    [
        (256 * MiB, 2, 1, 32 * MiB),
        (256 * MiB, 2, 4, 8 * MiB),
        (100 * GiB, 1, 1, 64 * MiB),
        (1, 16, 3, 256 * KiB),
        (256 * MiB, 0, 0, 64 * MiB),
    ],
)
def test_work_units(budget, workers, arrays, unit):
    assert work_unit(budget, workers, arrays) == unit


# ---- what may be dropped -------------------------------------------------------------------------

SIZE = 60
ranges = st.tuples(st.integers(0, SIZE), st.integers(0, SIZE)).map(sorted).map(tuple)


def bytes_of(spans) -> set[int]:
    return {place for start, stop in spans for place in range(start, stop)}


@given(st.lists(ranges, max_size=12), st.lists(ranges, max_size=4), st.integers(0, SIZE))
@example([(0, 5), (10, 15), (5, 10)], [(7, 8)], 3)
def test_only_what_is_finished_and_not_kept_is_offered(done, keep, reach):
    finished, kept, so_far = Finished(keep), bytes_of(keep), set()
    for start, stop in done:
        so_far |= set(range(start, stop))
        offered = finished.add(start, stop, reach)
        assert all(low < high for low, high in offered)
        assert sum(high - low for low, high in offered) == len(bytes_of(offered)), "offered twice"
        # The stretch around the new range that is finished, as far as `reach` goes.
        low, high = start, stop
        while low - 1 in so_far and low > start - reach:
            low -= 1
        while high in so_far and high < stop + reach:
            high += 1
        assert bytes_of(offered) == set(range(low, high)) - kept
    assert bytes_of(finished.all()) == so_far - kept


@given(st.permutations(range(8)), st.integers(0, 3))
def test_in_the_end_all_is_offered_whatever_the_order(order, reach):
    finished = Finished()
    offered = set()
    for block in order:
        offered |= bytes_of(finished.add(block * 5, block * 5 + 5, reach))
    assert offered == set(range(40))
    assert finished.all() == [(0, 40)]


# ---- the order of tasks ------------------------------------------------------------------------


@given(
    st.integers(0, 60),
    st.integers(1, 9),
    st.integers(1, 5),
    st.booleans(),
    st.data(),
)
def test_every_item_is_handed_out_once(items, per_task, workers, apart, data):
    queue = TaskQueue(7, items, per_task, workers, apart)
    assert bool(queue) is (items > 0)
    taken: list[Task] = []
    while queue:
        worker = data.draw(st.integers(0, workers - 1))
        seen = queue.peek(worker)
        task = queue.take(worker)
        assert task == seen
        assert task.stage == 7
        assert 1 <= task.count <= per_task
        taken.append(task)
    assert sorted(n for task in taken for n in range(task.first, task.first + task.count)) == list(
        range(items)
    )
    assert len(taken) == -(-items // per_task)
    assert queue.take(0) is None
    assert queue.peek(workers - 1) is None
    if not apart or workers == 1:
        assert [task.first for task in taken] == sorted(task.first for task in taken)


def test_apart_each_worker_has_its_own_stretch_and_helps_at_the_end_of_the_longest():
    queue = TaskQueue(0, 12, 2, workers=2, apart=True)
    assert [queue.take(0).first for _ in range(3)] == [0, 2, 4]
    assert queue.take(1).first == 6
    assert queue.take(0).first == 10  # from the end of the other's
    assert queue.take(1).first == 8
    assert not queue


# ---- windows -------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "pages.bin"
    path.write_bytes(bytes(range(256)) * (5 * PAGE // 256))
    return path


@pytest.fixture
def fd(file):
    fd = os.open(file, os.O_RDWR)
    yield fd
    os.close(fd)


def test_a_window_shows_the_file_from_whole_pages_on(fd, no_leaks):
    window = Window(fd, PAGE + 100, 2 * PAGE + 1)
    assert (window.origin, window.length) == (PAGE, 2 * PAGE)
    assert window.covers(PAGE, 3 * PAGE)
    assert not window.covers(PAGE - 1, 2 * PAGE)
    assert not window.covers(PAGE, 3 * PAGE + 1)
    assert window.bytes[100:104].tolist() == [100, 101, 102, 103]
    assert not window.bytes.flags.writeable
    assert window.populate(0, 5 * PAGE) in (True, False)  # cut to the window
    assert window.release()


def test_stores_reach_the_file(fd, file, no_leaks):
    window = Window(fd, 0, 10, writable=True)
    window.bytes[3] = 77
    assert file.read_bytes()[:5] == bytes([0, 1, 2, 77, 4])
    assert window.release()


def test_views_outlive_the_release(fd, no_leaks):
    window = Window(fd, 0, 5 * PAGE)
    view = window.bytes.view("u4")[PAGE:][::-1]
    assert not window.release()
    del window
    assert view[-1] == int.from_bytes(bytes([0, 1, 2, 3]), "little")
    assert view.sum(dtype="u8") > 0
    del view


def test_forgotten_pages_come_back(fd):
    window = Window(fd, 0, 5 * PAGE, writable=True)
    window.bytes[7] = 200
    window.forget(0, 5 * PAGE)
    assert window.bytes[7] == 200
    assert window.release()


def test_a_mapping_that_cannot_be_leaves_no_addresses(file, no_leaks):
    fd = os.open(file, os.O_RDONLY)
    before = len(Path("/proc/self/maps").read_text().splitlines())
    for _ in range(100):
        with pytest.raises(PermissionError):
            Window(fd, 0, 10, writable=True)
    # The list itself, and other threads, may need some.
    assert len(Path("/proc/self/maps").read_text().splitlines()) <= before + 50
    os.close(fd)


def in_child(text: str, *args: object) -> subprocess.CompletedProcess[str]:
    prelude = (
        "import ctypes, os, sys\nimport numpy as np\n"
        "from oocarray.pages.mapping import Window\n"
        "fd = os.open(sys.argv[1], os.O_RDWR)\n"
    )
    return subprocess.run(
        [sys.executable, "-c", prelude + text, *map(str, args)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("pages", [1, 600])  # small, and aligned to folios
@pytest.mark.parametrize("side", ["before", "after"])
def test_a_store_beside_the_window_ends_the_process(pages, side, tmp_path):
    path = tmp_path / "big.bin"
    path.write_bytes(bytes((pages + 4) * PAGE))
    done = in_child(
        # Neighbours on both sides, so that without guards the store would find memory.
        "import mmap\n"
        "pages, side = int(sys.argv[2]), sys.argv[3]\n"
        "above = [mmap.mmap(-1, 1 << 23) for _ in range(4)]\n"
        f"window = Window(fd, {PAGE}, {PAGE} * (1 + pages), writable=True)\n"
        "below = [mmap.mmap(-1, 1 << 23) for _ in range(4)]\n"
        "address = window.bytes.ctypes.data\n"
        "ctypes.c_char.from_address(address).value = b'1'\n"
        "ctypes.c_char.from_address(address + window.length - 1).value = b'2'\n"
        "print('inside', flush=True)\n"
        f"place = address - 1 if side == 'before' else address + window.length\n"
        "ctypes.c_char.from_address(place).value = b'3'\n"
        "print('outside', flush=True)\n",
        path,
        pages,
        side,
    )
    assert (done.stdout, done.returncode) == ("inside\n", -11), done.stderr
    content = path.read_bytes()
    assert content.count(b"3") == 0
    assert content.count(b"1") == content.count(b"2") == 1


def test_kept_views_and_a_file_cut_meanwhile(file):
    # What is still in the file can be read; the rest is a bus error, nothing worse.
    done = in_child(
        f"window = Window(fd, 0, 5 * {PAGE})\n"
        "view = window.bytes[:]\n"
        "window.release(); del window\n"
        f"os.ftruncate(fd, 2 * {PAGE})\n"
        f"print(int(view[{PAGE}]), int(view[2 * {PAGE} - 1]), flush=True)\n"
        f"print(int(view[2 * {PAGE}]), flush=True)\n",
        file,
    )
    assert (done.stdout, done.returncode) == ("0 255\n", -7), done.stderr


def test_views_at_the_end_of_the_interpreter(file):
    done = in_child(
        f"window = Window(fd, 0, 5 * {PAGE})\n"
        "sys.kept = [window.bytes[:], window]\n"
        "class Late:\n"
        "    def __init__(self, view): self.view = view\n"
        "    def __del__(self): assert self.view[5] == 5\n"
        "late = Late(window.bytes)\n",
        file,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_bringing_pages_of_a_file_cut_meanwhile_is_an_error(file, no_leaks):
    key = FileKey.of(str(file))
    files = Files([(key, os.open(file, os.O_RDONLY), False)])
    window = files.whole(key, (0, 5 * PAGE))
    files.bring(window, key, 0, 5 * PAGE, write=False)
    os.truncate(file, 2 * PAGE)
    files.bring(window, key, 0, 2 * PAGE, write=False)
    with pytest.raises(TruncatedFileError, match=r"pages\.bin: was cut to 8192 bytes"):
        files.bring(window, key, PAGE, 3 * PAGE, write=False)
    with pytest.raises(OSError, match="ends before the mapping"):
        read_pages(files.fd(key), PAGE, 3 * PAGE)
    with pytest.raises(TruncatedFileError, match=r"ends at 16 KiB .*, but the file has 8 KiB"):
        files.whole(key, (0, 4 * PAGE))
    files.close()


def test_bringing_pages_where_the_kernel_cannot(file, monkeypatch):
    monkeypatch.setattr(calls, "populate", lambda *_: False)
    key = FileKey.of(str(file))
    files = Files([(key, os.open(file, os.O_RDONLY), False)])
    window = files.whole(key, (0, 5 * PAGE))
    files.bring(window, key, 0, 5 * PAGE, write=False)
    os.truncate(file, PAGE)
    with pytest.raises(TruncatedFileError):
        files.bring(window, key, 0, 2 * PAGE, write=False)
    files.close()


def test_kept_windows_are_few_and_let_go_of_deleted_files(tmp_path, no_leaks):
    kept = KeptWindows()
    held = []
    for number in range(KeptWindows.LIMIT + 3):
        path = tmp_path / f"{number}.bin"
        path.write_bytes(bytes([number]) * PAGE)
        fd = os.open(path, os.O_RDONLY)
        key = FileKey.of(fd, path=str(path))
        window = kept.window(fd, (key.dev, key.ino), 0, PAGE)
        assert kept.window(fd, (key.dev, key.ino), 0, PAGE) is window
        held.append(window)
        os.close(fd)
    # One that had to make room can still be used by who has it.
    assert [int(window.bytes[0]) for window in held] == list(range(KeptWindows.LIMIT + 3))
    del held, window
    gc.collect()
    mapped = {line.split("/")[-1] for line in maps_of(tmp_path)}
    assert mapped == {f"{number}.bin" for number in range(3, KeptWindows.LIMIT + 3)}
    (tmp_path / "5.bin").unlink()
    kept.prune([], spare=100 * PAGE)
    assert not any(line.endswith("/5.bin (deleted)") for line in maps_of(tmp_path))
    assert len(maps_of(tmp_path)) == KeptWindows.LIMIT - 1
    # What the next run wants stays; of the others, as much as there is room for, the latest first.
    kept.prune([FileKey.of(str(tmp_path / "3.bin"))], spare=2 * PAGE)
    names = {line.split("/")[-1] for line in maps_of(tmp_path)}
    assert names == {"3.bin", "17.bin", "18.bin"}
    kept.clear()
    assert maps_of(tmp_path) == []


def maps_of(folder: Path) -> list[str]:
    lines = Path("/proc/self/maps").read_text().splitlines()
    return [line for line in lines if f"{folder}/" in line]


# ---- what the machine allows ---------------------------------------------------------------------


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Factory of machines: ``machine({path: text})`` is what `limits` looks at then."""

    def make(files: dict[str, str]) -> None:
        for path, text in files.items():
            place = tmp_path / path.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        monkeypatch.setattr(groups, "_ROOT", str(tmp_path))
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))

    return make


MEMINFO = "MemTotal:       16777216 kB\nMemFree:  1024 kB\nMemAvailable:    8388608 kB\n"


def test_without_groups_what_is_available_counts(machine):
    machine({"/proc/meminfo": MEMINFO})
    assert limits.room() == 8 * GiB
    assert limits.default_memory() == 4 * GiB
    assert limits.default_workers() == 8


def test_every_group_of_version_2_up_the_tree_counts(machine):
    stat = f"anon {100 * MiB}\nfile {3 * GiB}\nfile_dirty {20 * MiB}\nfile_writeback {4 * MiB}\n"
    machine(
        {
            "/proc/meminfo": MEMINFO,
            "/proc/self/cgroup": "0::/jobs/mine\n",
            "/sys/fs/cgroup/jobs/mine/memory.max": "max\n",
            "/sys/fs/cgroup/jobs/mine/memory.stat": stat,
            "/sys/fs/cgroup/jobs/mine/cpu.max": "150000 100000\n",
            "/sys/fs/cgroup/jobs/memory.max": f"{GiB}\n",
            "/sys/fs/cgroup/jobs/memory.stat": stat + f"shmem {200 * MiB}\nshmem_thp 5\n",
            "/sys/fs/cgroup/jobs/cpu.max": "max 100000\n",
        }
    )
    assert limits.room() == GiB - 324 * MiB
    assert limits.default_workers() == 2


def test_every_group_of_version_1_up_the_tree_counts(machine):
    memory = "/sys/fs/cgroup/memory/jobs"
    machine(
        {
            "/proc/meminfo": MEMINFO,
            "/proc/self/cgroup": "5:cpu,cpuacct:/jobs/mine\n4:memory:/jobs/mine\n0::/\n",
            f"{memory}/mine/memory.limit_in_bytes": f"{2 * GiB}\n",
            f"{memory}/mine/memory.stat": f"rss 1\ntotal_rss {GiB}\ntotal_cache {GiB}\n",
            f"{memory}/memory.limit_in_bytes": "9223372036854771712\n",
            f"{memory}/memory.stat": f"total_rss {GiB}\n",
            "/sys/fs/cgroup/cpu/jobs/mine/cpu.cfs_quota_us": "-1\n",
            "/sys/fs/cgroup/cpu/jobs/mine/cpu.cfs_period_us": "100000\n",
            "/sys/fs/cgroup/cpu/jobs/cpu.cfs_quota_us": "300000\n",
            "/sys/fs/cgroup/cpu/jobs/cpu.cfs_period_us": "100000\n",
        }
    )
    assert limits.room() == GiB
    assert limits.default_workers() == 3


def test_in_a_container_only_the_mounted_part_is_seen(machine):
    machine(
        {
            "/proc/meminfo": MEMINFO,
            "/proc/self/cgroup": "0::/docker/abcdef/on/the/host\n",
            "/sys/fs/cgroup/memory.max": f"{512 * MiB}\n",
            "/sys/fs/cgroup/memory.stat": f"anon {12 * MiB}\n",
            "/sys/fs/cgroup/cpu.max": "50000 100000\n",
        }
    )
    assert limits.room() == 500 * MiB
    assert limits.default_workers() == 1


def test_a_group_over_its_limit_leaves_no_room_and_one_worker(machine):
    machine(
        {
            "/proc/meminfo": MEMINFO,
            "/proc/self/cgroup": "0::/\n",
            "/sys/fs/cgroup/memory.max": f"{MiB}\n",
            "/sys/fs/cgroup/memory.stat": f"anon {2 * MiB}\n",
        }
    )
    assert limits.room() == 0
    assert limits.default_memory() == 0
    assert limits.default_workers() == 1


def test_a_machine_that_tells_nothing(machine):
    machine({})
    assert limits.room() > 0
    assert limits.default_workers() >= 1


def test_this_machine():
    assert 0 < limits.room() < 1 << 50
    assert 1 <= limits.default_workers() <= os.cpu_count()
    assert limits.default_memory() <= np.iinfo("i8").max


def test_tasks_of_unknown_length_begin_small_and_grow_to_half_a_second():
    queue = TaskQueue(0, 1000, 100, workers=1, apart=False, unknown=True)
    assert [queue.take(0).count for _ in range(2)] == [1, 1]
    queue.pace(0.05)
    assert queue.take(0).count == 10
    queue.pace(1e-9)
    assert queue.take(0).count == 100
    queue.pace(20.0)
    assert queue.take(0).count == 1
