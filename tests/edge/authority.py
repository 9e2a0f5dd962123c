"""An authority of the tests, and the certificates that it gives out."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from voice.edge.settings import TlsSettings

_DAY = timedelta(days=1)


class Authority:
    """Its certificate is in `file`."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = folder / f"{name}.crt"
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        built = (
            self._builder(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file.write_bytes(built.public_bytes(Encoding.PEM))

    def issue(self, file: str, *names: str, days: int = 30, rsa: bool = False) -> Path:
        """A certificate for host names, addresses and SIP URIs, with its key, in one file."""
        return self._issue(file, x509.SubjectAlternativeName(_general(names)), names[0][:64], days, rsa)

    def issue_odd(self, file: str, *names: tuple[int, bytes]) -> Path:
        """A certificate for names that are whatever these tags and bytes of GeneralName mean."""
        parts = b"".join(bytes((tag, len(value))) + value for tag, value in names)
        assert len(parts) < 128, "lengths of one byte are all that is needed"
        odd = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, bytes((0x30, len(parts))) + parts)
        return self._issue(file, odd, "odd")

    def _issue(
        self, file: str, names: x509.ExtensionType, common: str, days: int = 30, rsa: bool = False
    ) -> Path:
        key = generate_private_key(65_537, 2_048) if rsa else ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
        built = (
            self._builder(subject, key, days)
            .add_extension(names, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        path = self._folder / file
        path.parent.mkdir(exist_ok=True)
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(built.public_bytes(Encoding.PEM) + secret)
        return path

    def client(self, shown: Path | None = None) -> ssl.SSLContext:
        """What a client believes of this authority has, and its own certificate."""
        context = ssl.create_default_context(cafile=self.file)
        if shown is not None:
            context.load_cert_chain(shown)
        return context

    def server(self, shown: Path) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(shown)
        return context

    def settings(self, certificate: Path, **more: object) -> TlsSettings:
        """Of an edge that believes this authority of gateways."""
        return TlsSettings(certificate=certificate, gateway_authorities=self.file, **more)  # type: ignore[arg-type]

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey | RSAPrivateKey, days: int = 30
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 60 * _DAY)
            .not_valid_after(now + days * _DAY)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )


def _general(names: Sequence[str]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for name in names:
        if ":" in name and name.startswith("sip"):
            found.append(x509.UniformResourceIdentifier(name))
            continue
        try:
            found.append(x509.IPAddress(ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return found
