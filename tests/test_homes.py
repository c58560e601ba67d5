"""Unusual homes of a program: other processes, threads, refused calls, few files, no home folder.

Each does the work of `homework.work`, which compares every result with NumPy's.
"""

from __future__ import annotations

import errno
import importlib.util
import itertools
import os
import shlex
import shutil
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import seccomp
from homework import ALL, work

import oocarray as oo

HERE = Path(__file__).resolve().parent
LIMIT = 100
BEGIN = f"import sys; sys.path[:0] = [{str(HERE.parent)!r}, {str(HERE)!r}]\n"


def program(text: str) -> str:
    return BEGIN + textwrap.dedent(text)


def run(
    folder: Path,
    text: str,
    *flags: str,
    before: str = "",
    env: dict[str, str | None] | None = None,
    code: int = 0,
) -> tuple[str, str]:
    """Run a program in `folder`; return what it said.

    Parameters
    ----------
    flags : str
        Of the interpreter.
    before : str
        Words of a shell that runs the interpreter: ``"ulimit -n 64; exec"``.
    env : dict
        What is changed in the environment; None: removed.
    """
    changed = {**os.environ, "PYTHONWARNINGS": "error", **(env or {})}
    command = shlex.join([sys.executable, *flags, "-c", program(text)])
    done = subprocess.run(
        ["/bin/sh", "-c", f"{before or 'exec'} {command}"],
        cwd=folder,
        env={name: value for name, value in changed.items() if value is not None},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=LIMIT,
    )
    out, err = (os.fsdecode(text).rstrip() for text in (done.stdout, done.stderr))
    assert done.returncode == code, (out, err)
    return out, err


WORK = """
    from homework import work
    work(".", kernels={kernels}, schedulers={schedulers})
    print("same")
"""
PROCESSES = WORK.format(kernels=False, schedulers=("processes",))
KERNELS = WORK.format(kernels=True, schedulers=("processes",))
EVERY = WORK.format(kernels=True, schedulers=("serial", "threads", "processes"))


# Processes and threads of somebody else


MULTIPROCESSING = """
    import multiprocessing, os

    def inside(folder):
        from homework import work
        assert multiprocessing.current_process().daemon
        os.makedirs(folder)
        work(folder, ("threads", "processes"), kernels=False)

    def main():
        work_here = __import__("homework").work
        os.makedirs("parent")
        {first}
        context = multiprocessing.get_context({method!r})
        processes = [
            context.Process(target=inside, args=("child%d" % n,), daemon=True) for n in range(2)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        print([process.exitcode for process in processes])
        work_here("parent", ("processes",), kernels=False)

    if __name__ == "__main__":
        main()
"""


@pytest.mark.parametrize(
    ("method", "first"),
    [
        pytest.param("fork", "", marks=pytest.mark.long),
        ("fork", 'work_here("parent", ("processes",))'),
        ("spawn", ""),
        pytest.param("forkserver", "", marks=pytest.mark.long),
    ],
)
def test_a_daemonic_process(tmp_path: Path, method: str, first: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(program(MULTIPROCESSING.format(method=method, first=first)))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert (done.stdout, done.stderr) == ("[0, 0]\n", "")


def test_several_threads_at_once(tmp_path: Path) -> None:
    wrong: list[BaseException] = []

    def one(number: int) -> None:
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            work(str(folder), (("processes", "threads", "serial")[number % 3],))
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    assert not wrong
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.parametrize(
    "scheduler", ["processes", pytest.param("threads", marks=pytest.mark.long)]
)
def test_a_task_of_dask(tmp_path: Path, scheduler: str) -> None:
    out, err = run(
        tmp_path,
        f"""
        import dask, os
        from homework import work

        def task(number):
            os.makedirs(str(number), exist_ok=True)
            work(str(number), ("processes", "threads"))
            return number

        if __name__ == "__main__":
            tasks = [dask.delayed(task)(number) for number in range(2)]
            print(dask.compute(*tasks, scheduler={scheduler!r}, num_workers=2))
        """,
    )
    assert (out, err) == ("(0, 1)", "")


@pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason="needs distributed")
def test_a_worker_of_distributed(tmp_path: Path) -> None:
    out, _ = run(
        tmp_path,
        """
        from homework import work

        if __name__ == "__main__":
            from distributed import Client
            with Client(n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
                print(client.submit(work, ".", ("processes", "threads")).result())
        """,
    )
    assert out == "None"


@pytest.mark.skipif(importlib.util.find_spec("joblib") is None, reason="needs joblib")
def test_a_worker_of_joblib(tmp_path: Path) -> None:
    out, _ = run(
        tmp_path,
        """
        from homework import work

        if __name__ == "__main__":
            from joblib import Parallel, delayed
            print(Parallel(n_jobs=2)(delayed(work)(".", ("processes",)) for _ in range(1)))
        """,
    )
    assert out == "[None]"


def test_a_worker_as_joblib_starts_them(tmp_path: Path) -> None:
    """A fresh interpreter that runs no ``__main__``, gets functions by value, ends by _exit."""
    out, err = run(
        tmp_path,
        """
        import base64, cloudpickle, subprocess

        def task():
            from homework import work
            work(".", ("processes", "threads"))
            return "same"

        packed = base64.b64encode(cloudpickle.dumps(task)).decode()
        worker = f'''
        import sys; sys.path[:0] = {sys.path[:2]!r}
        import base64, os, pickle
        print(pickle.loads(base64.b64decode("{packed}"))(), flush=True)
        os._exit(0)
        '''
        worker = "\\n".join(line.strip() for line in worker.splitlines())
        print(subprocess.run([sys.executable, "-c", worker], text=True, capture_output=True))
        """,
    )
    assert "stdout='same\\n', stderr=''" in out, out
    assert err == ""


def test_a_fork_of_a_process_that_used_openmp(tmp_path: Path) -> None:
    """GNU's OpenMP ends forked children that start its threads: ours are no children of it."""
    out, err = run(
        tmp_path,
        """
        import os, numba, numpy as np
        from homework import work

        @numba.njit(parallel=True)
        def total(x):
            found = 0.0
            for i in numba.prange(x.size):
                found += x[i]
            return found

        assert total(np.ones(1000)) == 1000
        work(".")
        print("parent", numba.threading_layer() in ("omp", "tbb", "workqueue"), flush=True)
        pid = os.fork()
        if pid == 0:
            work(".")
            print("child", flush=True)
            os._exit(0)
        print(os.waitpid(pid, 0)[1])
        work(".", ("processes",))
        """,
    )
    assert (out.split(), err) == (["parent", "True", "child", "0"], "")


# Refused calls


HINTS = (
    *("cachestat", "mincore", "madvise", "sync_file_range", "fadvise64", "statx", "prctl"),
    *("fallocate", "memfd_create", "pidfd_open", "pidfd_send_signal", "renameat2", "close_range"),
)
O_TMPFILE_BIT = 0o20000000
NOSYS, PERM, NOTSUP = errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP
HINTLESS = [[(name, code) for name in HINTS] for code in (NOSYS, PERM)]
REFUSALS: list[list[Any]] = [
    *([(name, code)] for name in HINTS for code in (NOSYS, PERM)),
    *([("madvise", code, 2, advice)] for advice in (22, 23) for code in (errno.EINVAL, PERM)),
    *([("openat", code, 2, O_TMPFILE_BIT, "bits")] for code in (NOTSUP, NOSYS, PERM)),
    *([("linkat", code)] for code in (NOTSUP, NOSYS, PERM)),
    [("fallocate", NOTSUP)],
    [("openat", NOTSUP, 2, O_TMPFILE_BIT, "bits"), ("linkat", PERM)],
]

REFUSED = """
    import atexit, os, traceback
    import seccomp
    from homework import work
    import oocarray.runtime.scheduler, oocarray.jit

    work(".", ("serial",))
    for refusals, schedulers in {cases}:
        for scheduler in schedulers:
            pid = os.fork()
            if pid == 0:
                status = 1
                try:
                    seccomp.refuse(refusals)
                    work(".", (scheduler,))
                    status = 0
                except BaseException:
                    traceback.print_exc()
                finally:
                    atexit._run_exitfuncs()
                    os._exit(status)
            if os.waitpid(pid, 0)[1]:
                print(scheduler, refusals, flush=True)
"""

needs_filters = pytest.mark.skipif(not seccomp.NUMBERS, reason="no filters for this processor")


@needs_filters
def test_calls_that_a_container_refuses(tmp_path: Path) -> None:
    """Each alone, in threads with one error and without them with another; in processes all."""
    turns = itertools.cycle([("serial",), ("threads",)])
    cases = [*zip(REFUSALS, turns, strict=False)]
    cases += [(refusals, ("processes",)) for refusals in HINTLESS]
    cases += [(refusals, ("processes",)) for refusals in REFUSALS[-2:]]
    assert run(tmp_path, REFUSED.format(cases=cases)) == ("", "")


@needs_filters
@pytest.mark.long
@pytest.mark.parametrize("scheduler", ALL)
def test_each_refused_call_everywhere(tmp_path: Path, scheduler: str) -> None:
    cases = [(refusals, (scheduler,)) for refusals in REFUSALS]
    assert run(tmp_path, REFUSED.format(cases=cases)) == ("", "")


@needs_filters
def test_where_nothing_can_be_executed_threads_do_the_work(tmp_path: Path) -> None:
    cases = [([("execve", PERM)], ("processes",))]
    out, err = run(tmp_path, REFUSED.format(cases=cases))
    assert out == ""
    assert "worker processes cannot be started" in err
    assert err.endswith("using threads")
    assert len(err.splitlines()) == 1


@needs_filters
@pytest.mark.parametrize(
    "code",
    [NOTSUP, *(pytest.param(code, marks=pytest.mark.long) for code in (errno.ENOLCK, NOSYS))],
)
def test_files_that_cannot_be_locked_are_not_updated_without_leave(
    tmp_path: Path, code: int
) -> None:
    text = f"""
        import seccomp
        import oocarray as oo
        from homework import work
        seccomp.refuse([("flock", {code})])
        try:
            work(".", ("threads",))
        except OSError as error:
            print(error)
        with oo.options(lock=False):
            work(".")
    """
    # Of reads there is a warning only.
    out, err = run(tmp_path, text, env={"PYTHONWARNINGS": "ignore"})
    assert "cannot lock" in out
    assert "lock=False" in out
    assert err == ""


@needs_filters
def test_what_is_cached_is_unknown_where_nobody_tells(tmp_path: Path) -> None:
    out, _ = run(
        tmp_path,
        """
        import errno, seccomp
        from oocarray.pages import calls
        fd = open("/proc/self/exe", "rb").fileno()
        assert calls.cached_bytes(fd, 0, 4096) == 4096 or calls.cached_bytes(fd, 0, 4096) is None
        for code in (errno.ENOSYS, errno.EPERM):
            seccomp.refuse([("cachestat", code), ("mincore", code)])
            print(calls.cached_bytes(fd, 0, 4096))
        """,
    )
    assert out.split() == ["None", "None"]


# Limits


def test_few_open_files(tmp_path: Path) -> None:
    assert run(tmp_path, EVERY, before="ulimit -n 24; exec") == ("same", "")


def test_too_few_open_files(tmp_path: Path) -> None:
    text = """
        import numpy as np
        import oocarray as oo
        x = oo.from_array(np.arange(8.0), chunks=1).map_blocks(np.negative, dtype="f8")
        for workers in (2, 24):
            try:
                print(x.sum().compute(scheduler="processes", workers=workers))
            except OSError as error:
                print(error)
    """
    out, err = run(tmp_path, text, before="ulimit -n 28; exec")
    works, fails = out.splitlines()
    assert (works, err) == ("-28.0", "")
    for word in ("28 (ulimit -n)", "24 workers", "about 84", "workers="):
        assert word in fails


def test_too_few_open_files_for_many_inputs(tmp_path: Path) -> None:
    text = """
        import numpy as np
        import oocarray as oo
        arrays = []
        for n in range(20):
            np.save(f"{n}.npy", np.full(64, n))
            arrays.append(oo.open(f"{n}.npy", chunks=16))
        def add(*blocks):
            return sum(blocks)
        for scheduler in ("serial", "threads", "processes"):
            try:
                y = oo.map_blocks(add, *arrays, dtype="i8")
                print(set(y.compute(scheduler=scheduler, workers=2).tolist()))
            except OSError as error:
                print(error)
    """
    assert run(tmp_path, text)[0].split() == ["{190}"] * 3
    out, _ = run(tmp_path, text, before="ulimit -n 48; exec")
    for line in out.splitlines():
        assert line == "{190}" or "48 (ulimit -n)" in line, out


def test_too_few_addresses_are_told_with_numbers(tmp_path: Path) -> None:
    with open(tmp_path / "big.raw", "wb") as stream:
        stream.truncate(64 << 30)
    text = """
        import oocarray as oo
        x = oo.open("big.raw", shape=(1 << 16, 1 << 20), dtype="u1")
        assert x[:2].sum().compute(scheduler="serial") == 0
        for scheduler in ("serial", "threads", "processes"):
            try:
                x.max().compute(scheduler=scheduler, workers=1, memory="64 MiB")
            except OSError as error:
                print(error)
    """
    out, err = run(tmp_path, text, before="ulimit -v 8388608; exec")
    assert err == ""
    lines = out.splitlines()
    assert len(lines) == 3
    for line in lines:
        for word in ("big.raw", "map 64 GiB", "RLIMIT_AS", "have 8 GiB", "ulimit -v"):
            assert word in line


# Folders


def folders(tmp_path: Path) -> Path:
    """A folder of another user, below ones that they may pass."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == Path(tmp_path).owner() and folder not in (Path("/"), Path("/tmp")):
            folder.chmod(folder.stat().st_mode | 0o011)
    os.chown(tmp_path, 12345, 12345)
    return tmp_path


# May read everything, as our interpreter may lie in somebody's home; may write nothing of others.
NOBODY = (
    "exec setpriv --reuid 12345 --regid 12345 --clear-groups "
    "--inh-caps +dac_read_search --ambient-caps +dac_read_search"
)
as_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv"
)


@as_root
@pytest.mark.parametrize("home", [None, pytest.param("/nowhere", marks=pytest.mark.long)])
def test_a_user_without_home_and_a_package_that_cannot_be_written(
    tmp_path: Path, home: str | None
) -> None:
    env: dict[str, str | None] = {"HOME": home, "OOCARRAY_CACHE": None, "XDG_CACHE_HOME": None}
    env |= {"PYTHONDONTWRITEBYTECODE": "1", "USER": None, "LOGNAME": None}
    out, err = run(folders(tmp_path), EVERY, before=NOBODY, env=env)
    assert (out, err) == ("same", "")


@as_root
def test_a_cache_folder_that_nothing_can_be_executed_in(tmp_path: Path) -> None:
    """Compiled kernels are read, not executed, from there."""
    mount = ["mount", "-t", "tmpfs", "-o", "noexec,size=32m", "none", "cache"]
    text = f"import os, subprocess\nsubprocess.run({mount}, check=True)\nos.chmod('cache', 0o700)\n"
    text += textwrap.dedent(KERNELS) + "print(len(os.listdir('cache')) > 0)\n"
    (tmp_path / "cache").mkdir()
    env = {"OOCARRAY_CACHE": str(tmp_path / "cache"), "TMPDIR": str(tmp_path / "cache")}
    if subprocess.run(["unshare", "-m", "true"]).returncode:
        pytest.skip("needs the right to mount")
    out, err = run(tmp_path, text, before="exec unshare -m", env=env)
    assert (out.split(), err) == (["same", "True"], "")


MOUNTED = """
    import os, subprocess
    done = subprocess.run({mount!r}, shell=True, capture_output=True, text=True)
    if done.returncode:
        print("cannot:", done.stderr.strip())
    else:
        from homework import work
        work("there")
        print("same", sorted(os.listdir("there")))
"""
MOUNTS = {
    # A full /dev/shm is nothing to us: what workers share has no name.
    "tmpfs": "mount -t tmpfs -o size=64m none there; mount -t tmpfs -o size=4k none /dev/shm",
    # Has neither fallocate nor extents.
    "ext2": "truncate -s 64M disk && mkfs.ext2 -q disk && mount -o loop disk there && "
    "rmdir there/lost+found",
    "overlay": "mkdir low up work && "
    "mount -t overlay -o lowerdir=low,upperdir=up,workdir=work none there",
    "vfat": "truncate -s 64M disk && mkfs.vfat disk && mount -o loop disk there",
    "no proc": "mkdir -p there && umount -l /proc",
}


@as_root
@pytest.mark.parametrize("kind", MOUNTS)
def test_other_file_systems(tmp_path: Path, kind: str) -> None:
    (tmp_path / "there").mkdir()
    out, err = run(tmp_path, MOUNTED.format(mount=MOUNTS[kind]), before="exec unshare -m")
    if out.startswith("cannot:"):
        pytest.skip(out)
    assert (out, err) == ("same ['source.npy', 'target.npy']", "")


def test_a_folder_in_memory(tmp_path: Path) -> None:
    folder = Path("/dev/shm") / f"homes-{os.getpid()}"
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("needs /dev/shm")
    folder.mkdir()
    try:
        work(str(folder))
    finally:
        shutil.rmtree(folder)


def test_names_that_are_no_text_and_paths_longer_than_the_system_takes(tmp_path: Path) -> None:
    text = """
        import os
        from homework import work
        odd = os.fsdecode(b"\\xff\\xfe \\xe4.d")
        os.mkdir(odd)
        work(odd, ("threads", "processes"))
        part = "d" * 200
        for _ in range(25):
            os.mkdir(part)
            os.chdir(part)
        try:
            work(".", ("threads", "processes"))
        except OSError as error:
            print("refused", error.errno, len(error.filename) > 4096)
        else:
            print("same")
    """
    for env in ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {}):
        folder = tmp_path / f"{len(env)}"
        folder.mkdir()
        out, err = run(folder, text, env=env)
        assert err == ""
        assert out in ("same", f"refused {errno.ENAMETOOLONG} True")


def test_a_script_and_a_folder_that_are_gone(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    script = tmp_path / "gone" / "script.py"
    script.write_text(
        program(
            f"""
            import os, shutil
            os.chdir(os.path.dirname(__file__))
            import homework
            shutil.rmtree(os.getcwd())
            homework.work({str(tmp_path)!r}, ("threads", "processes"), kernels=False)
            print("same")
            """
        )
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=LIMIT)
    assert (done.stdout, done.stderr) == ("same\n", "")


def test_functions_from_an_archive(tmp_path: Path) -> None:
    text = """
        import zipfile
        with zipfile.ZipFile("code.zip", "w") as archive:
            archive.writestr("pack/__init__.py", "")
            archive.writestr("pack/funcs.py", "def twice(b):\\n    return helper(b)\\n"
                "def helper(b):\\n    return b * 2\\n")
        sys.path.insert(0, "code.zip")
        from pack.funcs import twice
        import oocarray as oo, numpy as np
        y = oo.from_array(np.arange(4), chunks=1).map_blocks(twice, dtype="i8")
        print(y.compute(scheduler="processes", workers=2).tolist())
    """
    assert run(tmp_path, text) == ("[0, 2, 4, 6]", "")


# The interpreter's own state


@pytest.mark.parametrize(
    "flags",
    [
        ("-I",),  # as -E and -s, and more
        pytest.param(("-E", "-s"), marks=pytest.mark.long),
        pytest.param(("-O",), marks=pytest.mark.long),
        ("-O", "-X", "dev", "-W", "ignore::ResourceWarning"),
    ],
)
def test_flags_of_the_interpreter(tmp_path: Path, flags: tuple[str, ...]) -> None:
    env = {"PYTHONHASHSEED": "7", "PYTHONPATH": "/nowhere"}
    assert run(tmp_path, PROCESSES, *flags, env=env) == ("same", "")


def test_an_interpreter_without_its_site_packages(tmp_path: Path) -> None:
    folders = [folder for folder in sys.path if folder.endswith("site-packages")]
    text = f"sys.path += {folders!r}\n" + textwrap.dedent(KERNELS)
    assert run(tmp_path, text, "-S") == ("same", "")


@pytest.mark.parametrize(
    "closed",
    [
        *(pytest.param(one, marks=pytest.mark.long) for one in ("<&-", ">&-")),
        "2>&-",
        "<&- >&- 2>&-",
    ],
)
def test_closed_streams(tmp_path: Path, closed: str) -> None:
    text = """
        import numpy as np
        import oocarray as oo
        from homework import work
        def says(block):
            print("heard by nobody")
            print("nor this", file=sys.stderr)
            return block
        work(".", ("threads", "processes"), kernels=False)
        x = oo.from_array(np.arange(4), chunks=1).map_blocks(says, dtype="i8")
        found = x.compute(scheduler="processes", workers=2, progress=True)
        open("result", "w").write(str(found.tolist()))
    """
    run(tmp_path, text, before=f"exec {closed}")
    assert (tmp_path / "result").read_text() == "[0, 1, 2, 3]"


def test_signals_that_somebody_else_has_settled(tmp_path: Path) -> None:
    text = """
        import faulthandler, io, os, signal
        import numpy as np
        import oocarray as oo
        from homework import work
        faulthandler.enable()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD, signal.SIGTERM, signal.SIGINT])
        work(".", ("processes",), kernels=False)

        def dies(block):
            os.kill(os.getpid(), signal.SIGKILL)

        x = oo.from_array(np.arange(4), chunks=1)
        try:
            x.map_blocks(dies, dtype="i8").compute(scheduler="processes", workers=2)
        except oo.errors.OocarrayError as error:
            print("SIGKILL" in str(error))

        def says(block):
            print("heard", block[0])
            return block

        stdout, sys.stdout = sys.stdout, io.StringIO()
        x.map_blocks(says, dtype="i8").compute(scheduler="processes", workers=2)
        found, sys.stdout = sys.stdout.getvalue(), stdout
        print(sorted(line.split("]")[1] for line in found.splitlines()))
        assert faulthandler.is_enabled()
    """
    out, err = run(tmp_path, text)
    assert out.splitlines() == ["True", "[' heard 0', ' heard 1', ' heard 2', ' heard 3']"]
    assert all("was ended by SIGKILL" in line for line in err.splitlines()), err


def test_a_fork_after_use_and_its_parent_go_on(tmp_path: Path) -> None:
    text = """
        import os
        from homework import work
        for name in ("parent", "child", "grandchild"):
            os.mkdir(name)
        work("parent", ("threads", "processes"))
        first = os.fork()
        if first == 0:
            work("child", ("threads", "processes"))
            if os.fork() == 0:
                work("grandchild", ("threads", "processes"))
                os._exit(0)
            os._exit(os.wait()[1])
        work("parent", ("threads", "processes"))
        print(os.waitpid(first, 0)[1])
    """
    assert run(tmp_path, text) == ("0", "")


# What warm workers would not hear of


def test_a_module_that_is_edited_and_reloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "homes_edited.py"
    module.write_text("FACTOR = 2\ndef f(block):\n    return block * FACTOR\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import homes_edited

    x = oo.from_array(np.arange(4), chunks=1)

    def results() -> list[list[int]]:
        y = x.map_blocks(homes_edited.f, dtype="i8")
        kinds = ("serial", "processes", "processes")
        return [y.compute(scheduler=kind, workers=2).tolist() for kind in kinds]

    assert results() == [[0, 2, 4, 6]] * 3
    for factor in (30, 400, 5000):
        module.write_text(f"FACTOR = {factor}\ndef f(block):\n    return block * FACTOR\n")
        before = homes_edited.FACTOR
        # Not loaded yet: everybody has the old one, also a worker that has just been started.
        assert results() == [[before * n for n in range(4)]] * 3
        assert x.map_blocks(homes_edited.f, dtype="i8").compute(
            scheduler="processes", workers=3
        ).tolist() == [before * n for n in range(4)]
        importlib.reload(homes_edited)
        assert results() == [[factor * n for n in range(4)]] * 3
    del sys.modules["homes_edited"]
    module.write_text("def f(block):\n    return -block\n")
    importlib.invalidate_caches()
    import homes_edited

    assert results() == [[0, -1, -2, -3]] * 3
    del sys.modules["homes_edited"]


def environment(block, name):
    return np.array([int(os.environ.get(name, "-1"))])


def test_an_environment_that_changes_between_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    x = oo.from_array(np.arange(4), chunks=1).map_blocks(environment, "HOMES_VALUE", dtype="i8")
    threads = oo.from_array(np.arange(4), chunks=1).map_blocks(
        environment, "OMP_NUM_THREADS", dtype="i8"
    )
    monkeypatch.delenv("HOMES_VALUE", raising=False)
    for value in (None, "3", "44", None, "5"):
        if value is None:
            monkeypatch.delenv("HOMES_VALUE", raising=False)
        else:
            monkeypatch.setenv("HOMES_VALUE", value)
        monkeypatch.setenv("OMP_NUM_THREADS", "7")
        found = x.compute(scheduler="processes", workers=2)
        assert found.tolist() == [int(value or -1)] * 4
        assert threads.compute(scheduler="processes", workers=2).tolist() == [1] * 4


# Notebooks


NOTEBOOK = """
    import os, sys
    import numpy as np
    from IPython.core.displaypub import CapturingDisplayPublisher
    from IPython.core.interactiveshell import InteractiveShell
    import oocarray as oo

    class ZMQInteractiveShell(InteractiveShell):
        pass

    class OfAnotherMaker(ZMQInteractiveShell):
        pass

    class Broken(CapturingDisplayPublisher):
        def publish(self, *args, **more):
            raise OSError("the kernel has lost its frontend")

    shell = OfAnotherMaker.instance(history_manager=None)
    x = oo.from_array(np.arange(4), chunks=1).map_blocks(np.negative, dtype="i8")

    def shown(**options):
        shell.display_pub = CapturingDisplayPublisher()
        assert x.compute(workers=2, **options).tolist() == [0, -1, -2, -3]
        return shell.display_pub.outputs

    for scheduler in ("serial", "threads", "processes"):
        first, *later, last = shown(scheduler=scheduler, progress=True)
        names = {output["transient"]["display_id"] for output in (first, *later, last)}
        print(len(names), first["update"], last["update"], "<progress" in last["data"]["text/html"])
        print(last["data"]["text/plain"].startswith("oocarray: negative: "))
        print(shown(scheduler=scheduler, progress=None), shown(scheduler=scheduler, progress=False))
    shell.display_pub = Broken()
    print(x.compute(progress=True).tolist())
"""


def test_progress_in_a_notebook_without_widgets(tmp_path: Path) -> None:
    env = {"IPYTHONDIR": str(tmp_path), "PYTHONWARNINGS": "default"}
    out, err = run(tmp_path, NOTEBOOK, env=env)
    expected = ["1 False True True", "True", "[] []"] * 3 + ["[0, -1, -2, -3]"]
    assert (out.splitlines(), err) == (expected, "")


@pytest.mark.skipif(importlib.util.find_spec("ipykernel") is None, reason="needs ipykernel")
@pytest.mark.skipif(importlib.util.find_spec("nbclient") is None, reason="needs nbclient")
def test_a_notebook_that_is_executed(tmp_path: Path) -> None:
    out, _ = run(
        tmp_path,
        """
        import nbclient, nbformat
        cells = [
            f"import sys; sys.path[:0] = {sys.path[:2]!r}",
            "from homework import work; work('.')",
            "import numpy as np, oocarray as oo\\n"
            "x = oo.from_array(np.arange(4), chunks=1).map_blocks(np.negative, dtype='i8')\\n"
            "x.compute(progress=True).tolist()",
        ]
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        nbclient.NotebookClient(book, timeout=90).execute()
        shown, result = book.cells[-1].outputs
        print("<progress" in shown.data["text/html"], result.data["text/plain"])
        """,
        env={"PYTHONWARNINGS": "default"},
    )
    assert out == "True [0, -1, -2, -3]"
