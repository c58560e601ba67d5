"""What a backend refuses, and why; a refusal that vanishes fails the suite."""

from __future__ import annotations

# Under the name of an operation, or the text of one of its cases, and the name of the backend.
REFUSED: dict[tuple[str, str], str] = {}

# Changes of a file in place, under the names that test_writing has for them, and of one format.
IN_PLACE: dict[tuple[str, str], str] = {
    (change, backend): "no: blocks are copies"
    for change in ("assign_itself", "add", "multiply", "sort", "update")
    for backend in ("dask", "zarr")
} | {
    (f"{change}, zarr", "dask"): "into .npy; a Zarr array is written as a whole"
    for change in ("assign", "assign_array")
}
IN_PLACE_WORDS = {
    "assign": "`x[1:3] = 5`",
    "assign_array": "`x[:, 2] = values`",
    "assign_itself": "`x[...] = x + 1`, made of what is overwritten",
    "add": "`x += 1`",
    "multiply": "`x *= 2`",
    "sort": "`x.sort()`",
    "update": "`update_blocks(func, x)`",
    "append": "`x.append(rows)`",
}

# Formats that a backend does not read, under the names that test_reading has for them.
UNREAD: dict[tuple[str, str], str] = {}
