"""The edge's certificates: which one a name gets, and reading them anew while connections go on.

A connection keeps what it began with; those that begin later get what is in the files by then.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from cryptography import x509

from voice.edge.settings import TlsSettings

_VERSIONS: Final = {
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}
_MARKS: Final = (".pem", ".crt")
_MOST: Final = 10_000
"""Certificates of a folder."""

Stamp = tuple[str, int, int]
"""Path, time of change, size."""


class CertificateFault(Exception):
    """A file cannot be used.  The message says which, why, and what to do."""


class _Own(NamedTuple):
    """A certificate of ours, ready to be shown."""

    context: ssl.SSLContext
    expiry: datetime
    names: list[str]


class Certificates:
    """Raises CertificateFault when they cannot be read the first time.

    What cannot be used of the folder is left out, and told in `faults`: one customer's file must not keep the
    others, or the edge itself, from having theirs.
    """

    def __init__(self, settings: TlsSettings) -> None:
        self._settings = settings
        self._stamps: tuple[Stamp, ...] = ()
        self._more: dict[Path, _Own] = {}
        """Of the folder."""
        self._by_name: dict[str, ssl.SSLContext] = {}
        self.faults: tuple[CertificateFault, ...] = ()
        """What was wrong with files of the folder when they were last read."""
        self.expiry: tuple[datetime, Path] = datetime.max.replace(tzinfo=UTC), settings.certificate
        """When the first of ours is good no longer, and its file."""
        self.server_context, self.client_context = self._read()

    @property
    def watch_seconds(self) -> float:
        return self._settings.watch_seconds

    @property
    def names(self) -> tuple[str, ...]:
        """For which a certificate of its own would be shown."""
        return tuple(sorted(self._by_name))

    def changed(self) -> bool:
        """Whether any of the files is another one than when they were last read."""
        try:
            return self._stamp() != self._stamps
        except CertificateFault:
            return True

    def reload(self) -> None:
        """Reads everything anew, or, raising CertificateFault, leaves everything as it was."""
        self.server_context, self.client_context = self._read()

    def _read(self) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        settings = self._settings
        stamps = self._stamp()
        # Taken even when what follows fails: the same bad file is not read and complained of again and again.
        self._stamps = stamps
        usual = self._own(settings.certificate, settings.private_key)
        more, faults = self._of_folder()
        client = self._client()
        by_name = {name: own.context for own in more.values() for name in own.names}
        if by_name:
            usual.context.sni_callback = self._chosen
        self._more, self._by_name, self.faults = more, by_name, tuple(faults)
        all_of_them = {**more, settings.certificate: usual}
        self.expiry = min((own.expiry, path) for path, own in all_of_them.items())
        return usual.context, client

    def _of_folder(self) -> tuple[dict[Path, _Own], list[CertificateFault]]:
        """Of a file that cannot be used, what was read of it before."""
        more: dict[Path, _Own] = {}
        faults = []
        for chain, key in _pairs(self._settings.folder):
            try:
                more[chain] = self._own(chain, key)
            except CertificateFault as fault:
                faults.append(fault)
                if chain in self._more:
                    more[chain] = self._more[chain]
        return more, faults

    def _own(self, chain: Path, key: Path | None) -> _Own:
        context = self._server(chain, key)
        try:
            first = x509.load_pem_x509_certificates(chain.read_bytes())[0]
            return _Own(context, first.not_valid_after_utc, _names_in(first))
        except (OSError, ValueError) as fault:
            raise CertificateFault(
                f"The certificate {chain} cannot be read: {fault}. Give one in PEM whose names are ASCII."
            ) from None

    def _chosen(self, connection: Any, name: str | None, _context: ssl.SSLContext) -> None:
        """The client says whom it wants to talk to: shows the certificate of that name."""
        if name is None:
            return
        wanted = name.lower().rstrip(".")
        fitting = self._by_name.get(wanted) or self._by_name.get("*." + wanted.partition(".")[2])
        if fitting is not None:
            connection.context = fitting

    def _server(self, chain: Path, key: Path | None) -> ssl.SSLContext:
        settings = self._settings
        context = self._context(ssl.PROTOCOL_TLS_SERVER)
        # Without tickets what a session has verified is kept here, and gone when certificates are read anew.
        context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
        context.num_tickets = 0
        _load_own(context, chain, key)
        if settings.client_authorities is not None:
            _load_authorities(context, settings.client_authorities)
            context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def _client(self) -> ssl.SSLContext:
        settings = self._settings
        context = self._context(ssl.PROTOCOL_TLS_CLIENT)
        # `TlsChannel` does it, because of SIP URIs in certificates.
        context.check_hostname = False
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        if settings.gateway_authorities is not None:
            _load_authorities(context, settings.gateway_authorities)
        _load_own(context, settings.certificate, settings.private_key)
        return context

    def _context(self, protocol: int) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.minimum_version = _VERSIONS[self._settings.minimum_version]
        try:
            context.set_ciphers(self._settings.ciphers)
        except ssl.SSLError:
            raise CertificateFault(
                f"No cipher is meant by {self._settings.ciphers!r}: write what `openssl ciphers` takes."
            ) from None
        return context

    def _stamp(self) -> tuple[Stamp, ...]:
        settings = self._settings
        files = {settings.certificate}
        files.update(
            one
            for one in (settings.private_key, settings.client_authorities, settings.gateway_authorities)
            if one is not None
        )
        for pair in _pairs(settings.folder):
            files.update(one for one in pair if one is not None)
        return tuple(_stamp_of(path) for path in sorted(files))


def _stamp_of(path: Path) -> Stamp:
    try:
        state = path.stat()
    except OSError:
        return str(path), 0, 0
    return str(path), state.st_mtime_ns, state.st_size


def _pairs(folder: Path | None) -> list[tuple[Path, Path | None]]:
    """Certificates of a folder, each with the file of its key; None: it is in the same file."""
    if folder is None:
        return []
    try:
        chains = sorted(path for path in folder.iterdir() if path.suffix in _MARKS)[:_MOST]
    except OSError as fault:
        raise CertificateFault(
            f"The folder {folder} cannot be read: {fault.strerror}. Correct the path or its permissions."
        ) from None
    keys = ((chain, chain.with_suffix(".key")) for chain in chains)
    return [(chain, key if key.exists() else None) for chain, key in keys]


def _names_in(certificate: x509.Certificate) -> list[str]:
    """What a certificate is for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [name.lower().rstrip(".") for name in names.get_values_for_type(x509.DNSName)]


def _load_own(context: ssl.SSLContext, chain: Path, key: Path | None) -> None:
    try:
        context.load_cert_chain(chain, key, password=_no_password)
    except ssl.SSLError as fault:
        why = str(fault.reason or fault).replace("_", " ").lower()
        raise CertificateFault(
            f"The certificate {chain} cannot be used with the key in {key or chain}: {why}. "
            "Give PEM files that belong together, the key without a password."
        ) from None
    except OSError as fault:
        raise CertificateFault(
            f"{chain} or {key or chain} cannot be read: {fault.strerror}. "
            "Correct the path or its permissions."
        ) from None


def _load_authorities(context: ssl.SSLContext, path: Path) -> None:
    try:
        context.load_verify_locations(path)
    except ssl.SSLError:
        raise CertificateFault(
            f"{path} holds no certificate of an authority: give a PEM file with one or more."
        ) from None
    except OSError as fault:
        raise CertificateFault(
            f"{path} cannot be read: {fault.strerror}. Correct the path or its permissions."
        ) from None


def _no_password() -> str:
    """A key with a password would be asked for on the terminal."""
    return ""
