"""What is allowed in a configuration and hardly meant so."""

from __future__ import annotations

from sip_config.configuration import Configuration
from sip_config.model import Domain, SrtpPolicy, Transport

_SECURE = (Transport.TLS, Transport.WSS)


def cautions(
    configuration: Configuration, *, takes_tls: bool, asks_for_certificates: bool
) -> tuple[str, ...]:
    """Sentences for whoever declares it.

    `takes_tls`: the node has a door for TLS or secure WebSocket; `asks_for_certificates`: of its clients.
    """
    found = [
        f"access control list {acl.name} wants certificates, and this node asks nobody for one: the list "
        "lets nobody in. Set tls in [node.sip], and client_authorities in [node.sip.certificates]."
        for acl in configuration.acls
        if acl.certificates and not (takes_tls and asks_for_certificates)
    ]
    found += [
        f"gateway {gateway.name} requires SRTP and is reached by {gateway.transport}: whoever can read that "
        'reads the keys of the sound as well (RFC 4568 section 7.1.1). Use transport = "TLS".'
        for gateway in configuration.gateways
        if gateway.srtp is SrtpPolicy.REQUIRED and gateway.transport not in _SECURE
    ]
    for domain in configuration.domains:
        if domain.srtp is SrtpPolicy.REQUIRED and not takes_tls:
            found.append(
                f"domain {domain.label} requires SRTP, and this node takes no calls by TLS: whoever can read "
                "UDP or TCP on the way reads the keys of the sound as well. Set tls in [node.sip]."
            )
        if domain.srtp is not SrtpPolicy.OPTIONAL and _without_gateway(configuration, domain):
            found.append(
                f"domain {domain.label} has srtp = {domain.srtp}, and no gateway that its calls may go out "
                "by takes such sound: what neither a callflow nor a number answers is refused."
            )
    return tuple(found)


def _without_gateway(configuration: Configuration, domain: Domain) -> bool:
    policies = [
        gateway.srtp for gateway in configuration.gateways if gateway.account_id in (None, domain.account_id)
    ]
    return bool(policies) and not {domain.srtp, SrtpPolicy.OPTIONAL} & set(policies)
