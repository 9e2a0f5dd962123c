"""What can be configured over HTTP, and that it is checked as a configuration file is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sip_config.configuration import Configuration
from sip_config.credentials import ha1_for_all
from sip_config.directory import Directory
from sip_config.routing import RunCallflow, route_from_gateway
from tests.api.world import ACME, NUMBER, OTHER, World
from voice.settings import RelaySettings
from voice.store.config import ConfigStore

REALM = "sip.example.com"
FLOW = '<callflow><steps><step id="a" action="hangup"/></steps></callflow>'


async def configured(api: World) -> Configuration:
    store = ConfigStore(api.database, media_folder=api.settings.media_directory)
    return (await store.load(realm=REALM))[0]


async def made(api: World, path: str, body: Any, *, key: str = "live") -> dict[str, Any]:
    answer = await api.ask("POST", path, body, key=key)
    assert answer.status == 201, answer.content
    found: dict[str, Any] = answer.json
    return found


def problems(answer: Any) -> dict[str, str]:
    assert answer.status == 422, answer.content
    return {error["parameter"]: error["description"] for error in answer.errors}


async def test_an_account_is_made_changed_and_deleted_with_all_it_has(api: World) -> None:
    account = await made(api, "/accounts", {"name": "new", "callsPerSecond": "2.5"}, key="operator")
    assert (account["callsPerSecond"], account["concurrentCalls"], account["origin"]) == (2.5, 10, "api")
    await made(api, "/sip/domains?account=new", {"label": "new"}, key="operator")
    answer = await api.ask("PUT", "/accounts/new", {"concurrentCalls": 3}, key="operator")
    assert (answer.json["name"], answer.json["concurrentCalls"]) == ("new", 3)
    assert (await api.ask("DELETE", f"/accounts/{account['id']}", key="operator")).status == 204
    assert (await configured(api)).domains == ()
    assert (await api.ask("GET", f"/accounts/{account['id']}", key="operator")).status == 404


async def test_an_account_changes_its_fallback_but_not_its_limits(api: World) -> None:
    refused = await api.ask("PUT", f"/accounts/{ACME}", {"concurrentCalls": 1_000})
    assert refused.status == 401
    answer = await api.ask("PUT", f"/accounts/{ACME}", {"fallbackCallflowId": "gone"})
    assert "fallbackCallflowId" in problems(answer)


async def test_what_an_account_may_show_of_its_callers_is_the_operators_to_say(api: World) -> None:
    assert (await api.ask("PUT", f"/accounts/{ACME}", {"identity": {"others": "pass"}})).status == 401
    given = {
        "country": "NL",
        "callerId": NUMBER,
        "verified": ["+442079460000", "+31101234567"],
        "ranges": ["+31201234500-+31201234599"],
        "others": "refuse",
    }
    answer = await api.ask("PUT", f"/accounts/{ACME}", {"identity": given}, key="operator")
    assert answer.json["identity"] == {**given, "verified": ["+31101234567", "+442079460000"]}
    answer = await api.ask("PUT", f"/accounts/{ACME}", {"identity": {"others": "replace"}}, key="operator")
    assert answer.json["identity"]["ranges"] == ["+31201234500-+31201234599"]
    (stored,) = [account for account in (await configured(api)).accounts if account.id == ACME]
    assert stored.identity.allows("+31201234550")
    assert stored.identity.others == "replace"
    answer = await api.ask(
        "PUT", f"/accounts/{ACME}", {"identity": {"ranges": ["+31-+32"], "country": "Mars"}}, key="operator"
    )
    assert set(problems(answer)) == {"identity/ranges/0", "identity/country"}


async def test_lists_have_the_envelope_and_links_of_the_rest_api(api: World) -> None:
    answer = await api.ask("GET", "/v1/accounts/?limit=1&offset=1", key="operator")
    assert answer.status == 200
    assert (answer.json["offset"], answer.json["limit"], answer.json["count"]) == (1, 1, 1)
    assert answer.json["totalCount"] == 2
    assert answer.json["links"]["previous"].endswith("/accounts?offset=0&limit=1")
    assert answer.json["links"]["next"] is None
    assert answer.json["items"][0]["name"] == "other"


async def test_a_list_with_networks_and_sip_accounts(api: World) -> None:
    acl = await made(
        api,
        "/sip/acls",
        {
            "name": "office",
            "networks": ["192.0.2.0/24", "192.0.2.0/24", "2001:db8::1"],
            "sipAccounts": [{"username": "pbx", "password": "correct horse"}],
        },
    )
    assert acl["networks"] == ["192.0.2.0/24", "2001:db8::1/128"]
    assert [user["username"] for user in acl["sipAccounts"]] == ["pbx"]
    assert "correct horse" not in str(acl)
    (stored,) = (await configured(api)).acls
    expected = ha1_for_all(username="pbx", realm=REALM, password="correct horse")
    assert stored.sip_accounts[0].ha1 == expected
    kept = {"sipAccounts": [{"username": "pbx"}, {"username": "second", "password": "x"}], "networks": []}
    changed = await api.ask("PUT", "/sip/acls/office", kept)
    assert (changed.json["networks"], len(changed.json["sipAccounts"])) == ([], 2)
    (stored,) = (await configured(api)).acls
    assert stored.sip_accounts[0].ha1 == expected


async def test_networks_and_sip_accounts_one_by_one(api: World) -> None:
    await made(api, "/sip/acls", {"name": "office"})
    network = await made(api, "/sip/acls/office/networks", {"network": "198.51.100.7"})
    assert network["network"] == "198.51.100.7/32"
    user = await made(api, "/sip/acls/office/sip-accounts", {"username": "pbx"})
    (stored,) = (await configured(api)).acls
    assert stored.sip_accounts[0].ha1 == ha1_for_all(username="pbx", realm=REALM, password=user["password"])
    twice = await api.ask("POST", "/sip/acls/office/sip-accounts", {"username": "pbx"})
    assert problems(twice)["username"].startswith("The list has a SIP account pbx already.")
    again = await api.ask("PUT", "/sip/acls/office/sip-accounts/pbx", {"password": "new one"})
    assert again.status == 200
    assert "password" not in again.json
    (stored,) = (await configured(api)).acls
    assert stored.sip_accounts[0].ha1 == ha1_for_all(username="pbx", realm=REALM, password="new one")
    listed = await api.ask("GET", "/sip/acls/office/sip-accounts")
    assert [item["id"] for item in listed.json["items"]] == [user["id"]]
    path = network["href"].partition("/sip/")[2]
    assert (await api.ask("DELETE", f"/sip/{path}")).status == 204
    assert (await api.ask("DELETE", f"/sip/{path}")).status == 404
    assert (await api.ask("DELETE", f"/sip/acls/office/sip-accounts/{user['id']}")).status == 204
    (stored,) = (await configured(api)).acls
    assert (stored.networks, stored.sip_accounts) == ((), ())


async def test_all_faults_of_a_list_are_said_at_once(api: World) -> None:
    body = {
        "name": "a/b",
        "networks": ["192.0.2.0/24", "192.0.2.1/24"],
        "sipAccounts": [{"username": "a b", "password": "x"}, {"username": "good"}, {"password": "x"}],
    }
    found = problems(await api.ask("POST", "/sip/acls", body))
    assert set(found) == {
        "name",
        "networks/1",
        "sipAccounts/0/username",
        "sipAccounts/1/password",
        "sipAccounts/2/username",
    }
    assert "Write 192.0.2.0/24 for the whole network" in found["networks/1"]


async def test_a_domain_names_lists_by_name_and_loses_those_that_go(api: World) -> None:
    acl = await made(api, "/sip/acls", {"name": "office", "networks": "192.0.2.1"})
    domain = await made(
        api, "/sip/domains", {"label": "Acme", "aclIds": ["office"], "algorithms": ["SHA-256", "MD5"]}
    )
    assert (domain["label"], domain["name"]) == ("acme", "acme.sip.example.com")
    assert domain["aclIds"] == [acl["id"]]
    assert "acme.eu1.sip.example.com" in domain["boundNames"]
    assert (await api.ask("GET", "/sip/acls/office")).json["domains"] == ["acme"]
    assert (await api.ask("DELETE", "/sip/acls/office")).status == 204
    assert (await api.ask("GET", "/sip/domains/acme")).json["aclIds"] == []
    taken = await api.ask("POST", "/sip/domains", {"label": "ACME"}, key="other")
    assert problems(taken) == {"label": "The domain label acme is taken. Choose another."}
    assert taken.errors[0]["code"] == 101
    unknown = await api.ask(
        "POST", "/sip/domains", {"label": "a-b", "aclIds": ["gone"], "homeRegion": "MARS"}
    )
    assert set(problems(unknown)) == {"label", "aclIds/0", "homeRegion"}


async def test_a_number_is_given_by_the_operator_and_answered_as_the_account_says(api: World) -> None:
    assert (await api.ask("POST", "/numbers", {"number": "+31201111111"})).status == 401
    body = {"number": "0031 20 111 11 11"}
    number = await made(api, "/numbers?account=acme", body, key="operator")
    assert (number["number"], number["accountId"], number["origin"]) == ("+31201111111", ACME, "api")
    assert number["createdAt"] == number["updatedAt"]
    url = "https://app.example.com/flow"
    answer = await api.ask("PUT", "/numbers/+31201111111", {"callflowUrl": url})
    assert answer.json["callflowUrl"] == url
    moved = await api.ask("PUT", f"/numbers/{number['id']}", {"number": "+31202222222"})
    assert "number" in problems(moved)
    taken = await api.ask("POST", "/numbers?account=other", body, key="operator")
    assert set(problems(taken)) == {"number"}
    short = await api.ask("POST", "/numbers?account=other", {"number": "+31201234567890"}, key="operator")
    assert "too short" in problems(short)["number"]
    assert (await api.ask("DELETE", f"/numbers/{number['id']}")).status == 204


async def test_a_callflow_takes_the_place_of_an_address_and_the_other_way_round(api: World) -> None:
    text = f"[accounts.acme.callflows.main]\ndocument = '''{FLOW}'''\n[accounts.acme.numbers.'{NUMBER}']\n"
    assert (await api.ask("PUT", "/configuration", raw=text, key="operator")).status == 200
    url = "https://app.example.com/flow"
    path = f"/numbers/{NUMBER}"
    await api.ask("PUT", f"{path}?account=acme", {"callflowUrl": url}, key="operator")
    with_flow = (await api.ask("PUT", path, {"callflowId": "main"})).json
    (flow,) = (await configured(api)).callflows
    assert (with_flow["callflowId"], with_flow["callflowUrl"]) == (flow.id, None)
    assert (await api.ask("PUT", path, {"callflowUrl": url})).json["callflowId"] is None
    both = await api.ask("PUT", path, {"callflowUrl": url, "callflowId": "main"})
    assert set(problems(both)) == {"callflowUrl"}
    neither = (await api.ask("PUT", path, {"callflowUrl": None})).json
    assert (neither["callflowId"], neither["callflowUrl"]) == (None, None)


async def test_gateways_are_the_operators_and_never_show_their_password(api: World) -> None:
    body = {
        "name": "carrier",
        "host": "carrier.example",
        "prefixes": ["31", ""],
        "username": "u",
        "password": "very secret",
        "callerIdRule": "own",
        "callerId": "+31201234567",
    }
    assert (await api.ask("POST", "/sip/gateways", body)).status == 401
    shared = await made(api, "/sip/gateways", body, key="operator")
    assert shared["accountId"] is None
    own = await made(api, "/sip/gateways?account=acme", {**body, "name": "own"}, key="operator")
    assert own["prefixes"] == ["", "31"]
    shown = await api.ask("GET", "/sip/gateways")
    assert [item["name"] for item in shown.json["items"]] == ["own"]
    assert b"very secret" not in shown.content
    assert (await api.ask("GET", f"/sip/gateways/{shared['id']}")).status == 404
    half = await api.ask("PUT", "/sip/gateways/carrier", {"password": None}, key="operator")
    assert "password" in problems(half)
    bare = await api.ask(
        "PUT", "/sip/gateways/carrier", {"password": None, "username": None, "port": "5080"}, key="operator"
    )
    assert (bare.json["username"], bare.json["port"]) == (None, 5080)
    faulty = {"name": "x", "host": "192.0.2.300", "port": 0, "transport": "SCTP", "prefixes": ["0031"]}
    found = problems(await api.ask("POST", "/sip/gateways", faulty, key="operator"))
    assert set(found) == {"host", "port", "transport", "prefixes"}


async def test_a_gateway_with_tls_has_the_port_of_tls_unless_it_is_said(api: World) -> None:
    carrier = await made(
        api, "/sip/gateways", {"name": "c", "host": "c.example", "transport": "TLS"}, key="operator"
    )
    assert (carrier["transport"], carrier["port"]) == ("TLS", 5061)
    path = f"/sip/gateways/{carrier['id']}"
    assert (await api.ask("PUT", path, {"transport": "UDP"}, key="operator")).json["port"] == 5060
    assert (await api.ask("PUT", path, {"port": 5080}, key="operator")).json["port"] == 5080
    assert (await api.ask("PUT", path, {"transport": "TLS"}, key="operator")).json["port"] == 5080
    refused = problems(await api.ask("PUT", path, {"transport": "WSS"}, key="operator"))
    assert "TLS" in refused["transport"]


async def test_the_usual_points_of_presence_are_written_down_with_the_first_change(api: World) -> None:
    listed = await api.ask("GET", "/sip/pops", key="operator")
    assert [pop["name"] for pop in listed.json["items"]][:2] == ["eu1", "eu2"]
    await made(api, "/sip/pops", {"name": "eu3", "region": "eu", "address": "192.0.2.3:5060"}, key="operator")
    assert len((await configured(api)).pops) == 7
    moved = await api.ask("PUT", "/sip/pops/us1", {"address": "[2001:db8::1]:5060"}, key="operator")
    assert moved.json["address"] == "[2001:db8::1]:5060"
    assert (await api.ask("DELETE", "/sip/pops/eu3", key="operator")).status == 204
    own = await api.ask("DELETE", "/sip/pops/eu1", key="operator")
    assert own.errors[0]["description"].startswith("POP eu1 is the one that answers here")


async def test_a_sound_is_uploaded_replaced_and_deleted(api: World) -> None:
    answer = await api.ask("PUT", "/media/tune%20one.wav", raw=b"RIFF one")
    assert (answer.status, answer.json["size"], answer.json["name"]) == (200, 8, "tune one.wav")
    path = api.settings.media_directory / ACME / "tune one.wav"
    assert path.read_bytes() == b"RIFF one"
    again = await api.ask("PUT", "/media/tune%20one.wav", raw=b"RIFF two!")
    assert again.json["id"] == answer.json["id"]
    assert path.read_bytes() == b"RIFF two!"
    assert (await api.ask("GET", "/media/tune%20one.wav", key="other")).status == 404
    assert (await api.ask("DELETE", "/media/tune%20one.wav")).status == 204
    assert not path.exists()
    for name in ("tune.exe", "..%2Ftune.wav", ".wav", "tune"):
        refused = await api.ask("PUT", f"/media/{name}", raw=b"RIFF")
        assert set(problems(refused)) == {"name"}
    assert set(problems(await api.ask("PUT", "/media/tune.wav"))) == {"body"}


async def test_a_file_is_applied_beside_what_the_api_made(api: World) -> None:
    await made(api, "/sip/acls", {"name": "office", "networks": ["192.0.2.1"]})
    await made(api, "/sip/acls", {"name": "mine"})
    await api.ask("PUT", "/media/tune.wav", raw=b"RIFF")
    text = '[accounts.acme.acls.office]\nnetworks = ["192.0.2.2"]\n[accounts.other]\n'
    dry = await api.ask("PUT", "/configuration?dryRun=true", raw=text, key="operator")
    assert dry.status == 200, dry.content
    wet = await api.ask("PUT", "/configuration", raw=text, key="operator")
    assert dry.json["changes"] == wet.json["changes"]
    assert wet.json["version"] > dry.json["version"]
    by_name = {change["name"]: change for change in wet.json["changes"]}
    assert by_name["acl acme/office"]["details"] == [
        "networks: -192.0.2.1/32, +192.0.2.2/32",
        "origin: api -> file",
    ]
    assert "acl acme/mine" not in by_name
    assert {acl.name: str(acl.origin) for acl in (await configured(api)).acls} == {
        "office": "file",
        "mine": "api",
    }
    assert [media.name for media in (await configured(api)).media] == ["tune.wav"]
    # An entry of the file that was changed here is set back.
    await api.ask("PUT", "/sip/acls/office", {"networks": []})
    back = await api.ask("PUT", "/configuration", raw=text, key="operator")
    assert [change["name"] for change in back.json["changes"]] == ["acl acme/office"]


async def test_a_faulty_file_is_refused_whole_with_all_its_faults(api: World) -> None:
    media = "[accounts.acme.media.'a.wav']\nfile = '/etc/passwd'\n"
    text = f"[accounts.acme]\ncalls_per_second = 0\n{media}[nodes]\n"
    found = problems(await api.ask("PUT", "/configuration", raw=text, key="operator"))
    assert set(found) == {"accounts.acme.calls_per_second", 'accounts.acme.media."a.wav".file', "nodes"}
    assert found["accounts.acme.calls_per_second"].startswith("Line 2: ")
    bad = await api.ask("PUT", "/configuration", raw=b"\xff", key="operator")
    assert "not UTF-8" in bad.errors[0]["description"]
    assert (await api.ask("PUT", "/configuration", raw="", key="live")).status == 401


async def test_a_file_cannot_take_what_the_api_gave_to_another_account(api: World) -> None:
    await made(api, "/sip/domains", {"label": "taken"}, key="other")
    text = "[accounts.acme.domains.taken]\n[accounts.other]\n"
    answer = await api.ask("PUT", "/configuration", raw=text, key="operator")
    assert answer.status == 422
    assert "account acme and in account other" in answer.errors[0]["description"]


async def test_changes_at_the_same_time_are_all_kept(api: World) -> None:
    await made(api, "/sip/acls", {"name": "office"})
    answers = await asyncio.gather(
        *(api.ask("POST", "/sip/acls/office/networks", {"network": f"192.0.2.{at}"}) for at in range(1, 13)),
        *(api.ask("POST", "/sip/domains", {"label": f"d{at}"}) for at in range(6)),
    )
    assert {answer.status for answer in answers} == {201}
    found = await configured(api)
    assert len(found.acls[0].networks) == 12
    assert len(found.domains) == 6


async def test_of_two_that_want_the_same_label_one_gets_it(api: World) -> None:
    answers = await asyncio.gather(
        *(api.ask("POST", "/sip/domains", {"label": "one"}, key=key) for key in ("live", "other"))
    )
    assert sorted(answer.status for answer in answers) == [201, 422]


async def test_what_an_edge_asks_knows_the_default_callflow(api: World) -> None:
    text = f"[accounts.acme.callflows.main]\ndefault = true\ndocument = '''{FLOW}'''\n"
    await api.ask("PUT", "/configuration", raw=text + "[accounts.other]\n", key="operator")
    await made(api, "/numbers?account=acme", {"number": "+31201111111"}, key="operator")
    gateway = await made(api, "/sip/gateways", {"name": "c", "host": "192.0.2.9"}, key="operator")
    directory = Directory.of(await configured(api), base_domain=REALM, pop="eu1")
    (carrier,) = [one for one in directory.gateways if one.id == gateway["id"]]
    route = route_from_gateway(directory, carrier, "+31201111111")
    assert isinstance(route, RunCallflow)
    assert directory.owns(ACME, "+31201111111")
    assert not directory.owns(OTHER, "+31201111111")


@pytest.mark.parametrize("path", ["/sip/acls/%00", "/sip/acls/" + "x" * 900, "/sip/domains/%F0%9F%98%80"])
async def test_odd_names_find_nothing(api: World, path: str) -> None:
    assert (await api.ask("GET", path)).status == 404


async def test_without_a_relay_key_no_other_point_of_presence_gets_an_address(api: World) -> None:
    object.__setattr__(api.settings, "relay", RelaySettings())
    body = {"name": "eu3", "region": "EU", "address": "192.0.2.3:5060"}
    refused = await api.ask("POST", "/sip/pops", body, key="operator")
    assert refused.status == 422
    assert "[node.relay]" in refused.errors[0]["description"]
    assert (await api.ask("POST", "/sip/pops", {**body, "address": None}, key="operator")).status == 201
