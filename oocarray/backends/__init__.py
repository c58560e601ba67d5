"""Evaluators of expressions: ours, and the ones to compare it with."""
