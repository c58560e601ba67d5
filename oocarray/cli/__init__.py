"""The command ``oocarray``: one module per command; it holds no array code."""

from .entry import main

__all__ = ["main"]
