"""Programs of their own that use worker processes: started in every way, ended in every way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]

# No main guard: a worker that ran this again would start workers of its own without end.
PLAIN = """
import sys
import numpy as np
import oocarray as oo

print("top of the script", flush=True)

class Doubler:
    def __call__(self, block):
        return block * FACTOR

FACTOR = 2
x = oo.from_array(np.arange(8), chunks=2)
with oo.options(workers=2, scheduler="processes", progress=False):
    y = x.map_blocks(Doubler(), dtype="i8").compute()
print("result", y.tolist(), flush=True)
"""
ANSWER = "top of the script\nresult [0, 2, 4, 6, 8, 10, 12, 14]\n"


def start(folder: Path, *argv: str, **kw: Any) -> subprocess.Popen[str]:
    """Start a Python in `folder`, which finds the package under test, in a session of its own."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    env = {**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "error", "IPYTHONDIR": str(folder)}
    return subprocess.Popen(
        [sys.executable, *argv],
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **kw,
    )


def run(folder: Path, *argv: str, input: str = "") -> tuple[str, str, int]:
    """Run a Python to its end; return what it said and its exit code."""
    process = start(folder, *argv, stdin=subprocess.PIPE)
    try:
        out, err = process.communicate(input, timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return out, err, process.returncode


def test_a_script_without_a_main_guard(tmp_path):
    (tmp_path / "script.py").write_text(PLAIN)
    assert run(tmp_path, "script.py") == (ANSWER, "", 0)


def test_a_script_from_stdin(tmp_path):
    assert run(tmp_path, "-", input=PLAIN) == (ANSWER, "", 0)


def test_a_script_by_option(tmp_path):
    assert run(tmp_path, "-c", PLAIN) == (ANSWER, "", 0)


def test_ipython(tmp_path):
    pytest.importorskip("IPython")
    (tmp_path / "script.py").write_text(PLAIN)
    process_of = ["-W", "ignore", "-m", "IPython", "--no-banner", "--colors=NoColor"]
    out, err, code = run(tmp_path, *process_of, "script.py")
    assert (out, code) == (ANSWER, 0), err
    out, err, code = run(tmp_path, *process_of, "-c", PLAIN)
    assert out.startswith(ANSWER), err
    assert code == 0


def test_a_module_beside_the_script_and_one_put_on_the_path_later(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "later.py").write_text("def more(b):\n    return b + 1\n")
    project = tmp_path / "project"
    project.mkdir()
    (project / "beside.py").write_text("K = 3\n\ndef times(b):\n    return b * K\n")
    (project / "script.py").write_text(
        "import sys\n"
        "import numpy as np, oocarray as oo, beside\n"
        "x = oo.from_array(np.arange(4), chunks=1)\n"
        "with oo.options(workers=2, progress=False):\n"
        "    print(x.map_blocks(beside.times, dtype='i8').compute().tolist())\n"
        f"    sys.path.insert(0, {str(elsewhere)!r})\n"
        "    import later\n"
        "    print(x.map_blocks(later.more, dtype='i8').compute().tolist())\n"
    )
    # Started from elsewhere: the script's folder is on the path, the working directory is not.
    out, err, code = run(tmp_path, "project/script.py")
    assert (out, err, code) == ("[0, 3, 6, 9]\n[1, 2, 3, 4]\n", "", 0)


def test_our_own_package_is_found_before_another_of_its_name(tmp_path):
    (tmp_path / "oocarray.py").write_text("raise SystemExit('not this one')\n")
    text = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n" + PLAIN
    (tmp_path / "script.py").write_text(text)
    assert run(tmp_path, "script.py") == (ANSWER, "", 0)


IN_A_THREAD = """
import threading, time
def slowly():
    with oo.options(workers=1, scheduler='processes', progress=False):
        x.map_blocks(lambda b: (time.sleep(0.2), b)[1], dtype='i8').compute()
threading.Thread(target=slowly).start()
time.sleep(0.1)
"""
ENDS = {
    "with an exception": ("raise SystemExit(4)", 4),
    "by os._exit": ("import os; os._exit(5)", 5),
    "with a pool of threads too": ("x.sum().compute(scheduler='threads', workers=2)", 0),
    "while a thread runs": (IN_A_THREAD, 0),
}


@pytest.mark.parametrize("how", ENDS)
def test_a_program_ends_without_a_word(how, tmp_path):
    last, code = ENDS[how]
    assert run(tmp_path, "-c", f"{PLAIN}\n{last}\n") == (ANSWER, "", code)


# A store whose second block takes long: what ends it from outside finds it at work.
LONG = """
import os, sys, time
import numpy as np
import oocarray as oo
from oocarray.runtime import pools

def slow(block, block_id=None):
    if block_id[0] > 0:
        open(f"started-{block_id[0]}", "w").close()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            HOW
    return block

os.mkdir("out")
x = oo.from_array(np.arange(8.0), chunks=1)
with oo.options(workers=2, scheduler="processes", progress=False, memory="256 MiB"):
    x.map_blocks(np.negative, dtype="f8").compute()
    print(*pools._warm["processes"].pids, flush=True)
    x.map_blocks(slow, dtype="f8").store("out/y.npy")
"""


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def started(folder: Path, how: str = "time.sleep(0.05)") -> tuple[subprocess.Popen[str], list[int]]:
    """Start `LONG` and wait until both workers are in their long blocks."""
    process = start(folder, "-c", LONG.replace("HOW", how))
    assert process.stdout is not None
    pids = [int(word) for word in process.stdout.readline().split()]
    assert len(pids) == 3
    until(lambda: len(list(folder.glob("started-*"))) == 2, 10)
    return process, pids


def until(holds: Callable[[], bool], seconds: float) -> float:
    """Wait until something holds; return how long that took."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        time.sleep(0.01)
    return time.monotonic() - began


def nothing_left(folder: Path, pids: list[int]) -> bool:
    return not any(map(alive, pids)) and not os.listdir(folder / "out")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda s: s.name)
@pytest.mark.parametrize("how", ["time.sleep(0.05)", "sum(range(10**9))"], ids=["sleep", "busy"])
def test_workers_do_not_outlive_the_parent(number, how, tmp_path):
    # A call that keeps the interpreter lock must not save a worker.
    process, pids = started(tmp_path, how)
    process.send_signal(number)
    # SIGTERM is dealt with as Ctrl-C is: running blocks have five seconds.
    process.wait(15)
    until(lambda: nothing_left(tmp_path, pids), 10)
    assert process.returncode == -number
    process.communicate()


def test_workers_do_not_outlive_a_parent_that_has_other_children(tmp_path):
    # A forked child holds copies of the parent's descriptors, unless they are closed there.
    text = LONG.replace("HOW", "time.sleep(0.05)").replace(
        "    x.map_blocks(slow",
        "    if os.fork() == 0:\n"
        "        time.sleep(20)\n"
        "        os._exit(0)\n"
        "    x.map_blocks(slow",
    )
    process = start(tmp_path, "-c", text)
    assert process.stdout is not None
    pids = [int(word) for word in process.stdout.readline().split()]
    until(lambda: len(list(tmp_path.glob("started-*"))) == 2, 10)
    process.kill()
    process.wait(5)
    until(lambda: nothing_left(tmp_path, pids), 10)
    os.killpg(process.pid, signal.SIGKILL)  # the child, in the session of its parent
    process.communicate()


def test_ctrl_c_lets_blocks_end_then_ends_all(tmp_path):
    process, pids = started(tmp_path)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert 3 < time.monotonic() - began < 15
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert "During handling" not in err
    until(lambda: nothing_left(tmp_path, pids), 10)


def test_a_second_ctrl_c_ends_all_at_once(tmp_path):
    process, pids = started(tmp_path)
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert time.monotonic() - began < 3.5  # what is left of the five seconds is four
    assert err.rstrip().endswith("KeyboardInterrupt")
    until(lambda: nothing_left(tmp_path, pids), 10)


AGAIN = """
import os, signal, sys, threading, time
import numpy as np
import oocarray as oo
x = oo.from_array(np.arange(60.0), chunks=1)
for scheduler in ("serial", "threads", "processes"):
    with oo.options(workers=2, scheduler=scheduler, progress=False):
        x.map_blocks(np.negative, dtype="f8").compute()
        pid = os.getpid()
        threading.Timer(0.3, os.kill, (pid, signal.SIGINT)).start()
        began = time.monotonic()
        try:
            x.map_blocks(lambda b: (time.sleep(0.2), b)[1], dtype="f8").compute(workers=2)
            time.sleep(10)
        except KeyboardInterrupt:
            print(scheduler, "interrupted", time.monotonic() - began < 4, flush=True)
        print(x.map_blocks(np.negative, dtype="f8").sum().compute(), flush=True)
"""


def test_runs_go_on_after_ctrl_c(tmp_path):
    out, err, code = run(tmp_path, "-c", AGAIN)
    assert err == ""
    assert out.splitlines() == [
        line
        for scheduler in ("serial", "threads", "processes")
        for line in (f"{scheduler} interrupted True", "-1770.0")
    ]
    assert code == 0


def test_output_that_nobody_reads_any_more(tmp_path):
    text = PLAIN.replace(
        "def __call__(self, block):", "def __call__(self, block):\n        print('x' * 9999)"
    )
    text = text.replace(
        "class Doubler",
        "import os, time\n"
        "while not os.path.exists('closed'):\n"
        "    time.sleep(0.01)\n\n"
        "class Doubler",
    )
    process = start(tmp_path, "-c", text)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    (tmp_path / "closed").touch()
    assert process.wait(60) == 1
    assert process.stderr is not None
    assert "BrokenPipeError" in process.stderr.read()
    process.stderr.close()
