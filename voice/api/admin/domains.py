"""Domains: the names at which an account's systems call, who is let in, and what answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from sip_config import words
from sip_config.configuration import Configuration, new_id
from sip_config.directory import DEFAULT_POPS
from sip_config.model import AclId, DigestAlgorithm, Domain, DomainId, Origin, Region, SrtpPolicy
from voice.api.admin import shapes
from voice.api.admin.editing import Editor
from voice.api.admin.entries import Entries, Kind, operations_of, owner_of
from voice.api.admin.limit_fields import LIMITS, read_limits, shown_limits
from voice.api.admin.reading import acl_of, answer_of
from voice.api.faults import Json
from voice.api.fields import Fields
from voice.api.operation import Operation
from voice.api.readers import choice, fitting, several, text
from voice.api.request import Request

MOST_ACLS: Final = 100

_ALGORITHMS: Final = [str(one) for one in DigestAlgorithm]
_REGIONS: Final = [str(one) for one in Region]
_BODY: Final = {
    "label": shapes.described(shapes.TEXT, "What stands before the base domain: letters and digits. Unique."),
    "aclIds": shapes.described(
        shapes.listed(shapes.TEXT), "Ids or names. A call is let in if at least one of them admits it."
    ),
    "algorithms": shapes.described(
        shapes.listed(shapes.word(*_ALGORITHMS)), "Digest algorithms that are offered, best first; MD5 alone "
        "if nothing is said, since many PBXs give up on others."
    ),
    "homeRegion": shapes.word(*_REGIONS),
    "callflowId": shapes.described(
        shapes.maybe(shapes.TEXT), "What answers; an id or title. Without it and callflowUrl, calls leave by "
        "the gateways."
    ),
    "callflowUrl": shapes.maybe(shapes.URL),
    "srtp": shapes.described(shapes.word(*SrtpPolicy), "Whether its calls' sound is encrypted."),
    "limits": LIMITS,
}  # fmt: skip
_SHOWN: Final = shapes.shape(
    {
        "id": shapes.ID,
        "href": shapes.HREF,
        "accountId": shapes.TEXT,
        **_BODY,
        "name": shapes.described(shapes.TEXT, "Where calls are sent: resolves to the home region."),
        "boundNames": shapes.described(shapes.listed(shapes.TEXT), "The same, bound to one POP each."),
        "origin": shapes.ORIGIN,
    },
    title="Domain",
)


def _read(request: Request, old: Domain | None, current: Configuration) -> Domain:
    body = request.body
    label = fitting(words.label)
    domain = old or Domain(
        id=DomainId(new_id()),
        account_id=owner_of(request),
        label=body.required("label", label),
        origin=Origin.API,
    )
    flow, url = answer_of(body, domain.account_id, current, (domain.callflow_id, domain.callflow_url))
    domain = replace(
        domain,
        label=domain.label if old is None else body.get("label", label, domain.label),
        acl_ids=_acl_ids(body, domain, current),
        algorithms=_distinct(
            body.get(
                "algorithms",
                several(choice(DigestAlgorithm), least=1, most=len(DigestAlgorithm)),
                domain.algorithms,
            )
        ),
        home_region=body.get("homeRegion", choice(Region), domain.home_region),
        callflow_id=flow,
        callflow_url=url,
        srtp=body.get("srtp", choice(SrtpPolicy), domain.srtp),
        limits=read_limits(body, domain.limits),
    )
    body.check()
    return domain


def _distinct(algorithms: tuple[DigestAlgorithm, ...] | None) -> tuple[DigestAlgorithm, ...]:
    return tuple(dict.fromkeys(algorithms or ()))


def _acl_ids(body: Fields, domain: Domain, current: Configuration) -> tuple[AclId, ...]:
    mine = tuple(acl for acl in current.acls if acl.account_id == domain.account_id)
    if "aclIds" not in body:
        return domain.acl_ids
    found = []
    none: tuple[str, ...] = ()
    for at, named in enumerate(body.get("aclIds", several(text(), most=MOST_ACLS), none)):
        acl_id = acl_of(named, mine)
        if acl_id is None:
            body.fault("aclIds", "The account has no such access control list.", within=f"/{at}")
        else:
            found.append(acl_id)
    return tuple(dict.fromkeys(found))


def _shown(base_domain: str) -> Callable[[Domain, Configuration], Json]:
    def shown(domain: Domain, current: Configuration) -> Json:
        return {
            "accountId": domain.account_id,
            "label": domain.label,
            "aclIds": list(domain.acl_ids),
            "algorithms": list(domain.algorithms),
            "homeRegion": domain.home_region,
            "callflowId": domain.callflow_id,
            "callflowUrl": domain.callflow_url,
            "srtp": domain.srtp,
            "limits": shown_limits(domain.limits),
            "name": f"{domain.label}.{base_domain}",
            "boundNames": [
                f"{domain.label}.{pop.name}.{base_domain}" for pop in current.pops or DEFAULT_POPS
            ],
            "origin": domain.origin,
        }

    return shown


def operations(editor: Editor) -> tuple[Operation, ...]:
    kind: Kind[Domain] = Kind(
        table="domains",
        noun="domain",
        plural="domains",
        path="/sip/domains",
        called=lambda domain: domain.label,
        id=lambda domain: domain.id,
        owner=lambda domain: domain.account_id,
        shown=_shown(editor.realm),
        read=_read,
    )
    return operations_of(
        Entries(editor, kind),
        tag="Domains",
        scope="domains",
        shown=_SHOWN,
        body=_BODY,
        required=("label",),
    )
