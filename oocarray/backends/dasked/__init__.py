"""The same expressions as dask.array would be told them, to compare with; it is no fallback."""
