"""The key that POPs share: wanted as soon as there is somebody to relay to, and asked for by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from sip_config.directory import Directory
from sip_config.faults import ConfigurationFaults, Fault
from sip_config.model import Pop, Region
from voice.config_file import read_config_file, read_declaration_text, read_settings_file
from voice.node_settings import NodeError, check_relay, pop_relay
from voice.settings import Settings

NODE = '[node]\nbase_domain = "sip.example.com"\n'
POPS = """
[pops.eu1]
region = "EU"
address = "192.0.2.1:5060"
[pops.us1]
region = "US"
address = "192.0.2.2:5060"
"""
KEY = "x" * 32


def faults(path: Path, text: str, **how: object) -> tuple[Fault, ...]:
    path.write_text(text)
    with pytest.raises(ConfigurationFaults) as caught:
        read_config_file(path, {}, **how)  # type: ignore[arg-type]
    return tuple(caught.value.faults)


def test_a_platform_of_several_pops_needs_a_key(tmp_path: Path) -> None:
    path = tmp_path / "trunkflow.toml"
    [fault] = faults(path, NODE + POPS)
    assert fault.key == "node.relay.key"
    assert "us1" in fault.message
    assert "eu1" not in fault.message, "one need not exchange calls with oneself"
    assert "openssl" in fault.remedy
    path.write_text(f'{NODE}[node.relay]\nkey = "{KEY}"\n{POPS}')
    relay = read_config_file(path, {}).settings.relay
    assert relay.key is not None
    assert relay.key.reveal() == KEY


def test_the_key_may_come_from_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "trunkflow.toml"
    path.write_text(NODE + POPS)
    assert read_config_file(path, {"TRUNKFLOW_RELAY_KEY": KEY}).settings.relay.key is not None


def test_the_second_key_of_one_pop_is_the_first_of_another(tmp_path: Path) -> None:
    path = tmp_path / "trunkflow.toml"
    path.write_text(f'{NODE}[node.relay]\nkey = "{KEY}"\nsecond_key = "{KEY}2"\n{POPS}')
    one = pop_relay(read_config_file(path, {}).settings.relay)
    path.write_text(f'{NODE}[node.relay]\nkey = "{KEY}2"\n{POPS}')
    other = pop_relay(read_config_file(path, {}).settings.relay)
    assert one.second_key == other.key != one.key
    assert other.second_key is None


def test_the_fault_stands_with_the_pops_where_the_settings_are_elsewhere(tmp_path: Path) -> None:
    settings = Settings(base_domain="sip.example.com")
    [fault] = faults(tmp_path / "pops.toml", POPS, settings=settings)
    assert fault.key == "pops"
    with pytest.raises(ConfigurationFaults):
        read_declaration_text(POPS.encode(), settings)


def test_a_short_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trunkflow.toml"
    path.write_text(f'{NODE}[node.relay]\nkey = "{KEY[1:]}"\n')
    with pytest.raises(ConfigurationFaults) as caught:
        read_settings_file(path, {})
    assert [fault.key for fault in caught.value.faults] == ["node.relay.key"]
    assert KEY[1:] not in str(caught.value)


def test_a_node_without_a_key_does_not_start_among_pops() -> None:
    settings = Settings(base_domain="sip.example.com")
    pops = [Pop(name="eu1", region=Region.EU), Pop(name="us1", region=Region.US, address="192.0.2.2")]
    with pytest.raises(NodeError, match=r"node\.relay\.key: POPs have addresses \(us1\)"):
        check_relay(settings, Directory(base_domain="sip.example.com", pop="eu1", pops=pops))
    check_relay(settings, Directory(base_domain="sip.example.com", pop="eu1"))
