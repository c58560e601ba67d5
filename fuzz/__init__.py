"""Fuzzers for what reads files of others; they import nothing that is not under test."""
