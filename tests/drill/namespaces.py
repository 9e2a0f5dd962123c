"""Network namespaces, joined by a bridge in one of their own: the machine's network stays as it is."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class NotAllowed(Exception):
    """Namespaces cannot be had here.  The message says why."""


def ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NotAllowed(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


@contextmanager
def bridged(names: Sequence[str]) -> Iterator[dict[str, tuple[str, str]]]:
    """A namespace for each name: its own name, and the address of its ``eth0``.  Raises NotAllowed."""
    if os.geteuid() != 0:
        raise NotAllowed("only root makes network namespaces")
    if shutil.which("ip") is None:
        raise NotAllowed("ip (Debian's iproute2) is not installed")
    mark = f"tf{os.getpid()}"
    switch = f"{mark}switch"
    made: list[str] = []
    try:
        _add(switch, made)
        ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        ip("-n", switch, "link", "set", "bridge", "up")
        found = {}
        for at, name in enumerate(names, 1):
            space = f"{mark}{name}"
            _add(space, made)
            ip(
                "-n",
                switch,
                "link",
                "add",
                f"port{at}",
                "type",
                "veth",
                "peer",
                "name",
                "eth0",
                "netns",
                space,
            )
            ip("-n", switch, "link", "set", f"port{at}", "master", "bridge", "up")
            ip("-n", space, "link", "set", "lo", "up")
            ip("-n", space, "address", "add", f"10.77.0.{at}/24", "dev", "eth0")
            ip("-n", space, "link", "set", "eth0", "up")
            found[name] = space, f"10.77.0.{at}"
        yield found
    finally:
        for space in made:
            subprocess.run(["ip", "netns", "delete", space], capture_output=True, check=False)


def _add(space: str, made: list[str]) -> None:
    ip("netns", "add", space)
    made.append(space)
