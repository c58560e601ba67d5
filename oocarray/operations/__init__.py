"""What can be done to arrays region by region: each operation as a record; none knows of files."""
