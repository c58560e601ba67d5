"""Fuzzes the .npy reader with atheris (libFuzzer): ``make fuzz``; leaves only what it finds.

What it finds lies beside this file as ``found-...``; given as arguments, such files are run again.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
MOST_BYTES = 16 << 10
WORDS = ("descr", "fortran_order", "shape", "True", "False", "<f8", "|V", "(", "[('a',", "9" * 19)


def main() -> int:
    """Run libFuzzer, with this command line's options, on a corpus of small good files."""
    sys.path.insert(0, os.path.dirname(HERE))
    from fuzz.npy_target import seeds

    with tempfile.TemporaryDirectory(prefix="oocarray-fuzz-") as folder:
        corpus, words = os.path.join(folder, "corpus"), os.path.join(folder, "words")
        os.mkdir(corpus)
        for number, content in enumerate(seeds()):
            with open(os.path.join(corpus, f"seed-{number}"), "wb") as file:
                file.write(content)
        with open(words, "w") as text:
            text.writelines(f'"{word}"\n' for word in WORDS)
        options = [
            f"-max_len={MOST_BYTES}",
            "-timeout=10",
            "-rss_limit_mb=1024",
            "-print_final_stats=1",
            f"-dict={words}",
            f"-artifact_prefix={HERE}/found-",
        ]
        given = sys.argv[1:]
        if not any(os.path.isfile(word) for word in given):
            given = [*given, corpus]
        # libFuzzer ends its process itself: somebody else must clean up.
        command = [sys.executable, os.path.abspath(__file__), "--inside", *options, *given]
        return subprocess.call(command)


def fuzz(options: list[str]) -> None:
    """Be the process that libFuzzer runs in."""
    import atheris

    sys.path.insert(0, os.path.dirname(HERE))
    with atheris.instrument_imports(include=["oocarray.storage"]):
        from oocarray.storage import files  # noqa: F401
    from fuzz.npy_target import examine

    atheris.Setup([sys.argv[0], *options], lambda data: examine(bytes(data)) and None)
    atheris.Fuzz()


if __name__ == "__main__":
    if "--inside" in sys.argv:
        fuzz(sys.argv[2:])
    else:
        sys.exit(main())
