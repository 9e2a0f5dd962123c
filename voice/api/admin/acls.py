"""Access control lists: the networks and SIP accounts that are let in."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Final
from urllib.parse import quote

from sip_config import words
from sip_config.call_limits import UNLIMITED
from sip_config.configuration import Configuration, new_id
from sip_config.credentials import ha1_for_all
from sip_config.faults import Unfit
from sip_config.model import Acl, AclId, Origin, SipAccount
from sip_config.networks import Network, network_order, parse_network
from voice.api.admin import shapes
from voice.api.admin.editing import Editor, full, page_of
from voice.api.admin.entries import Entries, Kind, operations_of, owner_of
from voice.api.admin.limit_fields import LIMITS, read_limits, shown_limits
from voice.api.admin.reading import NAME, PASSWORD, USERNAME
from voice.api.faults import Code, Conflict, Family, Json, NotFound
from voice.api.fields import Fields
from voice.api.operation import Account as Owner
from voice.api.operation import Operation
from voice.api.paging import PARAMETERS
from voice.api.readers import fitting, several
from voice.api.reply import Reply
from voice.api.request import Request

MOST_NETWORKS: Final = 1_000
MOST_SIP_ACCOUNTS: Final = 1_000
MOST_CERTIFICATES: Final = 100
_PASSWORD_BYTES: Final = 18
"""Of a generated password: 144 random bits."""

_NETWORK: Final = fitting(parse_network)
_USER_BODY: Final = {
    "username": shapes.TEXT,
    "limits": LIMITS,
    "password": shapes.described(
        shapes.TEXT, "Kept as hashes for the base domain, never shown. Without one, a password is made and "
        "shown once."
    ),
}  # fmt: skip
_USER: Final = shapes.shape(
    {
        "id": shapes.ID,
        "href": shapes.HREF,
        "username": shapes.TEXT,
        "realm": shapes.TEXT,
        "limits": LIMITS,
        "password": shapes.described(shapes.TEXT, "Only where it was made here; shown this once."),
    },
    title="SipAccount",
    optional=("password",),
)
_NETWORK_SHOWN: Final = shapes.shape({"href": shapes.HREF, "network": shapes.TEXT}, title="Network")
_CERTIFICATES: Final = shapes.described(
    shapes.listed(shapes.TEXT),
    "Names, one of which the caller's TLS certificate must be for. All there are to be; none: no certificate "
    "is asked for.",
)
_BODY: Final = {
    "name": shapes.described(shapes.TEXT, "Unique in its account."),
    "networks": shapes.described(
        shapes.listed(shapes.TEXT), "Addresses or networks, such as 192.0.2.0/24. All there are to be."
    ),
    "sipAccounts": shapes.described(
        shapes.listed(shapes.fields(_USER_BODY, required=("username",))),
        "All there are to be. One that is there already keeps its password when none is given.",
    ),
    "certificates": _CERTIFICATES,
}
_SHOWN: Final = shapes.shape(
    {
        "id": shapes.ID,
        "href": shapes.HREF,
        "accountId": shapes.TEXT,
        "name": shapes.TEXT,
        "networks": shapes.listed(shapes.TEXT),
        "sipAccounts": shapes.listed(
            shapes.shape({"id": shapes.ID, "username": shapes.TEXT, "limits": LIMITS})
        ),
        "certificates": _CERTIFICATES,
        "unusable": shapes.described(
            shapes.listed(shapes.TEXT), "Networks that cannot be read, users without a usable password."
        ),
        "domains": shapes.described(shapes.listed(shapes.TEXT), "Labels of the domains it is attached to."),
        "origin": shapes.ORIGIN,
    },
    title="Acl",
)


def _reader(realm: str) -> Callable[[Request, Acl | None, Configuration], Acl]:
    def read(request: Request, old: Acl | None, _: Configuration) -> Acl:
        body = request.body
        if old is None:
            acl = Acl(
                id=AclId(new_id()),
                account_id=owner_of(request),
                name=body.required("name", NAME),
                origin=Origin.API,
            )
        else:
            acl = replace(old, name=body.get("name", NAME, old.name))
        none: tuple[Network, ...] = ()
        if "networks" in body:
            networks = body.get("networks", several(_NETWORK, most=MOST_NETWORKS), none)
            acl = replace(acl, networks=_ordered(networks), invalid_networks=())
        if "sipAccounts" in body:
            users = _users(body, acl, realm)
            acl = replace(acl, sip_accounts=users, invalid_sip_accounts=())
        if "certificates" in body:
            nameless: tuple[str, ...] = ()
            names = body.get(
                "certificates", several(fitting(words.host_name), most=MOST_CERTIFICATES), nameless
            )
            acl = replace(acl, certificates=tuple(sorted(set(names))))
        body.check()
        return acl

    return read


def _ordered(networks: tuple[Network, ...]) -> tuple[Network, ...]:
    return tuple(sorted(set(networks), key=network_order))


def _users(body: Fields, acl: Acl, realm: str) -> tuple[SipAccount, ...]:
    known = {user.username: user for user in acl.sip_accounts}
    users: dict[str, SipAccount] = {}
    for given in body.each("sipAccounts", most=MOST_SIP_ACCOUNTS):
        username = given.optional("username", USERNAME)
        password = given.optional("password", PASSWORD)
        if username is None:
            if given.raw("username") is None:
                given.fault("username", "username is missing.", code=Code.MISSING)
        elif username in users:
            given.fault("username", "This user name is listed twice. Remove one of the two.")
        elif password is not None:
            users[username] = _user(known.get(username), username, realm, password, given)
        elif username in known:
            old = known[username]
            users[username] = replace(old, limits=read_limits(given, old.limits))
        elif "password" not in given:
            given.fault("password", "A new SIP account needs a password.", code=Code.MISSING)
    return tuple(sorted(users.values(), key=lambda user: user.username))


def _user(old: SipAccount | None, username: str, realm: str, password: str, given: Fields) -> SipAccount:
    return SipAccount(
        id=new_id() if old is None else old.id,
        username=username,
        ha1=ha1_for_all(username=username, realm=realm, password=password),
        limits=read_limits(given, UNLIMITED if old is None else old.limits),
    )


def _shown(acl: Acl, current: Configuration) -> Json:
    return {
        "accountId": acl.account_id,
        "name": acl.name,
        "networks": [str(network) for network in acl.networks],
        "sipAccounts": [
            {"id": user.id, "username": user.username, "limits": shown_limits(user.limits)}
            for user in acl.sip_accounts
        ],
        "certificates": list(acl.certificates),
        "unusable": [*acl.invalid_networks, *acl.invalid_sip_accounts],
        "domains": [domain.label for domain in current.domains if acl.id in domain.acl_ids],
        "origin": acl.origin,
    }


class _Parts:
    """The networks and SIP accounts of one list, one by one."""

    def __init__(self, acls: Entries[Acl]) -> None:
        self._acls = acls
        self._realm = acls.editor.realm

    async def networks(self, request: Request) -> Reply:
        acl = self._acls.found(request, await self._acls.editor.load())
        return page_of(request, [_network_json(request, acl, network) for network in acl.networks])

    async def add_network(self, request: Request) -> Reply:
        network = request.body.required("network", _NETWORK)
        request.body.check()
        found: list[Acl] = []

        def edit(acl: Acl, _: Configuration) -> Acl:
            full(acl.networks, "networks in this list", MOST_NETWORKS)
            found.append(acl)
            return replace(acl, networks=_ordered((*acl.networks, network)))

        await self._acls.edit(request, edit)
        return Reply.json(_network_json(request, found[0], network), status=201)

    async def remove_network(self, request: Request) -> Reply:
        named = request.path["network"]

        def edit(acl: Acl, _: Configuration) -> Acl:
            try:
                network = parse_network(named)
            except Unfit:
                raise NotFound("network", named) from None
            if network not in acl.networks:
                raise NotFound("network", named)
            return replace(acl, networks=tuple(one for one in acl.networks if one != network))

        await self._acls.edit(request, edit)
        return Reply.empty()

    async def users(self, request: Request) -> Reply:
        acl = self._acls.found(request, await self._acls.editor.load())
        return page_of(request, [self._user_json(request, acl, user) for user in acl.sip_accounts])

    async def add_user(self, request: Request) -> Reply:
        username = request.body.required("username", USERNAME)
        given = request.body.optional("password", PASSWORD)
        made = None if given is not None else secrets.token_urlsafe(_PASSWORD_BYTES)
        user = _user(None, username, self._realm, given or made or "", request.body)
        request.body.check()
        found: list[Acl] = []

        def edit(acl: Acl, _: Configuration) -> Acl:
            full(acl.sip_accounts, "SIP accounts in this list", MOST_SIP_ACCOUNTS)
            if any(one.username == username for one in acl.sip_accounts):
                raise Conflict(
                    f"The list has a SIP account {username} already. Choose another name, or change its "
                    "password with PUT.",
                    code=Code.DUPLICATE,
                    parameter="username",
                )
            found.append(acl)
            return _with_user(acl, user)

        await self._acls.edit(request, edit)
        return Reply.json(self._user_json(request, found[0], user, made), status=201)

    async def change_user(self, request: Request) -> Reply:
        """A new password; with limits and no password, only the limits change."""
        given = request.body.optional("password", PASSWORD)
        only_limits = given is None and "limits" in request.body
        made = None if given is not None or only_limits else secrets.token_urlsafe(_PASSWORD_BYTES)
        found: list[tuple[Acl, SipAccount]] = []

        def edit(acl: Acl, _: Configuration) -> Acl:
            old = _named(acl, request.path["sip_account"])
            if only_limits:
                new = replace(old, limits=read_limits(request.body, old.limits))
            else:
                new = _user(old, old.username, self._realm, given or made or "", request.body)
            request.body.check()
            found.append((acl, new))
            return _with_user(acl, new)

        await self._acls.edit(request, edit)
        return Reply.json(self._user_json(request, *found[0], made))

    async def remove_user(self, request: Request) -> Reply:
        def edit(acl: Acl, _: Configuration) -> Acl:
            gone = _named(acl, request.path["sip_account"])
            return replace(acl, sip_accounts=tuple(one for one in acl.sip_accounts if one.id != gone.id))

        await self._acls.edit(request, edit)
        return Reply.empty()

    def _user_json(self, request: Request, acl: Acl, user: SipAccount, made: str | None = None) -> Json:
        shown = {
            "id": user.id,
            "href": f"{request.public_url}/sip/acls/{acl.id}/sip-accounts/{user.id}",
            "username": user.username,
            "realm": self._realm,
            "limits": shown_limits(user.limits),
        }
        return shown if made is None else {**shown, "password": made}


def _named(acl: Acl, named: str) -> SipAccount:
    for user in acl.sip_accounts:
        if named in (user.id, user.username):
            return user
    raise NotFound("SIP account", named)


def _with_user(acl: Acl, user: SipAccount) -> Acl:
    others = [one for one in acl.sip_accounts if one.username != user.username]
    return replace(
        acl,
        sip_accounts=tuple(sorted((*others, user), key=lambda one: one.username)),
        invalid_sip_accounts=tuple(one for one in acl.invalid_sip_accounts if one != user.username),
    )


def _network_json(request: Request, acl: Acl, network: Network) -> Json:
    href = f"{request.public_url}/sip/acls/{acl.id}/networks/{quote(str(network), safe='')}"
    return {"href": href, "network": str(network)}


def operations(editor: Editor) -> tuple[Operation, ...]:
    kind: Kind[Acl] = Kind(
        table="acls",
        noun="ACL",
        plural="ACLs",
        path="/sip/acls",
        called=lambda acl: acl.name,
        id=lambda acl: acl.id,
        owner=lambda acl: acl.account_id,
        shown=_shown,
        read=_reader(editor.realm),
    )
    acls = Entries(editor, kind)
    usual = operations_of(
        acls,
        tag="Access control lists",
        scope="acls",
        shown=_SHOWN,
        body=_BODY,
        required=("name",),
        about="A list with networks and SIP accounts asks for both; an empty one admits nobody.",
    )
    return (*usual, *_part_operations(_Parts(acls)))


def _part_operations(parts: _Parts) -> tuple[Operation, ...]:
    networks, users = "/sip/acls/{acl}/networks", "/sip/acls/{acl}/sip-accounts"
    password = shapes.fields({name: _USER_BODY[name] for name in ("limits", "password")})
    new_network = shapes.fields({"network": shapes.TEXT}, required=("network",))
    new_user = shapes.fields(_USER_BODY, required=("username",))
    table = (
        ("GET", networks, parts.networks, "List networks", None, {200: shapes.many(_NETWORK_SHOWN)}),
        ("POST", networks, parts.add_network, "Add a network", new_network, {201: _NETWORK_SHOWN}),
        ("DELETE", f"{networks}/{{network}}", parts.remove_network, "Remove a network", None, {204: ""}),
        ("GET", users, parts.users, "List SIP accounts", None, {200: shapes.many(_USER)}),
        ("POST", users, parts.add_user, "Add a SIP account", new_user, {201: _USER}),
        (
            "PUT",
            f"{users}/{{sip_account}}",
            parts.change_user,
            "Change a SIP account's password or limits",
            password,
            {200: _USER},
        ),
        ("DELETE", f"{users}/{{sip_account}}", parts.remove_user, "Remove a SIP account", None, {204: ""}),
    )
    return tuple(
        Operation(
            method=method,
            path=path,
            run=run,
            family=Family.REST,
            tag="Access control lists",
            scope="acls",
            account=Owner.OPTIONAL,
            summary=summary,
            body=body,
            answers=answers,
            query={**PARAMETERS, **shapes.OWNER} if summary.startswith("List") else shapes.OWNER,
        )
        for method, path, run, summary, body, answers in table
    )
