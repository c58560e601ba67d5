"""Kernels before they are compiled: the decorator, argument types, what their code depends on.

Nothing here imports a compiler; `oocarray.jit` does.
"""
