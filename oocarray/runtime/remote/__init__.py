"""Runs plans on the workers of a client of dask.distributed; it imports nothing of dask."""
