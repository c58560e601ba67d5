"""The suite of ``python -m benchmarks``: cases beside rivals, cold and warm; imports nothing."""
