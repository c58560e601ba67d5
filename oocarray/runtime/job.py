"""What a worker is told: one stage to work on, and what it answers; records without behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from ..pages.tuning import DEFAULT, Tuning
from ..plan import OnError, Stage, Task
from ..storage.layout import FileKey
from .beats import Beat

__all__ = ["Answer", "Died", "Failure", "Job", "Logged", "Partial", "Said", "Warned", "When"]


When = Literal["before", "in", "after"]


@dataclass(frozen=True, slots=True)
class Job:
    """One stage, with all that it needs but the open files.

    The stage's kernel travels apart: the thread that brings pages in needs the stage at
    once, while the user's functions may take a second to import.
    """

    number: int
    stage: Stage
    """Its ``kernel`` is None; sources are on files (or in memory, within one process)."""
    kernel: Any
    """The program, or its pickle by cloudpickle (bytes)."""
    files: tuple[tuple[FileKey, bool], ...]
    """Files in the order in which their descriptors come; whether each is for writing."""
    policy: Literal["resident", "stream"]
    spare: int = 0
    """Bytes of mappings from earlier runs that may stay beside those of this one."""
    drop: bool = False
    """Whether what the run brings into the page cache goes with it."""
    keep: bool = False
    """Whether mappings of whole inputs outlive the run, for the next one."""
    errstate: Mapping[str, Any] = field(default_factory=dict)
    path: tuple[str, ...] = ()
    """The coordinator's ``sys.path``: modules are found by name."""
    folder: str = ""
    environ: Mapping[str, str] = field(default_factory=dict)
    """The coordinator's environment."""
    fresh: tuple[int, ...] = ()
    """Numbers of the writes whose targets were zeros when the stage began."""
    old: tuple[int, ...] = ()
    """Numbers of the writes into arrays in pieces whose blocks may leave elements as they were."""
    on_error: OnError = "raise"
    fill_value: Any = None
    log_level: int = 30
    """Log records below it are wanted by nobody."""
    tuning: Tuning = DEFAULT


class Partial(NamedTuple):
    """What one item yields for one write: leaf ranges per axis, and the partials."""

    write: int
    box: tuple[range, ...]
    value: Any


@dataclass(frozen=True, slots=True)
class Failure:
    """What a task raised, and its text with the traceback."""

    exception: Any
    """The exception; on its way between processes its pickle."""
    text: str
    block: tuple[int, ...] | None
    notes: tuple[str, ...] = ()
    """What was added to the exception by ``add_note``: its own pickle may forget it."""
    when: When = "in"
    """Before the function was called for any block of the task, in `block`, or after the last."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A task is done: its bytes are where the policy wants them, its pages are let go."""

    worker: int
    task: Task
    partials: tuple[Partial, ...] = ()
    failure: Failure | None = None
    cancelled: bool = False
    seconds: float = 0.0
    """Time in the kernel."""
    kept_bytes: int = 0
    """Bytes of windows that the user's function still looks at."""
    failed: tuple[tuple[tuple[int, ...], str], ...] = ()
    """Blocks whose function raised, which the run goes on without; and what it raised."""
    flags: tuple[str, ...] = ()
    """What NumPy would have warned of in operations."""


@dataclass(frozen=True, slots=True)
class Said:
    """A line that the user's function printed."""

    stream: Literal["stdout", "stderr"]
    text: str
    block: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Warned:
    """A warning that the user's function, or NumPy in it, gave."""

    message: str
    category: Any
    """The class of the warning; on its way between processes its pickle."""
    filename: str
    lineno: int
    block: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Logged:
    """A log record of the user's function."""

    name: str
    level: int
    text: str
    path: str
    line: int
    block: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Died:
    """A worker process ended."""

    worker: int
    pid: int
    status: int | None
    """As of ``os.waitpid``; None if it could not be learnt."""
    beat: Beat
    """What it was at."""
    said: str = ""
    """What it wrote when it ended: where it was, or why."""
    protest: str = ""
    """Why it was ended by its coordinator, if it was."""
    server: tuple[int, int] | None = None
    """Process id and return code of the server of all workers, if that had ended first."""

    @property
    def stage(self) -> int:
        """Number of the job that it was at, or -1."""
        return self.beat.job

    @property
    def item(self) -> int:
        """The item that it last began, or -1."""
        return self.beat.item
