"""A telephone system is let in as soon as the API says so, and a call goes where it says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.e2e.flows import flow, hangup
from tests.e2e.node import BASE_DOMAIN, NUMBER, PASSWORD, USER, Platform, platform
from voice.api.admin.resources import operations
from voice.api.server import ApiServer
from voice.api.services import Services
from voice.live import NodeState
from voice.settings import ApiSettings, SocketAddress
from voice.store.access_keys import AccessKeys
from voice.store.database import Database

PATIENCE_SECONDS = 20.0
ELSEWHERE = f"[accounts.elsewhere.callflows.main]\ndefault = true\ndocument = '''{flow(hangup('gone'))}'''\n"


class Client:
    def __init__(self, session: aiohttp.ClientSession, url: str, key: str, here: Platform) -> None:
        self._session = session
        self._url = url
        self._key = key
        self._here = here

    async def ask(self, method: str, path: str, body: Any = None, *, raw: str | None = None) -> Any:
        headers = {"Authorization": f"AccessKey {self._key}"}
        async with self._session.request(
            method, self._url + path, json=body, data=raw, headers=headers
        ) as answer:
            assert answer.status < 300, await answer.text()
            return None if answer.status == 204 else await answer.json()

    async def in_force(self) -> None:
        """Returns when the edge has what was configured last."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            wanted = (await self.ask("GET", "/sip/live"))["configurationVersion"]
            while self._here.node.directory().version != wanted:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def client_of(here: Platform) -> AsyncIterator[Client]:
    """An API beside the node, as it runs alone: both know of each other only by the database."""
    api = ApiSettings(listen=(SocketAddress(host="127.0.0.1", port=0),))
    async with await Database.of(here.settings) as database:
        keys = AccessKeys(database, time.time)
        key, _ = await keys.create(None)
        state = NodeState(here.node.edge, here.node.pool)
        services = Services(settings=here.settings, database=database, keys=keys, live=state)
        async with (
            ApiServer(api, services, operations(services)) as server,
            aiohttp.ClientSession() as session,
        ):
            yield Client(session, f"http://{server.addresses[0]}", key, here)


async def test_from_an_empty_node_to_a_call(tmp_path: Path) -> None:
    async with platform(tmp_path, ELSEWHERE) as here, client_of(here) as api:
        await api.ask("POST", "/accounts", {"name": "acme"})
        acl = {"name": "office", "networks": ["127.0.0.0/8"]}
        await api.ask("POST", "/sip/acls?account=acme", acl)
        user = {"username": USER, "password": PASSWORD}
        await api.ask("POST", "/sip/acls/office/sip-accounts", user)
        await api.ask("POST", "/sip/domains?account=acme", {"label": "acme", "aclIds": ["office"]})
        await api.ask("POST", "/numbers?account=acme", {"number": NUMBER})
        await api.in_force()
        async with here.pbx() as admitted:
            assert await admitted.ended() == 404  # let in; nothing answers yet
        text = f"[accounts.acme.callflows.main]\ndocument = '''{flow(hangup('gone'))}'''\n"
        await api.ask("PUT", "/configuration", raw=ELSEWHERE + text)
        await api.ask("PUT", f"/numbers/{NUMBER}", {"callflowId": "main"})
        await api.in_force()
        async with here.pbx() as answered:
            assert await answered.ended() == 410
        live = await api.ask("GET", "/sip/live")
        assert live["node"]["edge"]["callsBegun"] >= 1
        assert live["node"]["pool"]["runningCalls"] == 0
        await api.ask("PUT", "/sip/acls/office/sip-accounts/pbx", {"password": "another one"})
        await api.in_force()
        async with here.pbx() as locked_out:
            assert await locked_out.ended() == 407  # asked for the password again
        refusals = await _refusals(api)
        assert {refusal["domain"] for refusal in refusals} == {"acme"}
        gates = {one["gate"]: one["verdict"] for one in refusals[0]["gates"]}
        assert (gates["acl"], gates["digest"], gates["limits"]) == ("passed", "refused", "not asked")
        await api.ask("DELETE", "/accounts/acme")
        await api.in_force()
        assert here.node.directory().domain_for_host(f"acme.{BASE_DOMAIN}") is None
        # Nothing admits that address any more, so it is not even answered.
        assert not here.node.directory().could_admit("127.0.0.1")


async def _refusals(api: Client) -> list[Any]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (
            found := (await api.ask("GET", "/sip/refusals?domain=ACME&cause=wrong-password"))["items"]
        ):
            await asyncio.sleep(0.05)
    items: list[Any] = found
    return items
