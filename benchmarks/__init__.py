"""Measurements of oocarray beside other ways to do the same work; not part of the package."""
