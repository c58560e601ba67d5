"""Kernels compile once, load anywhere without compiling, and keep what they were keyed by."""

from __future__ import annotations

import math
import os
import pickle
import stat
import subprocess
import sys
import textwrap
import threading
import time
from collections import namedtuple
from pathlib import Path

import cloudpickle
import numba
import numpy as np
import pytest

from oocarray import jit
from oocarray.errors import DtypeError, KernelError
from oocarray.jit import ArrayArg, ScalarArg, TupleArg, arg_type, compile_kernel, load
from oocarray.kernels import cache as kernelcache
from oocarray.kernels.key import take_snapshot

OUT = ArrayArg("f8", 1, readonly=False)
IN = ArrayArg("f8", 1)
FACTOR = 3.0


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of compiled kernels for this test alone."""
    folder = tmp_path / "kernels"
    monkeypatch.setenv("OOCARRAY_CACHE", str(folder))
    return folder


def run(source: str, folder: Path, *arguments: object, stdin: bool = False) -> str:
    """Run Python source in a fresh process; it must end well."""
    command = [sys.executable, "-W", "error", *([] if stdin else ["-c", textwrap.dedent(source)])]
    done = subprocess.run(
        [*command, *(["-"] if stdin else []), *map(str, arguments)],
        input=textwrap.dedent(source) if stdin else None,
        env={**os.environ, "OOCARRAY_CACHE": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


LOADER = """
import pickle, sys
import numpy as np
from oocarray import jit
jit.preload()
jit.forbid_compilation()
for path in sys.argv[1:]:
    compiled, args = pickle.load(open(path, "rb"))
    result = jit.load(compiled)(*args)
    print(compiled.name, result, [a.tolist() for a in args if isinstance(a, np.ndarray)])
"""


def add(out, a, b):
    for i in range(a.size):
        out[i] = a[i] + b[i]


def scale(out, a):
    for i in range(a.size):
        out[i] = FACTOR * a[i]


@jit.kernel
def fibonacci(n):
    if n < 2:
        return n
    return fibonacci(n - 1) + fibonacci(n - 2)


@numba.njit
def half(x):
    return x / 2


def uses_half(out, a):
    for i in range(a.size):
        out[i] = half(a[i]) + math.pi


def with_globals(**values):
    """The function `scale` with other globals."""
    source = "def scale(out, a):\n    for i in range(a.size):\n        out[i] = FACTOR * a[i]\n"
    scope = dict(values)
    exec(source, scope)
    return scope["scale"]


def key_of(func):
    return take_snapshot(func, {}).digest


# ---------------------------------------------------------------- argument types


def test_import_is_cheap() -> None:
    code = "import sys, oocarray.jit as j; j.arg_type(1); sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_arg_types_of_literals() -> None:
    square = np.zeros((3, 4))
    assert arg_type(square) == ArrayArg("f8", 2, "C", True, True)
    assert arg_type(square.T) == ArrayArg("f8", 2, "F", True, True)
    assert arg_type(square[:, 1]) == ArrayArg("f8", 1, "A", True, True)
    assert arg_type(np.zeros(())) == ArrayArg("f8", 0, "C", True, True)
    values = [
        True,
        1,
        2**63,
        1.0,
        1j,
        "a",
        None,
        np.float32(1),
        np.bool_(1),
        np.datetime64(1, "ns"),
    ]
    kinds = ["bool", "int", "uint64", "float", "complex", "str", "none", "float32", "bool"]
    kinds += ["datetime64[ns]"]
    assert [arg_type(value) for value in values] == [ScalarArg(kind) for kind in kinds]
    assert arg_type((1, (2.0,))) == TupleArg((ScalarArg("int"), TupleArg((ScalarArg("float"),))))
    assert ArrayArg("f8", 1, "F") == ArrayArg("f8", 1, "C")
    assert str(arg_type((1,))) == "(int,)"


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (np.zeros(2, "f2"), r"astype\('float32'\)"),
        (np.zeros(2, ">f8"), r"astype\('<f8'\)"),
        (np.zeros(2, [("a", ">i4")]), "byte order"),
        (np.zeros(2, object), "object array"),
        (np.zeros(2, "g"), "float128|longdouble|float96"),
        (np.ma.zeros(2), "masked"),
        (np.float16(1), "float16"),
        (np.str_("a"), "array of one item"),
        (2**64, "64 bits"),
        ([1, 2], "list"),
        (namedtuple("P", "x")(1), "plain tuples"),
    ],
)
def test_refused_arguments(value: object, word: str) -> None:
    with pytest.raises(DtypeError, match=word):
        arg_type(value)


def test_accepts() -> None:
    array = np.zeros((4, 4))
    assert ArrayArg("f8", 2, readonly=False).accepts(array)
    assert not ArrayArg("f8", 2).accepts(array[:, :2])
    assert ArrayArg("f8", 2, "A").accepts(array[:, :2])
    assert not ArrayArg("f4", 2).accepts(array)
    frozen = np.frombuffer(bytes(32))
    assert ArrayArg("f8", 1).accepts(frozen)
    assert not ArrayArg("f8", 1, readonly=False).accepts(frozen)
    assert not ArrayArg("f8", 1).accepts(np.zeros(17, "u1")[1:].view("f8"))
    assert TupleArg((ScalarArg("int"),)).accepts((1,))
    assert not TupleArg((ScalarArg("int"),)).accepts((1.0,))


# ---------------------------------------------------------------- compiled here, loaded elsewhere


def test_load_in_a_fresh_process_never_compiles(tmp_path: Path, cache: Path) -> None:
    packed = np.zeros(2, [("a", "u1"), ("b", "f8")])
    packed["b"] = [1.5, 2.5]
    shifted = np.zeros(17, "u1")[1:].view("f8")
    shifted[:] = [4.0, 5.0]

    def first(out, a):
        out[()] = a[()] + 1

    def field(out, a):
        for i in range(a.size):
            out[i] = a[i].b + a[i].a

    def words(text, pair, nothing):
        return len(text) + pair[0] + int(pair[1]) if nothing is None else -1

    cases = [
        (add, (np.zeros(2), np.ones(2), np.ones(2)), "add None [[2.0, 2.0]"),
        (first, (np.zeros(()), np.array(6.0)), "first None [7.0, 6.0]"),
        (field, (np.zeros(2), packed), "field None [[1.5, 2.5]"),
        (uses_half, (np.zeros(1), np.ones(1)), "uses_half None [[3.641592653589793]"),
        (add, (np.zeros(2), shifted, shifted.copy()), "add None [[8.0, 10.0]"),
        (fibonacci, (20,), "fibonacci 6765 []"),
        (words, ("héllo", (2, 3.5), None), "words 10 []"),
    ]
    paths = []
    for number, (func, args, _) in enumerate(cases):
        types = [arg_type(arg) for arg in args]
        if isinstance(types[0], ArrayArg):
            types[0] = ArrayArg(types[0].dtype, types[0].ndim, readonly=False)
        paths.append(tmp_path / f"{number}.pickle")
        if args[-1] is shifted or (len(args) > 1 and args[1] is shifted):
            # A pickled array comes back aligned; code for unaligned ones takes it too.
            assert not types[1].aligned
            out = np.zeros(2)
            load(compile_kernel(func, tuple(types)))(out, *args[1:])
            assert out.tolist() == [8.0, 10.0]
        paths[-1].write_bytes(pickle.dumps((compile_kernel(func, tuple(types)), args)))
    lines = run(LOADER, cache, *paths).splitlines()
    assert len(lines) == len(cases)
    for line, (_, _, start) in zip(lines, cases, strict=True):
        assert line.startswith(start)


def test_forbidden_compilation(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "add").write_bytes(pickle.dumps(compile_kernel(add, (OUT, IN, IN))))
    source = """
        import pickle, sys
        import numba, numpy as np
        from oocarray import errors, jit
        jit.forbid_compilation()
        entry = jit.load(pickle.load(open(sys.argv[1], "rb")))
        out = np.zeros(1)
        entry(out, np.ones(1), np.ones(1))
        def g(x):
            return x + 1
        tries = [
            lambda: numba.njit(g)(1),
            lambda: numba.vectorize(g)(1),
            lambda: jit.kernel(g)(1),
            lambda: jit.compile_kernel(g, (jit.ScalarArg("int"),)),
        ]
        for attempt in tries:
            try:
                attempt()
            except errors.KernelError as error:
                assert "inside a worker" in str(error)
            else:
                raise SystemExit("compiled")
        print(out[0])
    """
    assert run(source, cache, tmp_path / "add") == "2.0\n"


def test_threads_run_while_a_kernel_runs() -> None:
    def spin(out, n):
        x = 1.0
        for _ in range(n):
            x = x * 1.0000001 + 1e-9
        out[0] = x

    entry = load(compile_kernel(spin, (OUT, ScalarArg("int"))))
    out = np.zeros(1)
    for count in (10**8, 10**9, 4 * 10**9):  # some tenths of a second, where nothing else runs
        worker = threading.Thread(target=entry, args=(out, count))
        worker.start()
        wakes = 0
        while worker.is_alive():
            time.sleep(0.002)
            wakes += 1
        if wakes > 10:
            break
    assert wakes > 10  # with the GIL held it would be one or two


def test_exceptions_arrive() -> None:
    def picky(out, a, n):
        if n > 3:
            raise ValueError("n is too large")
        if n < 0:
            raise OverflowError
        out[0] = a[0] / n

    entry = load(compile_kernel(picky, (OUT, IN, ScalarArg("int"))))
    out = np.zeros(1)
    with pytest.raises(ValueError, match="n is too large"):
        entry(out, np.ones(1), 4)
    with pytest.raises(OverflowError):
        entry(out, np.ones(1), -1)
    entry(out, np.ones(1), 0)  # NumPy's rule: no ZeroDivisionError
    assert out[0] == np.inf


def test_exceptions_arrive_after_linking(tmp_path: Path, cache: Path) -> None:
    def picky(n):
        if n > 3:
            raise ValueError("n is too large", n, 1.5)
        return n

    (tmp_path / "k").write_bytes(pickle.dumps((compile_kernel(picky, (ScalarArg("int"),)), (4,))))
    source = LOADER.replace("result =", "print(end='')\n    try: jit.load(compiled)(*args)\n"
                            "    except ValueError as error: print(error.args); continue\n"
                            "    result =")  # fmt: skip
    assert run(source, cache, tmp_path / "k") == "('n is too large', 4, 1.5)\n"


def test_boundscheck() -> None:
    @jit.kernel(boundscheck=True)
    def beyond(out, n):
        out[n] = 1.0

    entry = load(compile_kernel(beyond, (OUT, ScalarArg("int"))))
    with pytest.raises(IndexError):
        entry(np.zeros(2), 5)
    with pytest.raises(IndexError):
        beyond(np.zeros(2), 5)
    types = (OUT, ScalarArg("int"))
    assert compile_kernel(beyond.func, types).key != compile_kernel(beyond, types).key


# ---------------------------------------------------------------- compile errors


def test_readonly_arrays_cannot_be_stored_to() -> None:
    with pytest.raises(KernelError) as caught:
        compile_kernel(add, (IN, IN, IN))
    text = str(caught.value)
    assert text.startswith("kernel 'add' cannot be compiled for (array(float64, 1d, C, read-only)")
    assert text.endswith("that argument is read-only; write to the output block")
    assert len(text.splitlines()) <= 8
    assert "\x1b" not in text


def test_compile_errors_are_short_and_name_the_kernel() -> None:
    def plain(x):
        return x

    def calls_plain(out, a):
        out[0] = plain(a[0])

    def unknown(out, a):
        out[0] = nowhere(a)  # noqa: F821

    def opens(out, a):
        out[0] = len(a.frobnicate())

    def many(out, *ins):
        out[0] = 1

    with pytest.raises(KernelError, match=r"variable 'plain' .* decorate it with kernel"):
        compile_kernel(calls_plain, (OUT, IN))
    with pytest.raises(KernelError, match=r"(?s)kernel 'unknown'.*'nowhere' is not defined"):
        compile_kernel(unknown, (OUT, IN))
    with pytest.raises(KernelError, match=r"(?s)kernel 'opens'.*frobnicate"):
        compile_kernel(opens, (OUT, IN))
    with pytest.raises(KernelError, match="takes 3 arguments, given 2"):
        compile_kernel(add, (OUT, IN))
    with pytest.raises(KernelError, match="name each one plainly"):
        compile_kernel(many, (OUT, IN))
    with pytest.raises(KernelError, match="plain Python function, not builtin"):
        compile_kernel(len, (IN,))


# ---------------------------------------------------------------- the key


def test_compiled_once_per_process_and_once_per_machine(cache: Path) -> None:
    source = """
        import numpy as np
        from numba.core import compiler
        from oocarray.jit import ArrayArg, compile_kernel, load
        count, real = [0], compiler.Compiler.compile_extra
        def counting(self, func):
            count[0] += func.__name__ == "twice"
            return real(self, func)
        compiler.Compiler.compile_extra = counting
        def twice(out, a):
            for i in range(a.size):
                out[i] = a[i] * 2
        for _ in range(3):
            done = compile_kernel(twice, (ArrayArg("f8", 1, readonly=False), ArrayArg("f8", 1)))
        out = np.zeros(1)
        load(done)(out, np.ones(1))
        print(count[0], out[0], done.key)
    """
    first = run(source, cache, stdin=True).split()
    second = run(source, cache, stdin=True).split()  # from standard input: no file, no source
    assert first[:2] == ["1", "2.0"]
    assert second[:2] == ["0", "2.0"]
    assert first[2] == second[2]
    entry = cache / first[2]
    data = bytearray(entry.read_bytes())
    data[-100] ^= 1
    entry.write_bytes(data)
    third = run(source, cache).split()
    assert third == first  # the damaged entry was not used
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert [path.name for path in cache.iterdir()] == [first[2]]


def test_same_name_and_number_in_two_processes_stay_apart(tmp_path: Path, cache: Path) -> None:
    source = """
        import pickle, sys
        import numba
        from oocarray import jit
        def make(c):
            @numba.njit(inline="never")
            def helper(x):
                for i in range(c):
                    x += len(str(i)) * c
                return x
            @jit.kernel
            def same(x):
                return helper(x)
            return same
        done = jit.compile_kernel(make(int(sys.argv[1])), (jit.ScalarArg("int"),))
        pickle.dump((done, (1,)), open(sys.argv[2], "wb"))
    """
    paths = [tmp_path / "3", tmp_path / "5"]
    for path in paths:
        run(source, cache, path.name, path)
    assert run(LOADER, cache, *paths) == "same 10 []\nsame 26 []\n"


def test_a_changed_global_changes_the_key_and_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    out = np.zeros(1)
    before = compile_kernel(scale, (OUT, IN))
    load(before)(out, np.ones(1))
    assert out[0] == 3.0
    monkeypatch.setitem(globals(), "FACTOR", 4.0)
    after = compile_kernel(scale, (OUT, IN))
    assert after.key != before.key
    load(after)(out, np.ones(1))
    assert out[0] == 4.0
    load(before)(out, np.ones(1))
    assert out[0] == 3.0


def test_keys_tell_values_apart() -> None:
    point = namedtuple("point", "x y")
    values = [
        1, 1.0, True, 0.0, -0.0, math.nan, "1", b"1", None, 1j, (1,), (1, 2), ((1,), 2),
        point(1, 2), np.float32(1), np.float64(1), np.zeros(2), np.ones(2), np.zeros((1, 2)),
        np.zeros(2, "f4"), np.asfortranarray(np.zeros((2, 2))), np.zeros((2, 2)), np.dtype("f8"),
        numba.float64, numba.float32, math.sin, math.cos, np.sin, np.cos, np.random.random, int,
        ValueError, half, fibonacci, math, np,
    ]  # fmt: skip
    keys = [key_of(with_globals(FACTOR=value)) for value in values]
    assert len(set(keys)) == len(values)
    assert keys == [key_of(with_globals(FACTOR=value)) for value in values]


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ({}, "dict"),
        ([1], "list"),
        (object(), "object"),
        (lambda x: x, "decorate it"),
        (np.zeros(2, object), "fixed-size dtype"),
        (np.zeros(200_000), "1,600,000 bytes, more than the 1,000,000"),
        (numba.njit(parallel=True)(lambda x: x), "parallel=True"),
        (pytest, None),
        (textwrap, None),
    ],
)
def test_globals_without_content_are_refused(value: object, word: str | None) -> None:
    if word is None:  # modules with a version are fine
        assert key_of(with_globals(FACTOR=value))
        return
    with pytest.raises(KernelError, match=word) as caught:
        key_of(with_globals(FACTOR=value))
    assert "'FACTOR'" in str(caught.value) or "parallel" in str(caught.value)


def test_closures_nested_code_and_helpers_are_in_the_key() -> None:
    def closure(c):
        def inner(out, a):
            out[0] = sum([c * x for x in a])

        return inner

    def helped(c):
        @numba.njit
        def helper(x):
            return x * c

        @jit.kernel
        def outer(out, a):
            out[0] = helper(a[0])

        return outer

    for make in (closure, helped):
        kernels = [make(2.0), make(2.0), make(5.0)]
        done = [compile_kernel(made, (OUT, IN)) for made in kernels]
        assert done[0].key == done[1].key != done[2].key
        out = np.zeros(1)
        load(done[0])(out, np.ones(1))
        assert out[0] == 2.0
        load(done[2])(out, np.ones(1))
        assert out[0] == 5.0


def test_module_attributes_are_keyed_by_value(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "settings_of_test_jit.py").write_text("LIMIT = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    import settings_of_test_jit as settings

    def limited(out, a):
        out[0] = settings.LIMIT + np.sin(np.pi) * 0

    keys = []
    for limit in (1, 2, 1):
        monkeypatch.setattr(settings, "LIMIT", limit)
        keys.append(compile_kernel(limited, (OUT, IN)).key)
    assert keys[0] == keys[2] != keys[1]


def test_argument_types_are_in_the_key() -> None:
    types = [ArrayArg("f8", 1), ArrayArg("f4", 1), ArrayArg("f8", 1, "A"), ArrayArg("f8", 2)]
    types += [ArrayArg("f8", 1, aligned=False), ArrayArg("f8", 1, readonly=False)]

    def size(a):
        return a.size

    assert len({compile_kernel(size, (kind,)).key for kind in types}) == len(types)


# ---------------------------------------------------------------- sources and the cache folder


def test_functions_from_exec() -> None:
    func = with_globals(FACTOR=7.0)
    out = np.zeros(1)
    load(compile_kernel(func, (OUT, IN)))(out, np.ones(1))
    assert out[0] == 7.0


def test_kernel_objects() -> None:
    assert fibonacci.__name__ == "fibonacci"
    assert fibonacci.__wrapped__ is fibonacci.func
    assert fibonacci(10) == 55
    copy = pickle.loads(cloudpickle.dumps(fibonacci))
    assert copy(10) == 55
    assert key_of(copy.func) == key_of(fibonacci.func)
    with pytest.raises(KernelError, match="plain Python function"):
        jit.kernel(len)


@pytest.mark.parametrize("broken", ["unset", "empty", "file", "shared", "missing home"])
def test_without_a_usable_folder_kernels_still_compile(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OOCARRAY_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    if broken == "unset":
        assert kernelcache.cache_folder() == str(tmp_path / "xdg" / "oocarray")
        return
    if broken == "empty":
        monkeypatch.setenv("OOCARRAY_CACHE", "")
    if broken == "file":
        (tmp_path / "xdg").write_text("")
    if broken == "shared":
        (tmp_path / "xdg" / "oocarray").mkdir(parents=True)
        (tmp_path / "xdg" / "oocarray").chmod(0o777)
    if broken == "missing home":
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setenv("HOME", "/proc/none")
    assert kernelcache.cache_folder() is None
    kernelcache.write_entry("k", b"x")
    assert kernelcache.read_entry("k") is None


def test_cache_entries_round_trip(cache: Path) -> None:
    kernelcache.write_entry("k", b"some code")
    assert kernelcache.read_entry("k") == b"some code"
    (cache / "k").write_bytes((cache / "k").read_bytes()[:-1])
    assert kernelcache.read_entry("k") is None
