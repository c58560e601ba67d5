"""Expressions as one loop each: how it is written down, and led over memory; it plans nothing."""
