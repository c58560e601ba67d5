"""Lets ``python -m oocarray`` do what the command ``oocarray`` does; nothing else."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
