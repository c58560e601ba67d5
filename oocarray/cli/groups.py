"""A new Zarr v3 group in a folder that gets its name when it is complete; it writes no array.

The folder is built beside its target as ``.NAME.RANDOM.part``.  Arrays are stored below it by
whoever stores arrays; here are the folders around them and the ``zarr.json`` of each group.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from typing import Any

from ..errors import FormatError, NotRegularFileError
from ..storage.aside import set_aside
from ..storage.synctree import sync, sync_tree

__all__ = ["GroupDraft", "plain_name"]

_KEPT = 50
"""Characters of the target's name: 255 bytes must also hold the random part."""


class GroupDraft:
    """A new group: `publish` shows it under its name, `discard` removes it.

    Parameters
    ----------
    path : str
        Where the group shall appear; the folder around it must exist.
    overwrite : bool
        Whether a folder of Zarr that is there is replaced.

    Raises
    ------
    FileExistsError
        Something is there, and `overwrite` is false.
    FormatError, NotRegularFileError
        `overwrite` is set, but what is there is nothing of Zarr, or a link.
    OSError
        The folder cannot be made.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "x.zarr")
    ...     draft = GroupDraft(path, False)
    ...     where = draft.place("inner/t2m")
    ...     draft.publish({"": {"title": "all"}}, "none")
    ...     sorted(os.listdir(path)), os.listdir(os.path.join(path, "inner"))
    (['inner', 'zarr.json'], ['zarr.json'])
    """

    def __init__(self, path: str, overwrite: bool) -> None:
        self.path = os.path.abspath(path)
        self._overwrite = overwrite
        self._groups = {""}
        self._there()
        self.folder = self._beside("part")
        try:
            os.mkdir(self.folder)
        except OSError as error:
            error.filename = path  # of the temporary folder nobody has heard
            raise

    @property
    def groups(self) -> list[str]:
        """Names of the groups so far; ``""`` is the whole."""
        return sorted(self._groups)

    def place(self, name: str) -> str:
        """Return where the array of a name is to be stored, with all groups around it made."""
        *above, _ = name.split("/")
        for depth in range(1, len(above) + 1):
            self._groups.add("/".join(above[:depth]))
        os.makedirs(os.path.join(self.folder, *above), exist_ok=True)
        return os.path.join(self.folder, *name.split("/"))

    def publish(self, attributes: Mapping[str, Mapping[str, Any]], durability: str) -> None:
        """Write what each group is, and show the folder under its name.

        Parameters
        ----------
        attributes : mapping
            Of groups, by their names; ``""`` is the group itself.
        durability : str
            Other than ``"none"``: have all names on the disk first.
        """
        for name in self.groups:
            _write(os.path.join(self.folder, name, "zarr.json"), attributes.get(name, {}))
        if durability != "none":
            sync_tree(self.folder)
        old = self._beside("old") if self._there() else ""
        with set_aside(self.path, old):
            os.rename(self.folder, self.path)
        try:
            if durability != "none":
                sync(os.path.realpath(os.path.dirname(self.path)))
        finally:
            if old:
                shutil.rmtree(old)

    def discard(self) -> None:
        """Remove the folder, unless it was published.  Harmless twice."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _beside(self, suffix: str) -> str:
        parent, name = os.path.split(self.path)
        return os.path.join(parent, f".{name[:_KEPT]}.{secrets.token_hex(8)}.{suffix}")

    def _there(self) -> bool:
        """Tell whether there is something of Zarr to be replaced; refuse everything else."""
        from ..storage.zarrgroups import is_zarr

        if not os.path.lexists(self.path):
            return False
        if not self._overwrite:
            raise FileExistsError(
                errno.EEXIST, "file exists; give --overwrite to replace it", self.path
            )
        if os.path.islink(self.path):
            raise NotRegularFileError(f"{self.path} is a symbolic link; name where it leads to")
        if not is_zarr(self.path):
            raise FormatError(
                f"{self.path} is nothing of Zarr and is not overwritten; choose another name"
            )
        return True


def plain_name(name: str) -> str:
    """Return an array's name if it can be one in a Zarr group.

    Raises
    ------
    FormatError
        It would lead elsewhere, or is kept for Zarr itself.

    Examples
    --------
    >>> plain_name("inner/t2m")
    'inner/t2m'
    """
    parts = name.split("/")
    if any(part in ("", ".", "..", "zarr.json") or part[:2] == "__" for part in parts) or (
        "\0" in name or "\\" in name
    ):
        raise FormatError(f"{name!r} cannot be the name of an array in a Zarr group")
    return name


def _write(path: str, attributes: Mapping[str, Any]) -> None:
    document = {"zarr_format": 3, "node_type": "group", "attributes": dict(attributes)}
    with open(path, "x", encoding="utf-8") as stream:
        json.dump(document, stream, indent=2, allow_nan=False)
