"""The zygote: a process that has loaded everything a call needs, and forks call processes from it.

A fork shares the loaded pages, so a new call process is ready in milliseconds and owns little
memory.  The zygote has one thread and no pjsua2 endpoint of its own: neither would survive a fork.
It talks to the parent over one socket, a JSON object per line:

    parent to zygote   {"fork": <first RTP port>}
    zygote to parent   {"legs": n}, {"forked": pid, "rtp_port": p}, {"exited": pid, "how": "killed by ..."},
                       {"unforked": p, "why": "Cannot allocate memory"}

When the parent is gone it forks no more, and leaves after its last child.
"""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import selectors
import signal
import socket
import sys

from voice.pool import callprocess
from voice.pool.callprocess import ProcessConfig


def main(control: socket.socket, config: ProcessConfig) -> None:
    """Runs until the parent and all children are gone."""
    # What customers' callers say is nobody else's on this machine to hear.
    os.umask(0o077)
    legs = callprocess.count_legs(config)
    gc.collect()
    # Everything alive now stays alive in every child: not touching its reference counts in
    # collections keeps the pages shared.
    gc.freeze()
    Zygote(control, config, legs).run()


class Zygote:
    """Forks and reaps."""

    def __init__(self, control: socket.socket, config: ProcessConfig, legs: int) -> None:
        self._control = control
        self._config = config
        self._legs = legs
        self._children: set[int] = set()
        self._buffer = b""
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._orphaned = False

    def run(self) -> None:
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        self._say({"legs": self._legs})
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ)
            selector.register(self._wake_read, selectors.EVENT_READ)
            while not self._orphaned or self._children:
                for key, _ in selector.select():
                    if key.fileobj is self._control:
                        if not self._obey():
                            selector.unregister(self._control)
                            self._orphaned = True
                    else:
                        with contextlib.suppress(BlockingIOError):
                            os.read(self._wake_read, 4096)
                self._reap()

    def _obey(self) -> bool:
        """Carries out what the parent sent; False when the parent is gone."""
        try:
            data = self._control.recv(4096)
        except ConnectionResetError:
            return False
        if not data:
            return False
        self._buffer += data
        *lines, self._buffer = self._buffer.split(b"\n")
        for line in lines:
            self._fork(json.loads(line)["fork"])
        return True

    def _fork(self, rtp_port: int) -> None:
        try:
            pid = os.fork()
        except OSError as error:  # no memory, too many processes: so there is one process less
            self._say({"unforked": rtp_port, "why": error.strerror})
            return
        if pid == 0:
            self._become_call_process(rtp_port)
        self._children.add(pid)
        self._say({"forked": pid, "rtp_port": rtp_port})

    def _become_call_process(self, rtp_port: int) -> None:
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._control.close()
            os.close(self._wake_read)
            os.close(self._wake_write)
            callprocess.run(self._config, self._legs, rtp_port)
            status = 0
        except Exception:
            logging.getLogger(__name__).exception("a call process failed")
        finally:
            logging.shutdown()
            # Past the zygote's own exit handlers: they are not this process's to run.
            os._exit(status)

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self._children.discard(pid)
            self._say({"exited": pid, "how": _how(status)})

    def _say(self, message: dict[str, object]) -> None:
        # A parent that is gone hears nothing more; recv() is where that is noticed.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._control.sendall(json.dumps(message).encode() + b"\n")


def _how(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"killed by signal {os.WTERMSIG(status)} ({signal.Signals(os.WTERMSIG(status)).name})"
    return f"exited with status {os.WEXITSTATUS(status)}"


if __name__ == "__main__":
    process_config = ProcessConfig.from_json(sys.argv[2])
    logging.basicConfig(
        level=process_config.log_level,
        format="%(asctime)s %(process)d %(name)s %(levelname)s %(message)s",
    )
    main(socket.socket(fileno=int(sys.argv[1])), process_config)
