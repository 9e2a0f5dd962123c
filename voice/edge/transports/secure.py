"""TLS of one connection, without sockets: bytes in, bytes out, whoever moves them."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from voice.edge.transports.identities import Identities, identities_of

_READ: Final = 65_536


class TlsFault(Exception):
    """The connection cannot be secured, or is not any more.  The message says why."""


class TlsChannel:
    """One side of a TLS connection.

    `name`: as a client, what the certificate of the peer has to be for.
    """

    def __init__(self, context: ssl.SSLContext, *, name: str | None = None) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._name = name
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=name is None, server_hostname=name
        )
        self.ready = False
        """Whether the handshake is over and the peer is who it has to be."""
        self._begun = False
        self.ended = False
        """The peer said that nothing more will come."""
        self.identities: Identities = identities_of(None)
        """What the peer's verified certificate is for; of nobody when it showed none."""

    @property
    def given_up(self) -> bool:
        """Whether the peer began the handshake and did not end it: asked when the connection is lost."""
        return self._begun and not self.ready

    def begin(self) -> None:
        """Leaves a client's first words in `owed`."""
        self._shake()

    def receive(self, data: bytes) -> bytes:
        """Takes what came; returns what it said.  Raises TlsFault."""
        self._begun = True
        self._incoming.write(data)
        if not self.ready:
            self._shake()
            if not self.ready:
                return b""
        parts = []
        try:
            while part := self._tls.read(_READ):
                parts.append(part)
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        except ssl.SSLError as fault:
            raise TlsFault(_said(fault)) from None
        return b"".join(parts)

    def send(self, data: bytes) -> None:
        """Leaves it in `owed`.  Raises TlsFault."""
        try:
            self._tls.write(data)
        except ssl.SSLError as fault:
            raise TlsFault(_said(fault)) from None

    def owed(self) -> bytes:
        """What is to be sent to the peer now."""
        return self._outgoing.read()

    def finish(self) -> None:
        """Leaves in `owed` that nothing more will come."""
        if not self.ready:
            return
        with suppress(ssl.SSLError, ValueError):  # It waits for the peer to say so too, which we do not.
            self._tls.unwrap()

    @property
    def _whose(self) -> str:
        return f"the certificate for {self._name}" if self._name else "the client's certificate"

    def _shake(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLCertVerificationError as fault:
            raise TlsFault(f"{self._whose} is not good: {fault.verify_message}") from None
        except (ssl.SSLError, ValueError) as fault:
            raise TlsFault(_said(fault)) from None
        try:
            shown: dict[str, Any] | None = self._tls.getpeercert()
            self.identities = identities_of(shown)
        except ValueError:
            raise TlsFault(f"{self._whose} has a name that cannot be read") from None
        if self._name is not None and not self.identities.fit(self._name):
            names = _listed(self.identities.all) or "nothing that it names"
            raise TlsFault(f"{self._whose} is for {names}")
        self.ready = True


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _said(fault: Exception) -> str:
    reason = getattr(fault, "reason", None)
    return str(reason).replace("_", " ").lower() if reason else str(fault)
