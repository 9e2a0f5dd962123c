"""Reads ``[node.sip]`` and the tables in it: where SIP is taken, with which certificates and bounds."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from sip_config import words
from sip_config.faults import Unfit, quoted
from sip_config.networks import packed, parse_network
from sip_config.reading import Section
from voice.edge.settings import ANY_ORIGIN
from voice.settings import CertificateSettings, ConnectionSettings, SipSettings, SocketAddress

_ORIGIN: Final = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:.]+\](:[0-9]{1,5})?")


def read_sip(section: Section, folder: Path) -> SipSettings:
    """`folder`: what relative paths start from."""
    usual = SipSettings()
    settings = SipSettings(
        udp=section.each("udp", socket_address, usual.udp),
        tcp=section.each("tcp", socket_address, usual.tcp),
        tls=section.each("tls", socket_address, usual.tls),
        ws=section.each("ws", socket_address, usual.ws),
        wss=section.each("wss", socket_address, usual.wss),
        websocket_proxies=section.each("websocket_proxies", parse_network, usual.websocket_proxies),
        websocket_origins=section.each("websocket_origins", _web_origin, usual.websocket_origins),
        public_address=section.fitting("public_address", words.host, None),
        inside=section.fitting("inside", _loopback, usual.inside),
        allow_private_targets=section.boolean("allow_private_targets", usual.allow_private_targets),
        large_requests_by_tcp=section.boolean("large_requests_by_tcp", usual.large_requests_by_tcp),
        name_servers=section.each("name_servers", _name_server, usual.name_servers),
        certificates=_read_certificates(section.section("certificates"), folder),
        connections=_read_connections(section.section("connections")),
    )
    if not any((settings.udp, settings.tcp, settings.tls, settings.ws, settings.wss)):
        section.fault(None, "The edge has nowhere to listen.", 'Write udp = ["0.0.0.0:5060"].')
    for key, addresses in (("tls", settings.tls), ("wss", settings.wss)):
        if addresses and settings.certificates.certificate is None:
            section.fault(
                key,
                "TLS needs a certificate.",
                'Add certificate = "fullchain.pem" to [node.sip.certificates], and private_key.',
            )
    section.reject_unknown()
    return settings


def _read_certificates(section: Section, folder: Path) -> CertificateSettings:
    usual = CertificateSettings()

    def path(text: str) -> Path:
        return (folder / text).resolve()

    read = CertificateSettings(
        certificate=section.fitting("certificate", path, None),
        private_key=section.fitting("private_key", path, None),
        folder=section.fitting("folder", path, None),
        client_authorities=section.fitting("client_authorities", path, None),
        gateway_authorities=section.fitting("gateway_authorities", path, None),
        minimum_version=section.choice("minimum_version", usual.minimum_version),
        ciphers=section.text("ciphers", usual.ciphers),
    )
    for key in ("private_key", "folder", "client_authorities", "gateway_authorities"):
        if section.has(key) and read.certificate is None:
            section.fault(key, "TLS needs a certificate.", 'Add certificate = "fullchain.pem".')
    section.reject_unknown()
    return read


def _read_connections(section: Section) -> ConnectionSettings:
    usual = ConnectionSettings()
    settings = ConnectionSettings(
        total=section.integer("total", usual.total, least=8, most=1_000_000),
        per_source=section.integer("per_source", usual.per_source, least=1, most=100_000),
        idle_seconds=section.number("idle_seconds", usual.idle_seconds, least=1, most=86_400),
        first_message_seconds=section.number(
            "first_message_seconds", usual.first_message_seconds, least=0.1, most=600
        ),
        handshake_seconds=section.number("handshake_seconds", usual.handshake_seconds, least=0.1, most=600),
        handshakes=section.integer("handshakes", usual.handshakes, least=4, most=100_000),
    )
    section.reject_unknown()
    return settings


def address(text: str) -> str:
    """An IP address, without brackets."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if packed(bare) is None:
        raise Unfit(f"{quoted(text)} is not an IP address.", "Write one, such as 192.0.2.10 or 2001:db8::10.")
    return bare


def socket_address(text: str) -> SocketAddress:
    host, port = words.host_and_port(text)
    if port is None:
        raise Unfit(f"{quoted(text)} lacks a port.", "Write address:port, such as 0.0.0.0:5060 or [::]:5060.")
    return SocketAddress(host=address(host), port=port)


def _name_server(text: str) -> SocketAddress:
    host, port = words.host_and_port(text)
    return SocketAddress(host=address(host), port=53 if port is None else port)


def _web_origin(text: str) -> str:
    """As browsers say it: scheme, host and, unless it is the usual one, port (RFC 6454)."""
    if text != ANY_ORIGIN and not _ORIGIN.fullmatch(text):
        raise Unfit(
            f"{quoted(text)} is not the origin of a web page.",
            "Write https://phone.example.com, without a path, or * for all pages of the world.",
        )
    return text


def _loopback(text: str) -> SocketAddress:
    found = socket_address(text)
    if not ip_address(found.host).is_loopback:
        raise Unfit(
            f"{quoted(text)} is not a loopback address; whoever reaches it can place calls without asking.",
            "Use 127.0.0.1:5066.",
        )
    return found
