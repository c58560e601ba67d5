"""The engine of a stage whose blocks leave by ``pwrite`` or with the answer; it maps no output."""

from __future__ import annotations

from typing import Any

from ...grid import Region
from ...pages import calls
from ...plan import Blocks, Task
from ...program import Call, Pick, calls_in
from ...storage.layout import Strided
from ...storage.tiled import Tiled
from ...walks import boxes, hull
from ..engine import Engine
from ..lending import Reader
from .placing import KeptWriter, PlacedTiles, PlacedWriter

__all__ = ["RemoteEngine"]


class RemoteEngine(Engine):
    """As its base, for workers that share a file system and no memory."""

    def _writer(self, number: int, write: Blocks) -> Any:
        target = write.target
        value = self.job.kernel.values[number]
        call = value.call if isinstance(value, Pick) else value
        # What is returned is stored whole; what is filled by a function may be filled in part.
        partly = isinstance(call, Call) and call.form != "block"
        # Only such a function, or a block that is skipped, leaves anything as it was.
        skipped = self.job.on_error == "skip" and bool(calls_in([value]))
        old = number not in self.job.fresh and (partly or skipped)
        if isinstance(target, Tiled):
            return PlacedTiles(target, write.grid, self._pieces(target.table), old)
        if isinstance(target, Strided) and target.size:
            return PlacedWriter(target, write.grid, self.files, old, partly)
        return KeptWriter(target, write.grid)

    @property
    def lasting(self) -> bool:
        """Whether it can serve several tasks; what writes pieces syncs all that it ever wrote."""
        return not any(isinstance(writer, PlacedTiles) for writer in self._writers.values())

    def made(self) -> list[tuple[int, Any, Any]]:
        """What goes back with the answer: number of the write, coordinates, block."""
        found: list[tuple[int, Any, Any]] = []
        for number, writer in self._writers.items():
            if isinstance(writer, KeptWriter):
                found += [(number, coords, block) for coords, block in writer.made]
                writer.made.clear()
        return found

    def drop(self, task: Task) -> None:
        """Let go of the cached pages of what a task has read and written."""
        grid = self.stage.grid
        for first, last in boxes(grid, task.first, task.count):
            for reader in self._readers:
                if isinstance(reader, Reader) and reader.stored is not None:
                    for region in reader.access.box(grid, first, last):
                        self._passed(reader.stored, region)
            for writer in self._writers.values():
                if isinstance(writer, PlacedWriter):
                    ends = writer.grid.region(first), writer.grid.region(last)
                    self._passed(writer.target, hull(*ends))

    def _passed(self, layout: Strided, region: Region) -> None:
        for start, stop in layout.runs(region):
            calls.drop_cached(self.files.fd(layout.file), start, stop - start)

    def sync(self) -> None:
        """Have all that was stored on the disk.

        Raises
        ------
        OSError
            Some of it could not be written.
        """
        for writer in self._writers.values():
            if isinstance(writer, (PlacedWriter, PlacedTiles, KeptWriter)):
                writer.sync()
