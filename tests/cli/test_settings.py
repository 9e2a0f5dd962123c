"""Node settings from a file and the environment."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from sip_config.faults import ConfigurationFaults
from voice.config_file import read_config_file, read_settings_file
from voice.settings import (
    LogLevel,
    MediaSettings,
    PoolSettings,
    Secret,
    Settings,
    SipSettings,
    SocketAddress,
    TlsVersion,
)

LEAST = '[node]\nbase_domain = "sip.example.com"\n'


def read(tmp_path: Path, text: str, environment: dict[str, str] | None = None) -> Settings:
    path = tmp_path / "trunkflow.toml"
    path.write_text(text)
    return read_settings_file(path, environment or {})


def faults(tmp_path: Path, text: str, environment: dict[str, str] | None = None) -> dict[str, str]:
    """What is said of each key."""
    with pytest.raises(ConfigurationFaults) as caught:
        read(tmp_path, text, environment)
    return {fault.key: f"{fault.message} {fault.remedy}" for fault in caught.value.faults}


def test_only_the_base_domain_is_needed(tmp_path: Path) -> None:
    settings = read(tmp_path, LEAST)
    assert settings == Settings(base_domain="sip.example.com", data_directory=tmp_path / "data")


def test_every_kind_of_value(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        """
[node]
base_domain = "SIP.Example.com."
pop = "US1"
data_directory = "elsewhere"
database_url = "postgresql://u:hidden@h/x"
log_level = "Debug"
[node.sip]
udp = ["0.0.0.0:5060", "[::]:5061"]
tcp = []
public_address = "[2001:db8::1]"
inside = "[::1]:0"
[node.media]
rtp_first = 20000
[node.pool]
drain_seconds = 5
""",
    )
    assert settings == Settings(
        base_domain="sip.example.com",
        pop="us1",
        data_directory=tmp_path / "elsewhere",
        database_url=Secret("postgresql://u:hidden@h/x"),
        log_level=LogLevel.DEBUG,
        sip=SipSettings(
            udp=(SocketAddress(host="0.0.0.0", port=5060), SocketAddress(host="::", port=5061)),
            tcp=(),
            public_address="2001:db8::1",
            inside=SocketAddress(host="::1", port=0),
        ),
        media=MediaSettings(rtp_first=20_000),
        pool=PoolSettings(drain_seconds=5.0),
    )
    assert str(settings.sip.udp[1]) == "[::]:5061"
    assert "hidden" not in repr(settings)


def test_the_environment_goes_first(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        LEAST + "[node.pool]\nwarm_reserve = 1\n[node.fetch]\nallow_private_networks = false\n",
        {
            "TRUNKFLOW_POP": "eu2",
            "TRUNKFLOW_SIP_UDP": "127.0.0.1:5080, [::1]:5080",
            "TRUNKFLOW_SIP_TCP": "",
            "TRUNKFLOW_POOL_WARM_RESERVE": "7",
            "TRUNKFLOW_POOL_DRAIN_SECONDS": "0.5",
            "TRUNKFLOW_FETCH_ALLOW_PRIVATE_NETWORKS": "yes",
            "TRUNKFLOW_CONFIG": "x",
            "OTHER": "y",
        },
    )
    assert settings.pop == "eu2"
    assert [str(address) for address in settings.sip.udp] == ["127.0.0.1:5080", "[::1]:5080"]
    assert settings.sip.tcp == ()
    assert (settings.pool.warm_reserve, settings.pool.drain_seconds) == (7, 0.5)
    assert settings.fetch.allow_private_networks


def test_the_environment_may_be_all_there_is(tmp_path: Path) -> None:
    assert read(tmp_path, "", {"TRUNKFLOW_BASE_DOMAIN": "x.example"}).base_domain == "x.example"


def test_faults_of_the_environment_name_the_variable(tmp_path: Path) -> None:
    said = faults(
        tmp_path,
        LEAST,
        {
            "TRUNKFLOW_POOL_WARM_RESERVE": "seven",
            "TRUNKFLOW_POOL_DRAIN_SECONDS": "-1",
            "TRUNKFLOW_FETCH_ALLOW_PRIVATE_NETWORKS": "perhaps",
            "TRUNKFLOW_SIP_UDP": "127.0.0.1",
            "TRUNKFLOW_SIP_UPD": "x",
            "TRUNKFLOW_LOG_LEVEL": "loud",
        },
    )
    assert said == {
        "TRUNKFLOW_POOL_WARM_RESERVE": "“seven” is not a whole number. Change or unset it.",
        "TRUNKFLOW_POOL_DRAIN_SECONDS": "-1.0 is out of bounds. Use 0 to 86400.",
        "TRUNKFLOW_FETCH_ALLOW_PRIVATE_NETWORKS": "“perhaps” is not true or false. Change or unset it.",
        "TRUNKFLOW_SIP_UDP": (
            "“127.0.0.1” lacks a port. Write address:port, such as 0.0.0.0:5060 or [::]:5060."
        ),
        "TRUNKFLOW_SIP_UPD": (
            "No setting listens to this environment variable. Did you mean TRUNKFLOW_SIP_UDP? Else unset it."
        ),
        "TRUNKFLOW_LOG_LEVEL": (
            "“loud” is not one of the words that fit here. The words are debug, info, warning, error."
        ),
    }


def test_faults_of_the_file(tmp_path: Path) -> None:
    said = faults(
        tmp_path,
        """
[node]
base_domian = "x"
pop = "mars"
database_url = 5
[node.sip]
udp = []
tcp = []
inside = "0.0.0.0:5066"
[node.media]
address = "localhost"
rtp_first = 10000
rtp_last = 10010
clock_rate = 11025
[node.pool]
warm_reserve = 300
[node.pol]
[nodes]
""",
    )
    assert set(said) == {
        "node",
        "node.base_domian",
        "node.pop",
        "node.database_url",
        "node.sip",
        "node.sip.inside",
        "node.media.address",
        "node.media.rtp_last",
        "node.media.clock_rate",
        "node.pool.warm_reserve",
        "node.pol",
        "nodes",
    }
    assert said["node"] == "The key base_domain is missing. Add base_domain = ..."
    assert said["node.base_domian"].endswith("Did you mean base_domain?")
    assert said["node.pol"].endswith("Did you mean pool?")
    assert "loopback" in said["node.sip.inside"]


def test_tls_needs_a_certificate(tmp_path: Path) -> None:
    said = faults(
        tmp_path,
        LEAST
        + """
[node.sip]
tls = ["0.0.0.0:5061"]
wss = ["0.0.0.0"]
websocket_origins = ["https://phone.example.com/", "phone.example.com", "https://phone.example.com", "*"]
name_servers = ["dns.example"]
[node.sip.certificates]
client_authorities = "customers.pem"
minimum_version = "1.1"
[node.sip.connections]
per_source = 0
""",
    )
    assert set(said) == {
        "node.sip.tls",
        "node.sip.wss[0]",
        "node.sip.websocket_origins[0]",
        "node.sip.websocket_origins[1]",
        "node.sip.name_servers[0]",
        "node.sip.certificates.client_authorities",
        "node.sip.certificates.minimum_version",
        "node.sip.connections.per_source",
    }
    assert "Add certificate" in said["node.sip.tls"]


def test_certificates_lie_beside_the_file_unless_their_paths_are_absolute(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        LEAST
        + """
[node.sip]
tls = ["0.0.0.0:5061"]
name_servers = ["192.0.2.53", "[2001:db8::53]:5353"]
[node.sip.certificates]
certificate = "tls/fullchain.pem"
private_key = "/etc/ssl/key.pem"
minimum_version = "1.3"
""",
    )
    given = settings.sip.certificates
    assert given.certificate == tmp_path / "tls" / "fullchain.pem"
    assert given.private_key == Path("/etc/ssl/key.pem")
    assert given.minimum_version is TlsVersion.TLS_1_3
    assert [str(server) for server in settings.sip.name_servers] == ["192.0.2.53:53", "[2001:db8::53]:5353"]


def test_the_pop_may_be_one_that_the_file_declares(tmp_path: Path) -> None:
    text = '[node]\nbase_domain = "x.example"\npop = "ams"\n'
    assert "node.pop" in faults(tmp_path, text)
    assert read(tmp_path, text + '[pops.AMS]\nregion = "EU"\n').pop == "ams"


def test_settings_do_not_mind_what_is_declared(tmp_path: Path) -> None:
    """A command that only lists works beside a file whose declaration is being edited."""
    text = LEAST + "[accounts.acme]\nnonsense = 1\n"
    assert read(tmp_path, text).base_domain == "sip.example.com"
    with pytest.raises(ConfigurationFaults, match="nonsense"):
        read_config_file(tmp_path / "trunkflow.toml", {})


def test_a_file_that_only_declares_takes_settings_from_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "accounts.toml"
    path.write_text("[accounts.acme]\n")
    elsewhere = Settings(base_domain="other.example")
    read_back = read_config_file(path, {}, otherwise=lambda: elsewhere)
    assert read_back.settings is elsewhere
    assert read_back.declaration is not None
    assert read_back.declaration.realm == "other.example"
    path.write_text(LEAST + "[accounts.acme]\n")
    assert read_config_file(path, {}, otherwise=lambda: elsewhere).settings.base_domain == "sip.example.com"
    explicit = replace(elsewhere, base_domain="explicit.example")
    assert read_config_file(path, {}, settings=explicit).settings is explicit


def test_a_file_without_declaration(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(LEAST)
    assert read_config_file(path, {}).declaration is None


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationFaults, match="No such file"):
        read_settings_file(tmp_path / "none.toml", {})
    with pytest.raises(ConfigurationFaults, match="Is a directory"):
        read_settings_file(tmp_path, {})
    (tmp_path / "latin.toml").write_bytes(b"# caf\xe9")
    with pytest.raises(ConfigurationFaults, match="Byte 5 is not UTF-8"):
        read_settings_file(tmp_path / "latin.toml", {})


def test_a_secret_does_not_show_itself(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret("hidden")
    with caplog.at_level(logging.INFO):
        logging.getLogger("x").info("%s %r", secret, secret)
    assert f"{secret} {secret!r} {[secret]}".count("hidden") == 0
    assert "hidden" not in caplog.text
    assert secret.reveal() == "hidden"
    assert secret == Secret("hidden")
    assert secret != Secret("other")
    assert len({secret, Secret("hidden")}) == 1


def test_places_in_the_data_directory() -> None:
    settings = Settings(base_domain="x", data_directory=Path("/d"))
    assert settings.recordings_directory == Path("/d/recordings")
    assert settings.media_directory == Path("/d/media")
    assert settings.cache_directory == Path("/d/cache")
    assert settings.database_file == Path("/d/trunkflow.db")
