"""The tables of the API and of what it sets in motion: keys, webhooks, deliveries, calls, messages.

Like those of `voice.store.schema`, whose metadata they share.  Times are UTC seconds since the epoch,
money is in millionths of the currency's unit.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Double, ForeignKey, Index, Integer, Table, Text

from voice.store.schema import metadata

__all__ = ["metadata"]

_Money: Final = BigInteger


def _owner(*, nullable: bool = False) -> Column[str]:
    return Column("account_id", Text, ForeignKey("accounts.id", ondelete="CASCADE"), nullable=nullable)


api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    _owner(nullable=True),  # NULL: the operator's, which sees every account
    Column("label", Text, nullable=False),
    Column("mode", Text, nullable=False),  # live or test
    Column("scopes", Text, nullable=False),  # separated by blanks; * is all
    Column("shown", Text, nullable=False),  # the first characters, by which people know it
    Column("digest", Text, nullable=False, unique=True),  # SHA-256 of the key, in hexadecimal
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
)

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("id", Text, primary_key=True),
    _owner(),
    Column("secret", Text, nullable=False),  # what signs: the receiver has the same
    Column("created_at", Double, nullable=False),
    Column("signs_from", Double, nullable=False),  # the newest that has begun is the one that signs
    Column("revoked_at", Double),
    Index(None, "account_id"),
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", Text, primary_key=True),
    _owner(),
    Column("url", Text, nullable=False),
    Column("token", Text),
    Column("title", Text),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Index(None, "account_id", "created_at"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Text, primary_key=True),
    # What happened, to whom it is told: the same record told twice by a restart makes one delivery.
    Column("dedupe", Text, nullable=False, unique=True),
    Column("account_id", Text, nullable=False),
    Column("webhook_id", Text),
    Column("call_id", Text),
    Column("event", Text, nullable=False),  # callCreated, ..., voiceMessageReport, verifyReport
    Column("method", Text, nullable=False),  # POST, or GET with everything in the URL
    Column("url", Text, nullable=False),
    Column("destination", Text, nullable=False),  # scheme://host:port, which shares a place in the queue
    Column("body", Text, nullable=False),
    Column("token", Text),
    Column("created_at", Double, nullable=False),
    Column("state", Text, nullable=False),  # pending, delivered, failed
    Column("attempts", Integer, nullable=False),  # in all
    Column("retries", Integer, nullable=False),  # since it was made due, which a replay does anew
    Column("next_at", Double, nullable=False),
    Column("done_at", Double),
    Column("last_status", Integer),
    Column("last_error", Text),
    Index(None, "state", "next_at"),
    Index(None, "account_id", "created_at"),
)

delivery_attempts = Table(
    "delivery_attempts",
    metadata,
    Column("delivery_id", Text, ForeignKey("deliveries.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("at", Double, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("status", Integer),
    Column("error", Text),
)

outbound_calls = Table(
    "outbound_calls",
    metadata,
    Column("call_id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("origin", Text, nullable=False),  # call, voice_message, verify
    Column("source", Text, nullable=False),
    Column("destination", Text, nullable=False),  # as it is dialled: E.164 with +, or a SIP URI
    Column("document", Text),  # canonical XML
    Column("callflow_url", Text),  # or where it is fetched once answered
    Column("callflow_id", Text),
    Column("ring_seconds", Double, nullable=False),
    Column("max_seconds", Integer, nullable=False),
    Column("simulated", Integer, nullable=False),
    Column("state", Text, nullable=False),  # queued, claimed, dialled, over
    Column("node", Text),
    Column("leg_id", Text),  # of the claim: who has an older one is given nothing to dial with
    Column("created_at", Double, nullable=False),
    Column("not_before", Double, nullable=False),
    Column("claimed_at", Double),
    Column("dialled_at", Double),
    Index(None, "state", "not_before"),
)

commands = Table(
    "commands",
    metadata,
    Column("id", Text, primary_key=True),
    Column("call_id", Text, nullable=False),
    Column("leg_id", Text),
    Column("kind", Text, nullable=False),  # hangup, replace, add_leg, hangup_leg, hold, unhold
    Column("body", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("taken_at", Double),
    Column("done_at", Double),
    Column("outcome", Text),  # done, refused, gone
    Column("detail", Text),
    Index(None, "done_at", "created_at"),
)

transcriptions = Table(
    "transcriptions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("recording_id", Text, nullable=False, index=True),
    Column("call_id", Text, nullable=False),
    Column("leg_id", Text),
    Column("language", Text),
    Column("status", Text, nullable=False),  # created, transcribing, done, failed
    Column("reason", Text),
    Column("text", Text),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Index(None, "status"),
)

voice_messages = Table(
    "voice_messages",
    metadata,
    Column("id", Text, primary_key=True),  # 32 hexadecimal digits
    _owner(),
    Column("originator", Text),
    Column("body", Text, nullable=False),
    Column("reference", Text),
    Column("language", Text, nullable=False),
    Column("voice", Text, nullable=False),
    Column("repeat", Integer, nullable=False),
    Column("if_machine", Text, nullable=False),
    Column("machine_timeout", Integer, nullable=False),  # milliseconds
    Column("scheduled_at", Double),
    Column("report_url", Text),
    Column("simulated", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Index(None, "account_id", "created_at"),
)

voice_message_recipients = Table(
    "voice_message_recipients",
    metadata,
    Column("message_id", Text, ForeignKey("voice_messages.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("recipient", Text, nullable=False),  # digits
    Column("call_id", Text, nullable=False, unique=True),
    Column("status", Text, nullable=False),  # scheduled, calling, answered, failed, busy, machine
    Column("status_at", Double),
    Column("reported", Text),  # the status that was last reported
    Index(None, "status"),
)

verifications = Table(
    "verifications",
    metadata,
    Column("id", Text, primary_key=True),  # 32 hexadecimal digits
    _owner(),
    Column("recipient", Text, nullable=False),
    Column("originator", Text),
    Column("reference", Text),
    Column("type", Text, nullable=False),
    Column("template", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("voice", Text, nullable=False),
    Column("token_digest", Text, nullable=False),  # HMAC-SHA-256 with a key of the node, in hexadecimal
    Column("attempts", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("status", Text, nullable=False),  # sent, verified, expired, failed, deleted
    Column("call_id", Text, nullable=False),
    Column("message_id", Text),
    Column("report_url", Text),
    Column("created_at", Double, nullable=False),
    Column("valid_until", Double, nullable=False),
)

balances = Table(
    "balances",
    metadata,
    Column("account_id", Text, ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    Column("amount", _Money, nullable=False),
    Column("currency", Text, nullable=False),
    Column("payment", Text, nullable=False),  # prepaid: calls need a balance; postpaid: they do not
    Column("end_when_spent", Integer, nullable=False),
)
"""An account without a row is postpaid and not rated."""

rates = Table(
    "rates",
    metadata,
    Column("id", Text, primary_key=True),
    _owner(nullable=True),  # NULL: for every account that has none of its own for a prefix
    Column("prefix", Text, nullable=False),  # digits; the longest that fits counts
    Column("per_minute", _Money, nullable=False),  # charged by the second
    Column("currency", Text, nullable=False),
    Index(None, "account_id", "prefix"),
)

charges = Table(
    "charges",
    metadata,
    Column("leg_id", Text, primary_key=True),
    Column("call_id", Text, nullable=False, index=True),
    Column("account_id", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("seconds", Integer, nullable=False),
    Column("per_minute", _Money, nullable=False),
    Column("amount", _Money, nullable=False),
    Column("currency", Text, nullable=False),
)

bans = Table(
    "bans",
    metadata,
    Column("address", Text, primary_key=True),  # IPv4 address, or IPv6 network of 64 bits
    Column("since", Double, nullable=False),
    Column("until", Double, nullable=False),  # not after since: it was released
    Column("reason", Text, nullable=False),
    Column("level", Integer, nullable=False),
    Column("proven", Boolean, nullable=False),
    Column("version", BigInteger, nullable=False, index=True),  # of the bans, that wrote this row
    Index(None, "until"),
)

limit_ledgers = Table(
    "limit_ledgers",
    metadata,
    Column("id", Text, primary_key=True),  # of a machine's file of limits
    Column("at", Double, nullable=False),  # when it was last heard of
)

limit_usage = Table(
    "limit_usage",
    metadata,
    Column("ledger", Text, primary_key=True),
    Column("subject", Text, primary_key=True),  # an account, domain or SIP account, in hexadecimal
    Column("at", Double, nullable=False),
    Column("day", Integer, nullable=False),  # in UTC, since the epoch
    Column("places", Integer, nullable=False),
    Column("seconds", Double, nullable=False),  # talked on that day
    Column("spend", Double, nullable=False),  # on that day, in millionths
)
