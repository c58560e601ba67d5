"""Holds the package's source against its rules on imports, calls and sizes; runs none of it.

The rules read a package's files with ``ast`` and return offences as sentences.  Each is applied
to oocarray, and first to tiny packages that break it, so that a rule that sees nothing is found.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Imports go down, or stay on their floor.  A new module goes on the lowest floor that holds
# everything it imports.
FLOORS = (
    {"errors", "units", "grid", "walks", "batching", "chunking", "amplification"}
    | {"pages", "storage"},
    {"plan", "program", "regions", "overlaps", "validate", "estimate", "budget"}
    | {"jit", "linking", "machine", "vectormath", "kernels", "leaves", "operations", "fusing"},
    {"runtime", "observe", "bar", "notebook", "held", "meter"},
    {"lazy"},
    {"backends"},
    {
        "assigning",
        "masking",
        "blocked",
        "indexing",
        "lifting",
        "linalg",
        "namespace",
        "operators",
        "scalars",
        "shaped",
    }
    | {
        "core",
        "methods",
        "opening",
        "wrapping",
        "fromdask",
        "creating",
        "decoding",
        "mapping",
        "storing",
        "reducing",
        "config",
        "explain",
        "loops",
    }
    | {
        "updating",
        "stored",
        "appending",
        "iterating",
        "ordering",
        "futures",
        "persisting",
        "described",
        "targets",
        "comparison",
        "comparisoncache",
        "comparisonchart",
        "comparisondiff",
        "comparisonrun",
        "comparisontable",
    }
    | {"__init__", "functions", "extremes", "nanfunctions", "histograms", "summary", "trials"}
    | {"showing", "drawing"},
    {"cli", "reporting", "demo", "demochecks", "landscape", "__main__"},
)
FLOOR_OF = {name: floor for floor, names in enumerate(FLOORS) for name in names}

# Within a floor: numbers know nothing of files, bytes know nothing of arrays, and the scheduler
# calls observers without knowing them.
NOT_BESIDE = {
    **{name: {"pages", "storage"} for name in FLOORS[0] - {"pages", "storage"}},
    "pages": {"storage"},
    "runtime": {"observe", "bar", "notebook", "held", "meter"},
    **{name: {"runtime"} for name in ("observe", "bar", "notebook", "held", "meter")},
}

# Who may import what from outside; "lazily" means inside a function.
HOMES = {
    "ctypes": {"pages": "anywhere"},
    "mmap": {"pages": "anywhere"},
    "fcntl": {"pages": "anywhere"},
    "numba": dict.fromkeys(("jit", "linking", "machine", "vectormath"), "anywhere"),
    "llvmlite": dict.fromkeys(("jit", "linking", "machine", "vectormath"), "anywhere"),
    "zarr": {"backends": "anywhere", "storage": "lazily"},
    "dask": {"backends": "anywhere", "fromdask": "lazily"},
    "h5py": {"storage": "lazily"},
}

PRINTING = {"cli", "demo", "reporting"}

# Calls that run what they read.  Data of a file must never reach one.
LOADERS = re.compile(
    r"(pickle|_pickle|cloudpickle|marshal|dill|joblib|shelve)\.(load|loads|Unpickler|open)"
    r"|(builtins\.)?(eval|exec)"
)
MAY_LOAD = {
    "runtime.channel": r"pickle\.|cloudpickle\.",
    "runtime": r"cloudpickle\.",
    "linking": r"pickle\.",
    "kernels.cache": r"pickle\.|marshal\.",
    "fusing.source": r"exec",
}

MODULE_LINES = 350
BODY_LINES = 60
# Module, or module:function, to the lines it may have; say beside it why it is one idea.
LARGER: dict[str, int] = {
    # One loop over tiles, compiled as a whole: its lanes are to stay in registers and cache.
    "oocarray.leaves.stats:moments": 90,
    "oocarray.leaves.stats:moments.update": 86,
}


@dataclass(frozen=True)
class Import:
    """One name that a module imports: ``oocarray.grid``, ``numpy.linalg``."""

    name: str
    line: int
    lazy: bool


@dataclass(frozen=True)
class Module:
    """One source file of a package, and where its imports lead."""

    package: Path
    path: Path

    @property
    def inside(self) -> tuple[str, ...]:
        """Name within the package: ``("lazy", "expr")``; the package itself is ``()``."""
        parts = self.path.relative_to(self.package).with_suffix("").parts
        return parts[:-1] if parts[-1] == "__init__" else parts

    @property
    def name(self) -> str:
        return ".".join((self.package.name, *self.inside))

    @property
    def top(self) -> str:
        return self.inside[0] if self.inside else "__init__"

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, str(self.path))

    def within(self, home: str) -> bool:
        """Whether this module is `home`, or lies in the sub-package of that name."""
        dotted = ".".join(self.inside)
        return dotted == home or dotted.startswith(home + ".")

    def imports(self) -> list[Import]:
        return list(self._imports(self.tree, lazy=False))

    def _imports(self, node: ast.AST, lazy: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, lazy)
        elif isinstance(node, ast.ImportFrom):
            base = self._base(node)
            for alias in node.names:
                yield Import(f"{base}.{alias.name}", node.lineno, lazy)
        elif isinstance(node, ast.Call) and _dotted(node.func) in _IMPORTERS and node.args:
            target = node.args[0]
            if isinstance(target, ast.Constant) and isinstance(target.value, str):
                yield Import(target.value, node.lineno, lazy)
        children = ast.iter_child_nodes(node)
        if isinstance(node, ast.If) and _dotted(node.test) in _FOR_TYPES:
            children = iter(node.orelse)
        lazy = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in children:
            yield from self._imports(child, lazy)

    def _base(self, node: ast.ImportFrom) -> str:
        """The absolute name of what stands between ``from`` and ``import``."""
        if not node.level:
            return node.module or ""
        here = self.name.split(".")
        if self.path.name != "__init__.py":
            here = here[:-1]
        here = here[: len(here) - node.level + 1]
        return ".".join((*here, *filter(None, [node.module])))

    def target(self, name: str) -> str | None:
        """Top-level module that an imported name leads to; None outside the package."""
        first, _, rest = name.partition(".")
        if first != self.package.name:
            return None
        top = rest.partition(".")[0]
        known = top in FLOOR_OF or (self.package / top).is_dir()
        # What is no module is an attribute, which only the package's __init__ can have; but
        # a dotted name below it can only have been meant as a module.
        if top and (known or (self.package / f"{top}.py").exists() or "." in rest):
            return top
        return "__init__"


_IMPORTERS = {"importlib.import_module", "import_module", "__import__"}
_FOR_TYPES = {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def _dotted(node: ast.AST) -> str:
    """``a.b.c`` of a name or of attributes of a name, else nothing."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (value := _dotted(node.value)):
        return f"{value}.{node.attr}"
    return ""


def _modules(package: Path) -> list[Module]:
    return [Module(package, path) for path in sorted(package.rglob("*.py"))]


def strangers(package: Path) -> list[str]:
    """Modules that stand on no floor."""
    return sorted(
        {
            f"{package.name}.{module.top} is on no floor: add it to FLOORS in "
            "tests/test_floors.py, on the lowest floor that holds everything it imports"
            for module in _modules(package)
            if module.top not in FLOOR_OF
        }
    )


def upward(package: Path) -> list[str]:
    """Imports from a lower floor into a higher one, or across a wall within a floor."""
    offences = []
    for module in _modules(package):
        here = FLOOR_OF.get(module.top)
        for found in module.imports():
            target = module.target(found.name)
            if target is None or here is None:
                continue
            there = FLOOR_OF.get(target)
            what = f"{module.name}:{found.line} (floor {here}) imports {package.name}.{target}"
            if there is None:
                offences.append(f"{what}, which is on no floor")
            elif there > here:
                offences.append(f"{what} (floor {there}): imports go down only")
            elif target in NOT_BESIDE.get(module.top, ()):
                offences.append(f"{what}: {module.top} must not know {target}")
    return list(dict.fromkeys(offences))


def homeless(package: Path) -> list[str]:
    """Imports of libraries and system interfaces outside the modules that own them."""
    offences = []
    for module in _modules(package):
        for found in module.imports():
            library = found.name.partition(".")[0]
            if library not in HOMES:
                continue
            allowed = [how for home, how in HOMES[library].items() if module.within(home)]
            what = f"{module.name}:{found.line} imports {library}"
            if not allowed:
                offences.append(f"{what}, which belongs in {', '.join(HOMES[library])}")
            elif "anywhere" not in allowed and not found.lazy:
                offences.append(f"{what} at its top: do so inside the function that needs it")
    return offences


def printing(package: Path) -> list[str]:
    """Calls of ``print`` outside the surfaces."""
    return [
        f"{module.name}:{node.lineno} prints; only {', '.join(sorted(PRINTING))} may"
        for module in _modules(package)
        if module.top not in PRINTING
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and _dotted(node.func) == "print"
    ]


def undocumented(package: Path) -> list[str]:
    """Modules without a docstring whose first paragraph holds a whole sentence."""
    offences = []
    for module in _modules(package):
        doc = ast.get_docstring(module.tree)
        if not doc:
            offences.append(f"{module.name} has no docstring")
        elif not re.search(r"[.!?][)\"'`]*(\s|$)", doc.split("\n\n")[0]):
            offences.append(f"{module.name}: its docstring's first paragraph ends no sentence")
    return offences


def loading(package: Path) -> list[str]:
    """Calls that could run code found in data, outside the modules trusted with their own."""
    offences = []
    for module in _modules(package):
        names = _aliases(module.tree)
        allowed = [pattern for home, pattern in MAY_LOAD.items() if module.within(home)]
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.Call):
                continue
            first, dot, rest = _dotted(node.func).partition(".")
            called = names.get(first, first) + dot + rest
            if LOADERS.fullmatch(called) and not any(re.match(p, called) for p in allowed):
                offences.append(f"{module.name}:{node.lineno} calls {called}")
            unsafe = [word for word in node.keywords if word.arg == "allow_pickle"]
            if any(getattr(word.value, "value", True) is not False for word in unsafe):
                offences.append(f"{module.name}:{node.lineno} allows pickles")
    return offences


def _aliases(tree: ast.Module) -> dict[str, str]:
    """What imported names stand for: ``loads`` for ``pickle.loads``, ``p`` for ``pickle``."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update({a.asname: a.name for a in node.names if a.asname})
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.update({a.asname or a.name: f"{node.module}.{a.name}" for a in node.names})
    return names


def sizes(package: Path) -> Iterator[tuple[str, int, int]]:
    """Each module and each function's body: name, lines, lines it may have."""
    for module in _modules(package):
        yield module.name, len(module.text.splitlines()), MODULE_LINES
        for name, node in _functions(module.tree, ""):
            body = node.body
            if ast.get_docstring(node, clean=False) is not None:
                body = body[1:]
            lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            yield f"{module.name}:{name}", lines, BODY_LINES


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.FunctionDef]]:
    for child in ast.iter_child_nodes(node):
        name = prefix
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            name = f"{prefix}.{child.name}".lstrip(".")
            if not isinstance(child, ast.ClassDef):
                yield name, child
        yield from _functions(child, name)


def oversized(package: Path) -> list[str]:
    """Modules and bodies that have grown into more than one idea."""
    return [
        f"{name} has {lines} lines, over {LARGER.get(name, most)}: it wants to become two ideas"
        for name, lines, most in sizes(package)
        if lines > LARGER.get(name, most)
    ]


RULES = [strangers, upward, homeless, printing, undocumented, loading, oversized]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps_the_rule(rule: Callable[[Path], list[str]]) -> None:
    offences = rule(ROOT / "oocarray")
    assert not offences, "\n".join(["", *offences])


def test_every_module_is_looked_at() -> None:
    names = {module.name for module in _modules(ROOT / "oocarray")}
    assert {"oocarray", "oocarray.errors", "oocarray.units"} <= names


def test_exceptions_to_the_sizes_are_still_needed() -> None:
    over = {name for name, lines, most in sizes(ROOT / "oocarray") if lines > most}
    assert set(LARGER) <= over, "no longer over the limit: take it out of LARGER"


@pytest.fixture
def package(tmp_path: Path) -> Callable[[dict[str, str]], Path]:
    """Factory of a package ``oocarray`` from the text of its modules."""

    def make(files: dict[str, str]) -> Path:
        root = tmp_path / "oocarray"
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return root

    return make


@pytest.mark.parametrize(
    ("path", "text", "target"),
    [
        ("grid.py", "import oocarray.plan", "plan"),
        ("grid.py", "from oocarray.plan import Plan", "plan"),
        ("grid.py", "from oocarray import plan", "plan"),
        ("grid.py", "from . import plan", "plan"),
        ("grid.py", "from .plan import Plan", "plan"),
        ("grid.py", "from oocarray import map_blocks", "__init__"),
        ("grid.py", "import oocarray", "__init__"),
        ("pages/calls.py", "from ..plan import Plan", "plan"),
        ("pages/__init__.py", "from ..plan import Plan", "plan"),
        ("pages/__init__.py", "from .. import plan", "plan"),
        ("lazy/expr.py", "def f():\n    from oocarray.core import Array", "core"),
        ("runtime/pool.py", "class A:\n    def f(self):\n        import oocarray.lazy", "lazy"),
        ("storage/npy.py", "import importlib\nimportlib.import_module('oocarray.jit')", "jit"),
        ("core.py", "if TYPE_CHECKING:\n    pass\nelse:\n    import oocarray.cli", "cli"),
    ],
)
def test_an_upward_import_is_named(package, path: str, text: str, target: str) -> None:
    (offence,) = upward(package({path: text}))
    module = "oocarray." + path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    assert offence.startswith(f"{module}:")
    assert f" imports oocarray.{target} (floor {FLOOR_OF[target]}): imports go down" in offence


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("plan.py", "from oocarray.grid import Grid"),
        ("storage/npy.py", "from oocarray.pages import calls\nfrom . import layout"),
        ("storage/npy.py", "import numpy as np\nfrom dataclasses import dataclass"),
        ("leaves.py", "from oocarray.jit import ArrayArg"),
        ("grid.py", "if TYPE_CHECKING:\n    from oocarray.core import Array"),
        ("grid.py", "import typing\nif typing.TYPE_CHECKING:\n    import oocarray"),
        ("cli.py", "import oocarray as oo\nfrom oocarray import map_blocks, pages"),
        ("lazy/__init__.py", "from . import expr\nfrom .expr import Node"),
    ],
)
def test_a_level_or_downward_import_passes(package, path: str, text: str) -> None:
    assert upward(package({path: text})) == []


@pytest.mark.parametrize(
    ("path", "text", "sentence"),
    [
        ("grid.py", "import oocarray.storage.npy", "grid must not know storage"),
        ("units.py", "from oocarray import pages", "units must not know pages"),
        ("pages/calls.py", "from oocarray.storage import npy", "pages must not know storage"),
        ("runtime/pool.py", "from oocarray import observe", "runtime must not know observe"),
        ("cli.py", "import oocarray.nowhere.deep", "oocarray.nowhere, which is on no floor"),
    ],
)
def test_walls_within_a_floor(package, path: str, text: str, sentence: str) -> None:
    (offence,) = upward(package({path: text}))
    assert sentence in offence


def test_an_unknown_module_is_told_where_to_go(package) -> None:
    root = package({"errors.py": "", "novel.py": "", "odd/a.py": "", "odd/b.py": ""})
    novel, odd = strangers(root)
    assert novel.startswith("oocarray.novel is on no floor: add it to FLOORS in tests/test_floors")
    assert odd.startswith("oocarray.odd is on no floor")


@pytest.mark.parametrize(
    ("path", "text", "offends"),
    [
        ("pages/calls.py", "import ctypes.util, mmap, fcntl", False),
        ("storage/files.py", "def f():\n    import fcntl", True),
        ("jit.py", "from numba.core import types", False),
        ("leaves.py", "import numba", True),
        ("backends/dask.py", "import dask.array", False),
        ("storage/zarr.py", "import zarr", True),
        ("storage/zarr.py", "def f():\n    import zarr", False),
        ("storage/hdf5.py", "import h5py", True),
        ("storage/hdf5.py", "def f():\n    import h5py", False),
        ("core.py", "def f():\n    from dask.array import Array", True),
        ("core.py", "if TYPE_CHECKING:\n    from dask.array import Array", False),
        ("backends/zarr.py", "from . import dask", False),
    ],
)
def test_libraries_keep_to_their_homes(package, path: str, text: str, offends: bool) -> None:
    assert len(homeless(package({path: text}))) == offends


def test_print_is_for_surfaces(package) -> None:
    root = package({"cli.py": "print(1)", "plan.py": "def f():\n    '''print(2)'''\n    print(3)"})
    assert printing(root) == ["oocarray.plan:3 prints; only cli, demo, reporting may"]


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ('"""Cuts grids; reads nothing."""', True),
        ('"""Cuts grids\nin two lines.\n\nMore."""', True),
        ('"""Cuts grids\n\nMore text."""', False),
        ("x = 1", False),
        ("", False),
    ],
)
def test_docstrings_open_with_a_sentence(package, text: str, passes: bool) -> None:
    assert (undocumented(package({"grid.py": text})) == []) == passes


@pytest.mark.parametrize(
    ("path", "text", "calls"),
    [
        ("storage/npy.py", "import pickle\npickle.loads(b'')", "pickle.loads"),
        ("storage/npy.py", "from pickle import load as get\nget(f)", "pickle.load"),
        ("storage/npy.py", "import marshal as m\nm.loads(b'')", "marshal.loads"),
        ("storage/npy.py", "ast.literal_eval('1')\nx.eval()\npickle.dumps(1)", ""),
        ("plan.py", "eval('1')", "eval"),
        ("lazy/expr.py", "exec('1')", "exec"),
        ("runtime/channel.py", "import pickle\npickle.loads(b'')", ""),
        ("runtime/pool.py", "import pickle\npickle.loads(b'')", "pickle.loads"),
        ("runtime/pool.py", "import cloudpickle\ncloudpickle.loads(b'')", ""),
        ("kernels/cache.py", "import pickle\npickle.loads(b'')", ""),
    ],
)
def test_data_is_never_run(package, path: str, text: str, calls: str) -> None:
    offences = loading(package({path: text}))
    assert [offence.rpartition(" ")[2] for offence in offences] == [calls] * bool(calls)


def test_numpy_may_not_load_pickles(package) -> None:
    assert loading(package({"core.py": "np.load(p, allow_pickle=False)"})) == []
    (offence,) = loading(package({"core.py": "np.load(p, allow_pickle=True)"}))
    assert offence == "oocarray.core:1 allows pickles"


def test_growth_is_noticed(package) -> None:
    def body(lines: int) -> str:
        return "".join("    x = 1\n" for _ in range(lines))

    doc = '    """A docstring\n\n    that does not count.\n    """\n'
    root = package(
        {
            "plan.py": "\n" * MODULE_LINES + "x = 1\n",
            "grid.py": f"def f():\n{doc}{body(60)}\nclass A:\n    pass\n",
            "jit.py": f"def outer():\n{body(2)}\n    def f():\n"
            + "".join(f"    {line}\n" for line in body(61).splitlines()),
        }
    )
    assert [offence.split(":  ")[0].split(",")[0] for offence in oversized(root)] == [
        "oocarray.jit:outer has 65 lines",
        "oocarray.jit:outer.f has 61 lines",
        "oocarray.plan has 351 lines",
    ]
