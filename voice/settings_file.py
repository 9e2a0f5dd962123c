"""Reads the settings of a node from the ``[node]`` table of a TOML file and the environment.

The environment goes before the file: ``TRUNKFLOW_SIP_UDP`` stands for ``node.sip.udp``, with commas
between the elements of an array.  The file may hold the declaration of accounts as well
(`sip_config.declaration`); each reader leaves the other's tables alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from sip_config import words
from sip_config.faults import Unfit, meant, quoted
from sip_config.reading import Section
from voice.settings import (
    ApiSettings,
    CacheSettings,
    FetchSettings,
    MediaSettings,
    PoolSettings,
    RecordSettings,
    RelaySettings,
    Secret,
    Settings,
    SpeechSettings,
)
from voice.settings_bans import read_bans
from voice.settings_sip import address, read_sip, socket_address

VARIABLES: Final = "TRUNKFLOW_"
"""How the names of environment variables that are settings begin."""
CONFIG_VARIABLE: Final = "TRUNKFLOW_CONFIG"
"""Path of the file itself."""
_NO_SETTINGS: Final = (CONFIG_VARIABLE, "TRUNKFLOW_TEST_")
"""Variables, or beginnings of their names, that are no settings."""

_SHORTEST_KEY: Final = 32
_LEAST_RTP_PORTS: Final = 16
"""Four legs, two ports each, and as many to spare while one is being closed."""


def read_settings(root: Section, *, folder: Path, environment: Mapping[str, str]) -> Settings:
    """The settings of a file whose relative paths start from `folder`.

    Faults go where those of `root` go, and forbid to use the result.  `root` must listen to `environment`.
    """
    usual = Settings(base_domain="")
    node = root.section("node", variables=VARIABLES)
    settings = Settings(
        base_domain=node.fitting("base_domain", words.host_name, "", required=True),
        pop=node.fitting("pop", words.label, usual.pop),
        data_directory=(folder / node.text("data_directory", str(usual.data_directory))).resolve(),
        database_url=node.fitting("database_url", _secret, None),
        limits_file=_path(node.text("limits_file"), folder),
        log_level=node.choice("log_level", usual.log_level),
        sip=read_sip(node.section("sip"), folder),
        relay=_read_relay(node.section("relay")),
        media=_read_media(node.section("media")),
        pool=_read_pool(node.section("pool")),
        speech=_read_speech(node.section("speech")),
        fetch=_read_fetch(node.section("fetch")),
        cache=_read_cache(node.section("cache")),
        records=_read_records(node.section("records")),
        bans=read_bans(node.section("bans")),
        api=_read_api(node.section("api")),
    )
    node.reject_unknown()
    _reject_unknown_variables(root, node.variables, environment)
    return settings


def _path(text: str, folder: Path) -> Path | None:
    return (folder / text).resolve() if text else None


def _read_relay(section: Section) -> RelaySettings:
    usual = RelaySettings()
    settings = RelaySettings(
        key=section.fitting("key", _shared_key, None),
        second_key=section.fitting("second_key", _shared_key, None),
        transport=section.choice("transport", usual.transport),
        tls_port=section.integer("tls_port", usual.tls_port, least=1, most=65_535),
        interval_seconds=section.number("interval_seconds", usual.interval_seconds, least=0.05, most=60),
        misses_until_down=section.integer("misses_until_down", usual.misses_until_down, least=1, most=100),
        answers_until_up=section.integer("answers_until_up", usual.answers_until_up, least=1, most=100),
        silence_seconds=section.number("silence_seconds", usual.silence_seconds, least=0.05, most=30),
    )
    section.reject_unknown()
    return settings


def _read_media(section: Section) -> MediaSettings:
    usual = MediaSettings()
    settings = MediaSettings(
        address=section.fitting("address", address, usual.address),
        public_address=section.fitting("public_address", address, None),
        rtp_first=section.integer("rtp_first", usual.rtp_first, least=1_024, most=65_535),
        rtp_last=section.integer("rtp_last", usual.rtp_last, least=1_024, most=65_535),
        clock_rate=section.integer("clock_rate", usual.clock_rate, least=8_000, most=16_000),
    )
    if settings.clock_rate not in {8_000, 16_000}:
        section.fault("clock_rate", f"{settings.clock_rate} Hz fits no codec here.", "Use 8000 or 16000.")
    if settings.rtp_last - settings.rtp_first < _LEAST_RTP_PORTS - 1:
        section.fault(
            "rtp_last",
            f"{settings.rtp_first} to {settings.rtp_last} are too few ports for a call process.",
            f"Leave at least {_LEAST_RTP_PORTS}.",
        )
    section.reject_unknown()
    return settings


def _read_pool(section: Section) -> PoolSettings:
    usual = PoolSettings()
    settings = PoolSettings(
        warm_reserve=section.integer("warm_reserve", usual.warm_reserve, least=1, most=1_000),
        max_processes=section.integer("max_processes", usual.max_processes, least=1, most=6_000),
        calls_per_process=section.integer("calls_per_process", usual.calls_per_process, least=1, most=64),
        calls_before_recycling=section.integer(
            "calls_before_recycling", usual.calls_before_recycling, least=1, most=1_000_000
        ),
        drain_seconds=section.number("drain_seconds", usual.drain_seconds, least=0, most=86_400),
    )
    if settings.warm_reserve > settings.max_processes:
        section.fault(
            "warm_reserve",
            f"A reserve of {settings.warm_reserve} does not fit into {settings.max_processes} processes.",
            "Lower warm_reserve or raise max_processes.",
        )
    section.reject_unknown()
    return settings


def _read_speech(section: Section) -> SpeechSettings:
    usual = SpeechSettings()
    settings = SpeechSettings(
        job_seconds=section.number("job_seconds", usual.job_seconds, least=1, most=600),
        queue_limit=section.integer("queue_limit", usual.queue_limit, least=1, most=100_000),
        max_seconds=section.number("max_seconds", usual.max_seconds, least=1, most=86_400),
    )
    section.reject_unknown()
    return settings


def _read_fetch(section: Section) -> FetchSettings:
    usual = FetchSettings()
    settings = FetchSettings(
        total_seconds=section.number("total_seconds", usual.total_seconds, least=0.1, most=120),
        connect_seconds=section.number("connect_seconds", usual.connect_seconds, least=0.1, most=120),
        max_redirects=section.integer("max_redirects", usual.max_redirects, least=0, most=20),
        allow_private_networks=section.boolean("allow_private_networks", usual.allow_private_networks),
        max_sound_bytes=section.integer(
            "max_sound_bytes", usual.max_sound_bytes, least=1_024, most=1_073_741_824
        ),
        sound_seconds=section.number("sound_seconds", usual.sound_seconds, least=0.1, most=600),
    )
    section.reject_unknown()
    return settings


def _read_cache(section: Section) -> CacheSettings:
    usual = CacheSettings()
    settings = CacheSettings(
        sound_bytes=section.integer("sound_bytes", usual.sound_bytes, least=1_048_576, most=2**50),
    )
    section.reject_unknown()
    return settings


def _read_records(section: Section) -> RecordSettings:
    usual = RecordSettings()
    settings = RecordSettings(
        refusals=section.integer("refusals", usual.refusals, least=100, most=2_000_000_000),
        refusal_days=section.number("refusal_days", usual.refusal_days, least=0.01, most=36_500),
        events=section.integer("events", usual.events, least=100, most=2_000_000_000),
        event_days=section.number("event_days", usual.event_days, least=0.01, most=36_500),
    )
    section.reject_unknown()
    return settings


def _read_api(section: Section) -> ApiSettings:
    usual = ApiSettings()
    settings = ApiSettings(
        enabled=section.boolean("enabled", usual.enabled),
        listen=section.each("listen", socket_address, usual.listen),
        public_url=section.fitting("public_url", _base_url, None),
        requests_per_second=section.number(
            "requests_per_second", usual.requests_per_second, least=0.1, most=1_000_000
        ),
        burst=section.integer("burst", usual.burst, least=1, most=1_000_000),
        max_connections=section.integer("max_connections", usual.max_connections, least=8, most=100_000),
        body_seconds=section.number("body_seconds", usual.body_seconds, least=0.1, most=600),
        answer_seconds=section.number("answer_seconds", usual.answer_seconds, least=0.1, most=600),
    )
    if settings.enabled and not settings.listen:
        section.fault(
            "listen", "The API has nowhere to listen.", 'Write listen = ["0.0.0.0:8080"] or enabled = false.'
        )
    section.reject_unknown()
    return settings


def _reject_unknown_variables(root: Section, known: list[str], environment: Mapping[str, str]) -> None:
    for variable in environment:
        if variable.startswith(VARIABLES) and variable not in known and not variable.startswith(_NO_SETTINGS):
            root.fault_of_variable(
                variable,
                "No setting listens to this environment variable.",
                f"{meant(variable, known, 'variables')} Else unset it.",
            )


def _shared_key(text: str) -> Secret:
    if len(text) < _SHORTEST_KEY:
        raise Unfit(
            f"A key of {len(text)} characters can be guessed.",
            f"Use {_SHORTEST_KEY} or more, such as openssl rand -base64 32 makes, the same at all POPs.",
        )
    return Secret(text)


def _secret(text: str) -> Secret:
    return Secret(text)


def _base_url(text: str) -> str:
    parts = urlsplit(words.web_address(text))
    if parts.query or parts.fragment:
        raise Unfit(
            f"{quoted(text)} has a query.", "Write the first part only, such as https://api.example.com."
        )
    return text.rstrip("/")
