"""What pieces in many files have in common: those used last stay open; it reads no element."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import numpy as np

from oocarray.errors import InputChangedError
from oocarray.storage.draft import Draft
from oocarray.storage.filekey import FileKey
from oocarray.storage.zarrfolder import ChunkFolder

if TYPE_CHECKING:
    from oocarray.storage.zarrrecord import ZarrArray

__all__ = ["FilePieces", "OpenFiles"]

_MOST_OPEN = 32
_IN_HAND = 4  # for each thread
_MOST_THREADS = 64
_MOST_REMEMBERED = 100_000  # about 20 MB


class _HasFile(Protocol):
    fd: int


T = TypeVar("T", bound=_HasFile)


class OpenFiles(Generic[T]):
    """What was opened last, by its coordinates; what was not used for longest is closed.

    The last few that each thread was given stay open whatever the others do: the number of a
    closed file is soon another file's, from which a thread that was slow would read.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._items: OrderedDict[tuple[int, ...], T] = OrderedDict()
        self._hands: OrderedDict[int, deque[T]] = OrderedDict()

    def get(self, coords: tuple[int, ...]) -> T | None:
        item = self._items.get(coords)
        if item is not None:
            self._items.move_to_end(coords)
            self._hold(item)
        return item

    def add(self, coords: tuple[int, ...], item: T) -> T:
        """Keep what was opened."""
        assert coords not in self._items, coords
        self._items[coords] = item
        self._hold(item)
        self.shrink(self._most)
        return item

    def shrink(self, most: int) -> bool:
        """Close all but the `most` used last, and those in hand; tell whether that closed any."""
        over = len(self._items) - most
        if over <= 0:
            return False
        in_hand = {id(item) for hand in self._hands.values() for item in hand}
        # The oldest come first: mostly the first one looked at is closed.
        idle = list(
            islice((at for at, item in self._items.items() if id(item) not in in_hand), over)
        )
        for coords in idle:
            os.close(self._items.pop(coords).fd)
        return bool(idle)

    def close(self) -> None:
        self._hands.clear()
        with contextlib.ExitStack() as closing:
            while self._items:
                closing.callback(os.close, self._items.popitem()[1].fd)

    def _hold(self, item: T) -> None:
        thread = threading.get_ident()
        hand = self._hands.get(thread)
        if hand is None:
            hand = self._hands[thread] = deque(maxlen=_IN_HAND)
            if len(self._hands) > _MOST_THREADS:
                self._hands.popitem(last=False)  # of one that has ended, most likely
        if not hand or hand[-1] is not item:
            hand.append(item)


class FilePieces(Generic[T]):
    """What the pieces of an array in many files have in common; its parts hold the lock.

    Parameters
    ----------
    array : ZarrArray
    writable : bool
        Whether pieces may be made, here or by other processes of the same run.  If not, a file
        that is opened again must be as it was.
    counts : tuple of int
        How many pieces there are along each axis.
    most : int
        How many files may be open, if the process may open as many.
    """

    def __init__(
        self, array: ZarrArray, writable: bool, counts: tuple[int, ...], most: int = _MOST_OPEN
    ) -> None:
        self._array, self._writable, self._counts = array, writable, counts
        self._lock = threading.Lock()
        allowed = os.sysconf("SC_OPEN_MAX")
        # Two threads look at what was opened last, and arrays share what the process may open.
        kept = max(min(most, allowed // 8 if allowed > 0 else most), 4)
        self._files: OpenFiles[T] = OpenFiles(kept)
        self._known: dict[str, int] = {}
        self._made: set[str] = set()
        self._too_many_made = False
        self._folder = ChunkFolder(array.file, array.folder, kept)

    def put(self, coords: tuple[int, ...], block: np.ndarray[Any, Any]) -> None:
        """Never called: pieces that lie in files as they are, are made and stored into."""
        raise AssertionError(f"piece {coords} of {self._array.folder} is not encoded")

    def sync(self) -> None:
        """Have all pieces that were made or asked for by `make` on the disk, and their names."""
        with self._lock:
            keys, folders = sorted(self._made), sorted(self._folder.made)
        if self._too_many_made:
            os.sync()
            return
        for key in keys:
            with self._lock:
                fd = self._open_file(key, writable=True)
            if fd is None:
                raise InputChangedError(
                    f"{self._folder.name(key)} is gone: this run has written it"
                )
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        for key in folders:
            with self._lock:
                self._folder.sync(key)

    def close(self) -> None:
        """Close all files.  Harmless twice."""
        with self._lock:
            self._files.close()
            self._folder.close()

    def _check_coords(self, coords: tuple[int, ...]) -> None:
        inside = len(coords) == len(self._counts)
        for at, count in zip(coords, self._counts, strict=False):
            inside = inside and 0 <= at < count
        # A key made of a wrong place would be missing, and read as the fill value.
        assert inside, f"no piece {coords} in a grid of {self._counts} of {self._array.folder}"

    def _open_file(self, key: str, writable: bool) -> int | None:
        try:
            return self._folder.open(key, writable)
        except OSError as error:
            if error.errno != errno.EMFILE or not self._files.shrink(4):
                raise
        return self._folder.open(key, writable)

    def _file_key(self, key: str, fd: int, now: os.stat_result) -> FileKey:
        """As ``FileKey.of``, but for when it was made: asking takes as long as opening it."""
        path = self._folder.name(key)
        return FileKey(path, now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns)

    @contextlib.contextmanager
    def _opened(self, key: str) -> Iterator[tuple[int, os.stat_result, bool] | None]:
        """Open a file for a piece: descriptor, state, whether it may be changed.

        It is closed if what is done with it fails.
        """
        fd, changeable = None, self._writable
        try:
            fd = self._open_file(key, changeable)
        except OSError as error:
            if not changeable or error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            # It may still be read; `make` says why it cannot be changed.
            fd, changeable = self._open_file(key, False), False
        if fd is None:
            if key in self._known:
                raise InputChangedError(f"{self._folder.name(key)} was removed while it was read")
            yield None
            return
        try:
            yield fd, os.fstat(fd), changeable
        except BaseException:
            os.close(fd)
            raise

    def _remember(self, key: str, now: os.stat_result, *parts: int) -> None:
        """Raise InputChangedError if a file is another than when it was opened before."""
        # Numbers instead of tuples: there are many.
        state = hash((now.st_dev, now.st_ino, *parts))
        if self._known.setdefault(key, state) != state:
            raise InputChangedError(
                f"{self._folder.name(key)} was changed or replaced after it was opened; open the "
                "array again"
            )
        if len(self._known) > _MOST_REMEMBERED:
            del self._known[next(iter(self._known))]

    def _will_change(self, key: str) -> None:
        """Remember what `sync` has to write."""
        if key not in self._made:
            if len(self._made) >= _MOST_REMEMBERED:
                self._too_many_made = True
            else:
                self._made.add(key)

    def _require_changeable(self, key: str, changeable: bool) -> None:
        """Raise why a file could be opened for reading only."""
        assert self._writable, key
        if not changeable:
            fd = self._open_file(key, writable=True)
            if fd is not None:
                os.close(fd)
            raise PermissionError(errno.EACCES, "may only be read", self._folder.name(key))

    def _make_file(self, key: str, nbytes: int, complete: Callable[[Draft], None]) -> None:
        """Make a file that is missing, complete from the moment it has a name."""
        try:
            self._folder.make(key, nbytes, complete)
        except OSError as error:
            if error.errno != errno.EMFILE or not self._files.shrink(4):
                raise
            self._folder.make(key, nbytes, complete)
