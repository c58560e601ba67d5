"""Options for the process, where each comes from, the environment, and what the log tells."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import oocarray as oo
from oocarray.config import current
from oocarray.pages.tuning import DEFAULT

DOCS = Path(__file__).parents[1] / "docs" / "daily.md"


@pytest.fixture(autouse=True)
def _forget(monkeypatch):
    for name in list(os.environ):
        if name.startswith("OOCARRAY_") and name[9:].lower() in oo.options.get():
            monkeypatch.delenv(name)
    yield
    oo.options.set()


def test_set_is_for_all_threads():
    oo.options.set(workers=3, memory="64 MiB")
    found = []
    thread = threading.Thread(target=lambda: found.append(current()))
    thread.start()
    thread.join()
    assert (found[0].workers, found[0].memory) == (3, 64 << 20)
    oo.options.set(workers=4)
    assert (current().workers, current().memory) == (4, 64 << 20)
    oo.options.set()
    assert (current().workers, current().memory) == (None, None)


def test_what_comes_before_what(monkeypatch):
    monkeypatch.setenv("OOCARRAY_WORKERS", "2")
    monkeypatch.setenv("OOCARRAY_MEMORY", "1 GiB")
    assert oo.options.get("workers") == 2
    oo.options.set(workers=3)
    assert oo.options.get("workers") == 3
    with oo.options(workers=4):
        assert oo.options.get("workers") == 4
        with oo.options(memory="2 GiB"):
            oo.options.set(workers=5)
            found = oo.options.get()
            assert (found["workers"], found["memory"]) == (4, 2 << 30)
            assert found.sources["workers"] == found.sources["memory"] == "with"
        with oo.options(workers=None):
            assert oo.options.get("workers") is None
    found = oo.options.get()
    assert found["workers"] == 5
    assert {found.sources[name] for name in ("workers", "memory", "scheduler")} == {
        "set", "OOCARRAY_MEMORY", "default",
    }  # fmt: skip
    rows = [re.split(r"  +", row) for row in repr(found).splitlines()]
    assert ["workers", "5", "set"] in rows
    assert ["memory", "1 GiB", "OOCARRAY_MEMORY"] in rows
    assert ["scheduler", "processes", "default"] in rows
    assert len(rows) == len(found)


def test_what_cannot_be_set():
    with pytest.raises(TypeError, match="no option is called hurry"):
        oo.options.set(hurry=True)
    with pytest.raises(TypeError, match="no option is called hurry"):
        oo.options.get("hurry")
    with pytest.raises(ValueError, match="workers=0"):
        oo.options.set(workers=0, memory="1 GiB")
    assert oo.options.get("memory") is None


VARIABLES = {
    "memory": ("64 MiB", 64 << 20),
    "workers": ("3", 3),
    "scheduler": ("threads", "threads"),
    "durability": ("machine", "machine"),
    "progress": ("no", False),
    "drop": ("1", True),
    "on_error": ("fill", "fill"),
    "fill_value": ("-1.5", -1.5),
    "lock": ("off", False),
}


@pytest.mark.parametrize("name", VARIABLES)
def test_the_environment(monkeypatch, name):
    text, value = VARIABLES[name]
    monkeypatch.setenv(f"OOCARRAY_{name.upper()}", text)
    assert oo.options.get(name) == value
    assert oo.options.get().sources[name] == f"OOCARRAY_{name.upper()}"


def test_the_environment_is_checked(monkeypatch):
    monkeypatch.setenv("OOCARRAY_WORKERS", "many")
    with pytest.raises(ValueError, match="in the environment variables OOCARRAY_"):
        oo.options.get()


def test_every_option_and_variable_is_documented():
    table = set(re.findall(r"^\| `(\w+)` \| `(OOCARRAY_\w+)` \|", DOCS.read_text(), re.MULTILINE))
    assert table == {(name, f"OOCARRAY_{name.upper()}") for name in oo.options.get()}
    for name in oo.options.get():
        assert f"    {name} : " in oo.options.__doc__
    used = set()
    for path in (Path(oo.__file__).parent).rglob("*.py"):
        used |= set(re.findall(r"""environ[^\n]*["'](OOCARRAY_\w+)["']""", path.read_text()))
    assert all(f"`{name}`" in DOCS.read_text() for name in used)


@pytest.mark.parametrize("backend", ["mapped", "dask", "zarr"])
def test_a_scheduler_that_there_is_not_is_refused_by_all(backend):
    with pytest.raises(ValueError, match="scheduler='fast' is none of 'processes', 'threads'"):
        oo.from_array(np.arange(3)).sum().compute(scheduler="fast", backend=backend)


# ---- the log ---------------------------------------------------------------------------------


def test_a_run_tells_what_it_decided(npy, caplog, tmp_path):
    x = oo.open(npy((100, 100), "f8"))
    with caplog.at_level(logging.DEBUG, "oocarray"):
        x.mean().compute(scheduler="threads", workers=2, memory="1 MiB")
        oo.create(tmp_path / "y.npy", (1000, 1000), "f8")
        y = oo.open(tmp_path / "y.npy")
        y.mean().compute(scheduler="serial", memory="2 MiB")
    text = "\n".join(record.getMessage() for record in caplog.records)
    for told in (
        "run: scheduler threads, budget 1 MiB (memory=), 2 workers (workers=)",
        "run: scheduler serial, budget 2 MiB (memory=), 1 worker (serial)",
        "policy resident: ",
        "policy stream: ",
        "pages that the run caches are kept",
        "pages that the run caches are dropped",
        "stage 0 mean: ",
    ):
        assert told in text, text
    info = [record for record in caplog.records if record.levelno >= logging.INFO]
    assert len(info) == 2
    assert info[0].getMessage().startswith("mean: 1 stage, read 78.1 KiB, wrote 0 B in ")
    assert {record.name for record in caplog.records} == {"oocarray"}


def test_where_defaults_come_from_is_told(caplog):
    with caplog.at_level(logging.DEBUG, "oocarray"):
        oo.from_array(np.arange(3)).sum().compute(scheduler="threads")
    assert re.search(r"budget \S+ \w+ \(half of the \S+ \w+ free\)", caplog.text)
    assert re.search(r"\d+ workers? \(processors, quota and memory\)", caplog.text)


def test_the_library_installs_no_handlers():
    program = (
        "import logging, numpy as np, oocarray as oo\n"
        "oo.from_array(np.arange(9)).sum().compute(scheduler='threads')\n"
        "log = logging.getLogger('oocarray')\n"
        "print([h for h in log.handlers if type(h) is not logging.NullHandler], log.level,\n"
        "      log.propagate, logging.getLogger().handlers)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("[] 0 True []\n", "")


@pytest.mark.parametrize("name", ["drop", "lock", "progress", "tuning"])
def test_a_switch_knows_its_words_only(monkeypatch, name):
    variable = f"OOCARRAY_{name.upper()}"
    for word in ("flase", "ja", "2"):
        monkeypatch.setenv(variable, word)
        with pytest.raises(ValueError, match=rf"{name}='{word}' is none of 1, true, yes, on, 0, f"):
            oo.options.get()
    monkeypatch.delenv(variable)
    for on, off in zip((True, 1, "1", "Yes", "on"), (False, 0, "0", "No", "off"), strict=True):
        with oo.options(**{name: on}):
            yes = oo.options.get(name)
        with oo.options(**{name: off}):
            no = oo.options.get(name)
        assert (yes, no) == ((None, DEFAULT) if name == "tuning" else (True, False))
