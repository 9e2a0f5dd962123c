"""The process that makes sounds: ``python -m voice.speech.worker speech`` or ``media``.

What it works on comes from outside: text that goes into a synthesiser in C, sound files that go into
decoders in C.  So it is a process of its own, with bounds of its own on memory, file size and
descriptors, and nothing but paths and parameters in its messages.  It ends when its parent does:
its standard input ends then.  Messages are described in `voice.speech.process`.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from typing import BinaryIO

from voice.speech.jobs import Job, Unsuitable, Work

MEMORY_BYTES = 1 << 30
"""Address space, of which the libraries' reservations are some 300 MB."""
FILE_BYTES = 256 << 20
DESCRIPTORS = 64


def main() -> None:
    serve(_work)


def serve(load: Callable[[str], Work]) -> None:
    """Does jobs until the parent ends; `load` makes the work of a kind, within the bounds set before."""
    requests, answers = _take_pipes()
    # The parent decides when this ends; a Ctrl-C in its terminal is not meant for us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _bound_ourselves()
    work = load(sys.argv[1])
    _send(answers, {"ready": True})
    while (job := _receive(requests)) is not None:
        try:
            answer = work(job)
        except Unsuitable as fault:
            answer = {"error": str(fault)}
        except OSError as fault:
            answer = {
                "error": f"Its file cannot be read or written ({fault.strerror}). See to the disk of sounds."
            }
        except MemoryError:
            answer = {"error": "It takes more memory than a sound should. Make it shorter."}
        _send(answers, answer)


def _work(kind: str) -> Work:
    # Each kind loads only the libraries it needs.
    if kind == "speech":
        from voice.speech.synthesis import Synthesiser

        return Synthesiser().work
    from voice.speech.decoding import decode

    return decode


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """The pipes to the parent, moved away from where libraries print."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, answers


def _bound_ourselves() -> None:
    for what, limit in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_NOFILE, DESCRIPTORS),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(what, (limit, limit))
    # Calls under way send a packet every 20 ms; a prompt can wait for them.
    os.nice(5)


def _receive(requests: BinaryIO) -> Job | None:
    header = requests.read(4)
    if len(header) < 4:
        return None
    job: Job = json.loads(requests.read(int.from_bytes(header, "big")))
    return job


def _send(answers: BinaryIO, message: Mapping[str, object]) -> None:
    body = json.dumps(message).encode()
    answers.write(len(body).to_bytes(4, "big") + body)
    answers.flush()


if __name__ == "__main__":
    main()
