"""A node's configuration and records, for commands to be run on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from voice.records import CallStarted, Direction, Record
from voice.store.database import Database, sqlite_url
from voice.store.journal import StoreJournal

NODE = '[node]\nbase_domain = "sip.example.com"\ndata_directory = "data"\n'
FLOW = '<callflow><steps><step id="end" action="hangup"/></steps></callflow>'
DECLARED = f"""
[accounts.acme.acls.office]
networks = ["192.0.2.0/24"]
[accounts.acme.acls.roaming.sip_accounts]
pbx = {{ password = "correct horse" }}
[accounts.acme.domains.acme]
acls = ["office", "roaming"]
callflow = "bye"
[accounts.acme.callflows.bye]
document = '{FLOW}'
[accounts.acme.numbers."+31201234567"]
callflow_url = "https://app.example.com/flow"
[accounts.beta.domains.beta]
[gateways.carrier]
host = "2001:db8::7"
priority = 5
username = "u"
password = "battery staple"
[accounts.acme.gateways.own]
host = "pbx.example"
prefixes = ["31"]
"""
CALL = "0f7c2a5e-1111-4222-8333-444455556666"
BEGUN = 1_767_225_600.0  # 2026-01-01

Run = Callable[..., tuple[int, str, str]]


def remember(folder: Path, *records: Record) -> None:
    async def write() -> None:
        async with await Database.open(sqlite_url(folder / "data" / "trunkflow.db")) as database:
            journal = StoreJournal(database, clock=lambda: BEGUN, gather_seconds=0)
            journal.start()
            for record in records:
                journal.write(record)
            await journal.close()

    asyncio.run(write())


def started(call_id: str, at: float = BEGUN, **more: Any) -> CallStarted:
    return CallStarted(
        call_id=call_id,
        at=at,
        account_id="gone",
        direction=Direction.INCOMING,
        source="+31201111111",
        destination="+31202222222",
        domain="acme",
        acl="roaming",
        source_address="192.0.2.1",
        **more,
    )
