"""What is asked of arrays, rewritten and planned; nothing in this package reads or writes data."""
