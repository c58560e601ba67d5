"""Expressions as one loop each: what is fused, how it is written down, how it is led over memory."""
