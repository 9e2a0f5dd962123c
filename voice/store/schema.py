"""The tables.

Times are UTC seconds since the epoch.  Tables of what happened (calls and below) refer to nothing by
foreign key: they outlive what they mention, and their rows arrive in pieces.  The migrations under
`voice.store.migrations` make these tables; a test holds the two equal.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

# Constraints have names of their own, so that a later migration can change them on every database.
metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _origin() -> Column[str]:
    """Who manages a configured entry: ``file`` (trunkflow apply) or ``api``."""
    return Column("origin", Text, nullable=False, server_default="file")


def _part(name: str) -> Column[str]:
    """A part of an entry that is stored whole, as a JSON object: see `voice.store.rows`."""
    return Column(name, Text, nullable=False, server_default="{}")


_Serial: Final = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up by itself for INTEGER only


def _owner() -> Column[str]:
    return Column("account_id", Text, ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False)


state = Table(
    "state",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
"""Single values: the version of the configuration."""

secrets = Table(
    "secrets",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("made_at", Double, nullable=False),
)
"""Keys of the node, made once, in hexadecimal."""

accounts = Table(
    "accounts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("calls_per_second", Double, nullable=False),
    Column("concurrent_calls", Integer, nullable=False),
    Column("max_call_seconds", Integer, nullable=False),
    # No foreign key: accounts and callflows would point at each other.
    Column("fallback_callflow_id", Text),
    _part("limits"),
    _part("identity"),
    _origin(),
)

callflows = Table(
    "callflows",
    metadata,
    Column("id", Text, primary_key=True),
    _owner(),
    Column("title", Text, nullable=False),
    Column("document", Text, nullable=False),
    _origin(),
    Column("created_at", Double),
    Column("updated_at", Double),
    Column("shown_title", Text),  # what the API calls it, where that is not its title: need not be unique
    Column("is_default", Integer, nullable=False, server_default="0"),  # for numbers that have no flow
    UniqueConstraint("account_id", "title"),
)

media_files = Table(
    "media_files",
    metadata,
    Column("id", Text, primary_key=True),
    _owner(),
    Column("name", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    _origin(),
    UniqueConstraint("account_id", "name"),
)

acls = Table(
    "acls",
    metadata,
    Column("id", Text, primary_key=True),
    _owner(),
    Column("name", Text, nullable=False),
    Column("certificates", Text, nullable=False, server_default="[]"),  # a JSON list of names
    _origin(),
    UniqueConstraint("account_id", "name"),
)

acl_networks = Table(
    "acl_networks",
    metadata,
    Column("acl_id", Text, ForeignKey("acls.id", ondelete="CASCADE"), primary_key=True),
    Column("network", Text, primary_key=True),
)

sip_accounts = Table(
    "sip_accounts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("acl_id", Text, ForeignKey("acls.id", ondelete="CASCADE"), nullable=False),
    Column("username", Text, nullable=False),
    _part("limits"),
    UniqueConstraint("acl_id", "username"),
)

ha1s = Table(
    "ha1s",
    metadata,
    Column("sip_account_id", Text, ForeignKey("sip_accounts.id", ondelete="CASCADE"), primary_key=True),
    Column("algorithm", Text, primary_key=True),
    Column("realm", Text, nullable=False),
    Column("ha1", Text, nullable=False),
)

domains = Table(
    "domains",
    metadata,
    Column("id", Text, primary_key=True),
    _owner(),
    Column("label", Text, nullable=False, unique=True),
    Column("algorithms", Text, nullable=False),  # tokens, most preferred first, separated by blanks
    Column("home_region", Text, nullable=False),
    Column("callflow_id", Text, ForeignKey("callflows.id", ondelete="SET NULL")),
    Column("callflow_url", Text),
    Column("srtp", Text, nullable=False, server_default="optional"),
    _part("limits"),
    _origin(),
)

domain_acls = Table(
    "domain_acls",
    metadata,
    Column("domain_id", Text, ForeignKey("domains.id", ondelete="CASCADE"), primary_key=True),
    Column("acl_id", Text, ForeignKey("acls.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, nullable=False),
)

numbers = Table(
    "numbers",
    metadata,
    Column("id", Text, primary_key=True),
    _owner(),
    Column("e164", Text, nullable=False, unique=True),
    Column("callflow_id", Text, ForeignKey("callflows.id", ondelete="SET NULL")),
    Column("callflow_url", Text),
    _origin(),
    Column("created_at", Double),
    Column("updated_at", Double),
)

gateways = Table(
    "gateways",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id", ondelete="CASCADE")),
    Column("name", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("port", Integer, nullable=False),
    Column("transport", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("username", Text),
    Column("password", Text),
    Column("caller_id_rule", Text, nullable=False),
    Column("caller_id", Text),
    Column("number_format", Text, nullable=False),
    Column("attempt_seconds", Double, nullable=False),
    Column("srtp", Text, nullable=False, server_default="optional"),
    _part("options"),
    _origin(),
    UniqueConstraint("account_id", "name"),
)

gateway_prefixes = Table(
    "gateway_prefixes",
    metadata,
    Column("gateway_id", Text, ForeignKey("gateways.id", ondelete="CASCADE"), primary_key=True),
    Column("prefix", Text, primary_key=True),
)

gateway_states = Table(
    "gateway_states",
    metadata,
    # No foreign key: what a node says of a gateway that has just gone is no fault.
    Column("node", Text, primary_key=True),
    Column("gateway_id", Text, primary_key=True),
    Column("state", Text, nullable=False),  # a JSON object
    Column("at", Double, nullable=False),
)

pops = Table(
    "pops",
    metadata,
    Column("name", Text, primary_key=True),
    Column("region", Text, nullable=False),
    Column("address", Text),
    _origin(),
)

calls = Table(
    "calls",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text),
    Column("direction", Text),
    Column("status", Text),
    Column("source", Text),
    Column("destination", Text),
    Column("domain", Text),
    Column("acl", Text),
    Column("sip_account", Text),
    Column("number_id", Text),
    Column("callflow_id", Text),
    Column("sip_call_id", Text),
    Column("source_address", Text),
    Column("node", Text),  # whose call processes run it; NULL for a plain trunk call
    Column("started_at", Double),
    Column("answered_at", Double),
    Column("updated_at", Double),
    Column("ended_at", Double),
    Column("end_reason", Text),
    Column("origin", Text),  # NULL: SIP; else call, voice_message, verify
    Column("simulated", Integer),
    Column("webhook_url", Text),
    Column("webhook_token", Text),
    Column("relayed_by", Text),  # the POP that let it in; NULL: the one that handles it
    Index(None, "started_at"),
    Index(None, "ended_at"),  # few have not ended, and those are looked for
    Index(None, "account_id", "started_at"),
)

legs = Table(
    "legs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("call_id", Text, nullable=False, index=True),
    Column("direction", Text),
    Column("source", Text),
    Column("destination", Text),
    Column("gateway", Text),
    Column("status", Text),
    Column("sip_status", Integer),
    Column("sip_reason", Text),
    Column("started_at", Double),
    Column("ringing_at", Double),
    Column("answered_at", Double),
    Column("updated_at", Double),
    Column("ended_at", Double),
    Column("codec", Text),
    Column("received_packets", BigInteger),
    Column("received_lost", BigInteger),
    Column("received_jitter_ms", Double),
    Column("sent_packets", BigInteger),
    Column("sent_lost", BigInteger),
    Column("sent_jitter_ms", Double),
    Column("cost", BigInteger),  # in millionths of the currency's unit
    Column("currency", Text),
)

steps = Table(
    "steps",
    metadata,
    Column("call_id", Text, primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("step_id", Text),
    Column("action", Text),
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("outcome", Text),
    Column("detail", Text),
    Column("seconds", Double),
)

recordings = Table(
    "recordings",
    metadata,
    Column("id", Text, primary_key=True),
    Column("call_id", Text, nullable=False, index=True),
    Column("leg_id", Text),
    Column("kind", Text),
    Column("path", Text),
    Column("status", Text),
    Column("started_at", Double),
    Column("ended_at", Double),
    Column("seconds", Double),
    Column("size", BigInteger),
    Column("updated_at", Double),
    Column("deleted_at", Double),
)

refusals = Table(
    "refusals",
    metadata,
    Column("id", _Serial, primary_key=True, autoincrement=True),
    Column("at", Double, nullable=False, index=True),
    Column("gate", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("remedy", Text, nullable=False),
    Column("cause", Text, nullable=False, server_default=""),
    Column("acl", Text),
    Column("sip_account", Text),
    Column("sip_status", Integer, nullable=False),
    Column("source_address", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("request_uri", Text, nullable=False),
    Column("from_uri", Text, nullable=False),
    Column("sip_call_id", Text, nullable=False),
    Column("account_id", Text),
    Column("domain", Text),
    Column("count", Integer, nullable=False),
    Index(None, "account_id", "at"),
)

events = Table(
    "events",
    metadata,
    Column("id", _Serial, primary_key=True, autoincrement=True),
    Column("at", Double, nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("call_id", Text, index=True),
    Column("account_id", Text),
    Column("data", Text, nullable=False),  # a JSON object of texts
)
