"""`bench.fuzz_edge core` with atheris, where coverage chooses the inputs: pip install atheris first.

python -m bench.fuzz_atheris [--seconds 60] [--seed 1] [--keep DIR]
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import atheris

# What is to be covered has to be imported here for the first time.
with atheris.instrument_imports(include=["voice.edge.core", "voice.sip"]):
    from bench.fuzz_edge import LARGEST, Core, report

_SEEDS: Final = 200


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.fuzz_atheris")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a directory for inputs that found something")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    core = Core(options.keep)
    until = time.monotonic() + options.seconds

    # Short inputs do little, and from nothing libFuzzer begins with short ones.
    corpus = tempfile.TemporaryDirectory(prefix="trunkflow-fuzz-")
    source = random.Random(options.seed)
    for number in range(_SEEDS):
        (Path(corpus.name) / str(number)).write_bytes(source.randbytes(LARGEST))

    def one(data: bytes) -> None:
        core.execute(data)
        if time.monotonic() >= until:
            # libFuzzer has no other end.
            status = report(core)
            sys.stdout.flush()
            corpus.cleanup()
            os._exit(status)

    limits = ("-verbosity=0", f"-max_len={LARGEST}", f"-seed={options.seed}")
    atheris.Setup([sys.argv[0], *limits, corpus.name], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
