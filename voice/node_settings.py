"""What the settings of a node mean for each of its parts."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from pathlib import Path

from sip_config.directory import Directory
from sip_config.model import Transport
from voice.edge.settings import EdgeSettings, Listen, PopRelay, StreamLimits, TlsSettings
from voice.pool.callprocess import ProcessConfig
from voice.pool.fleet import PoolSettings
from voice.relay_key import missing_key
from voice.settings import CertificateSettings, RelaySettings, Secret, Settings
from voice.speech.library import SoundSettings
from voice.store.database import Database, sqlite_path
from voice.store.keys import node_key
from voice.store.retention import Retention
from voice.webhooks.client import ClientSettings

RTP_PORTS_PER_PROCESS = 16
"""RTP and RTCP of eight legs: twice what the usual build carries, so that a port rests before reuse."""

SOCKET_PATH_BYTES = 107
"""Linux's bound on the path of a unix socket."""


class NodeError(Exception):
    """The node cannot start.  The message says why and what to do."""


def retention(settings: Settings) -> Retention:
    records = settings.records
    return Retention(
        refusals=records.refusals,
        refusal_days=records.refusal_days,
        events=records.events,
        event_days=records.event_days,
    )


def client_settings(settings: Settings) -> ClientSettings:
    fetch = settings.fetch
    return ClientSettings(
        allow_private_networks=fetch.allow_private_networks,
        total_seconds=max(fetch.total_seconds, fetch.sound_seconds),
        connect_seconds=fetch.connect_seconds,
        max_redirects=fetch.max_redirects,
    )


def sound_settings(settings: Settings) -> SoundSettings:
    return SoundSettings(
        cache=settings.cache_directory,
        uploads=settings.media_directory,
        cache_bytes=settings.cache.sound_bytes,
        sample_rate=settings.media.clock_rate,
        max_seconds=settings.speech.max_seconds,
        max_download_bytes=settings.fetch.max_sound_bytes,
        download_seconds=settings.fetch.sound_seconds,
        job_seconds=settings.speech.job_seconds,
        queue_limit=settings.speech.queue_limit,
    )


def pool_settings(settings: Settings) -> PoolSettings:
    pool = settings.pool
    return PoolSettings(
        run_dir=settings.data_directory / "run",
        warm_reserve=pool.warm_reserve,
        max_processes=pool.max_processes,
        calls_per_process=pool.calls_per_process,
        calls_before_recycling=pool.calls_before_recycling,
        rtp_first=settings.media.rtp_first,
        rtp_last=settings.media.rtp_last,
    )


def limits_file(settings: Settings) -> Path:
    """Beside the database, when that is a file, since whoever shares the one shares the other."""
    if settings.limits_file is not None:
        return settings.limits_file
    url = settings.database_url
    database = settings.database_file if url is None else sqlite_path(url.reveal())
    if database is None:
        return settings.data_directory / "run" / "limits"
    return database.with_name(f"{database.name}-limits")


def process_config(settings: Settings) -> ProcessConfig:
    media = settings.media
    parent_socket = str(settings.data_directory.resolve() / "run" / "pool.sock")
    if len(os.fsencode(parent_socket)) > SOCKET_PATH_BYTES:
        raise NodeError(
            f"The path {parent_socket} is longer than the {SOCKET_PATH_BYTES} bytes that a socket's may be."
            " Choose a shorter data_directory."
        )
    return ProcessConfig(
        parent_socket=parent_socket,
        sip_host=settings.sip.inside.host,
        from_host=settings.base_domain,
        rtp_host=media.address,
        rtp_public_host=media.public_address or _own_address(media.address),
        rtp_ports=RTP_PORTS_PER_PROCESS,
        legs=0,
        clock_rate=media.clock_rate,
        log_level=settings.log_level.upper(),
    )


def _own_address(bound: str) -> str:
    """What SDP shows when nothing else is configured: the address that the system would send from."""
    if bound not in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        return bound
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Connecting a datagram socket sends nothing; 192.0.2.1 (RFC 5737) stands for anywhere.
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        address: str = probe.getsockname()[0]
        return address


def _tls(given: CertificateSettings) -> TlsSettings | None:
    if given.certificate is None:
        return None
    return TlsSettings(
        certificate=given.certificate,
        private_key=given.private_key,
        folder=given.folder,
        minimum_version=given.minimum_version.value,
        ciphers=given.ciphers,
        client_authorities=given.client_authorities,
        gateway_authorities=given.gateway_authorities,
    )


async def edge_settings(settings: Settings, database: Database, node: str) -> EdgeSettings:
    now = time.time()
    sip = settings.sip
    listen = [
        Listen(transport=transport, host=address.host, port=address.port)
        for transport, addresses in (
            (Transport.UDP, sip.udp),
            (Transport.TCP, sip.tcp),
            (Transport.TLS, sip.tls),
            (Transport.WS, sip.ws),
            (Transport.WSS, sip.wss),
        )
        for address in addresses
    ]
    return EdgeSettings(
        listen=tuple(listen),
        base_domain=settings.base_domain,
        seal_key=await node_key(database, "seal", now=now),
        digest_secret=await node_key(database, "digest", now=now),
        node=node,
        public_host=settings.sip.public_address,
        inside_host=settings.sip.inside.host,
        inside_port=settings.sip.inside.port,
        allow_private_targets=settings.sip.allow_private_targets,
        large_requests_by_tcp=sip.large_requests_by_tcp,
        websocket_proxies=sip.websocket_proxies,
        websocket_origins=sip.websocket_origins,
        name_servers=tuple((server.host, server.port) for server in sip.name_servers),
        streams=StreamLimits(
            total=sip.connections.total,
            per_source=sip.connections.per_source,
            idle_seconds=sip.connections.idle_seconds,
            first_message_seconds=sip.connections.first_message_seconds,
            handshake_seconds=sip.connections.handshake_seconds,
            handshakes=sip.connections.handshakes,
        ),
        tls=_tls(sip.certificates),
        relay=pop_relay(settings.relay),
        bans=settings.bans,
    )


def pop_relay(relay: RelaySettings, otherwise: bytes | None = None) -> PopRelay:
    """`otherwise`: the key of 32 bytes where none is configured."""
    return PopRelay(
        key=_sealing(relay.key) or otherwise,
        second_key=_sealing(relay.second_key),
        transport=relay.transport.upper(),
        tls_port=relay.tls_port,
        interval_seconds=relay.interval_seconds,
        misses_until_down=relay.misses_until_down,
        answers_until_up=relay.answers_until_up,
        silence_seconds=relay.silence_seconds,
    )


def _sealing(key: Secret | None) -> bytes | None:
    """The seal wants 32 bytes; a key that people choose has any length."""
    return None if key is None else hashlib.sha256(b"trunkflow relay\0" + key.reveal().encode()).digest()


def check_relay(settings: Settings, directory: Directory) -> None:
    """Raises NodeError when there are POPs to relay to, and no key to do it with."""
    fault = missing_key(directory.pops.values(), settings)
    if fault is not None:
        raise NodeError(f"node.relay.key: {fault}")
