"""Who may call: what the access control lists of a domain say about a request (DESIGN.md, section 3).

A request is let in if at least one list of its domain admits it.  A list with networks asks for a
source inside one of them, a list with SIP accounts for the digest of one of them, a list with
certificates for a TLS client's certificate for one of their names, a list with several for all of them.
A list without entries, and a domain without lists, admit nobody.

The question is asked in two halves, because the source address is known before anything has been
computed: `DomainGate.by_source` either decides, or says that a digest must and which SIP accounts
would do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sip_config.faults import quoted
from sip_config.model import Acl, DigestAlgorithm, Domain, SipAccount
from sip_config.networks import Network, NetworkTable

_OUTCOMES_LIMIT: Final = 4_096
"""Remembered combinations of lists that fit a source; real domains have a handful."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """One SIP account of one list; user names may recur in the lists of a domain with other secrets."""

    acl: Acl
    sip_account: SipAccount

    def ha1(self, algorithm: DigestAlgorithm) -> str | None:
        """None: nothing was stored for this algorithm, so a response that uses it cannot fit."""
        return self.sip_account.ha1.get(algorithm)


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    acl: Acl
    credential: Credential | None = None
    """The SIP account that proved itself; None when the source address was enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    cause: str
    """Why, as one stable word for programs, such as ``acl-networks``."""
    rule: str
    """What decided, such as ``domain acme: networks of office, branch``."""
    remedy: str
    """The sentence that tells the customer what to change."""


class NeedsDigest:
    """The source alone does not decide: challenge, then look up who the response claims to be."""

    __slots__ = ("_users", "acls", "domain")

    def __init__(
        self, domain: Domain, entries: Sequence[tuple[Acl, dict[str, tuple[Credential, ...]]]]
    ) -> None:
        self.domain = domain
        self.acls = tuple(acl for acl, _ in entries)
        self._users = tuple(users for _, users in entries)

    @property
    def algorithms(self) -> tuple[DigestAlgorithm, ...]:
        """What the challenge offers, most preferred first."""
        return self.domain.algorithms

    def credentials(self, username: str) -> tuple[Credential, ...]:
        """The SIP accounts of this name in the lists that the source may use; empty: refuse.

        The caller checks the digest against each, and compares against some HA1 of its own when
        there is none, so that an unknown name takes as long as a wrong password.
        """
        found: tuple[Credential, ...] = ()
        for users in self._users:
            found += users.get(username, ())
        return found

    def admit(self, credential: Credential) -> Admitted:
        """The digest of this credential was correct."""
        return Admitted(acl=credential.acl, credential=credential)

    def refuse(self, username: str, algorithm: DigestAlgorithm) -> Refused:
        """No credential of this name fitted the digest; the answer is for the customer, not for the wire."""
        names = _listed([acl.name for acl in self.acls])
        rule = f"domain {self.domain.label}: SIP accounts of {names}"
        known = self.credentials(username)
        if known:
            account = f"SIP account {quoted(username)} of {_listed([one.acl.name for one in known])}"
            rule = f"domain {self.domain.label}: {account}"
        if not known:
            cause = "unknown-user"
            remedy = (
                f"User name {quoted(username)} is in no access control list that this source may use on "
                f"domain {self.domain.label} ({names}): use the name of a SIP account in it, or add it."
            )
        elif all(credential.ha1(algorithm) is None for credential in known):
            cause = "no-secret-for-algorithm"
            remedy = (
                f"SIP account {quoted(username)} has no {algorithm} secret stored: set its password again, "
                f"or let the PBX answer with another algorithm."
            )
        else:
            cause = "wrong-password"
            remedy = (
                f"The password that the PBX used for SIP account {quoted(username)} is wrong, or its digest "
                "was computed for another realm: enter the password of the access control list in the PBX, "
                "and leave its realm empty."
            )
        return Refused(cause=cause, rule=rule, remedy=remedy)


class DomainGate:
    """The access control lists of one domain, compiled."""

    __slots__ = (
        "_by_certificate", "_certified", "_domain", "_lists", "_networks", "_outcomes", "_unbound",
    )  # fmt: skip

    def __init__(self, domain: Domain, acls: Sequence[Acl], networks: NetworkTable | None = None) -> None:
        """`networks`: the table of `domain_networks`, when it was made already."""
        self._domain = domain
        self._lists = tuple((acl, _users_of(acl)) for acl in acls)
        self._unbound = 0
        """Bits of the lists that ask for no network."""
        self._certified = 0
        """Bits of the lists that ask for a certificate."""
        self._by_certificate: dict[str, int] = {}
        for position, acl in enumerate(acls):
            bit = 1 << position
            if not acl.networks and not acl.invalid_networks and (acl.sip_accounts or acl.certificates):
                self._unbound |= bit
            if acl.certificates:
                self._certified |= bit
            for name in acl.certificates:
                self._by_certificate[name] = self._by_certificate.get(name, 0) | bit
        self._networks = NetworkTable(domain_networks(acls)) if networks is None else networks
        self._outcomes: dict[int, Admitted | NeedsDigest | None] = {}

    def by_source(self, source: str, names: Sequence[str] = ()) -> Admitted | NeedsDigest | Refused:
        """What is decided by where a request comes from.

        `source`: the socket's peer, an IP address; `names`: what its verified certificate is for.
        """
        fitting = self._networks.masks(source) | self._unbound
        if self._certified and fitting & self._certified:
            lacking = self._certified
            for name in names:
                lacking &= ~self._by_certificate.get(name, 0)
            if not fitting & ~lacking:
                return self._uncertified(fitting, names)
            fitting &= ~lacking
        try:
            outcome = self._outcomes[fitting]
        except KeyError:
            outcome = self._outcome(fitting)
            if len(self._outcomes) >= _OUTCOMES_LIMIT:
                self._outcomes.clear()
            self._outcomes[fitting] = outcome
        return self._refusal(source) if outcome is None else outcome

    def named(self, acl: str, username: str) -> Admitted | None:
        """What another POP admitted, by the names that it gave; None: this one knows no such list."""
        for entry, users in self._lists:
            if entry.name == acl:
                found = users.get(username, ())
                return Admitted(acl=entry, credential=found[0] if found else None)
        return None

    def _outcome(self, fitting: int) -> Admitted | NeedsDigest | None:
        digest_lists = []
        for position, (acl, users) in enumerate(self._lists):
            if not fitting >> position & 1:
                continue
            if not acl.sip_accounts and not acl.invalid_sip_accounts:
                return Admitted(acl=acl)
            if users:
                digest_lists.append((acl, users))
        return NeedsDigest(self._domain, digest_lists) if digest_lists else None

    def _uncertified(self, fitting: int, names: Sequence[str]) -> Refused:
        """The lists that fit in everything else ask for another certificate."""
        label = self._domain.label
        wanting = [acl for position, (acl, _) in enumerate(self._lists) if fitting >> position & 1]
        lists = _listed([acl.name for acl in wanting])
        wanted = _listed([name for acl in wanting for name in acl.certificates])
        if names:
            shown = f"The PBX's certificate is for {_listed(names)}"
        else:
            shown = "The PBX showed no certificate that was verified"
        return Refused(
            cause="acl-certificates",
            rule=f"domain {label}: certificates of {lists}",
            remedy=f"{shown}, and the access control lists of domain {label} that fit it ({lists}) want "
            f"one for {wanted}: let the PBX call by TLS with such a certificate, or list its own.",
        )

    def _refusal(self, source: str) -> Refused:
        label = self._domain.label
        usable = [acl for acl, _ in self._lists if _can_admit(acl)]
        if not self._lists:
            return Refused(
                cause="no-acl",
                rule=f"domain {label}: no access control list",
                remedy=f"Domain {label} has no access control list, so it lets nobody in: attach one to it.",
            )
        if not usable:
            names = _listed([acl.name for acl, _ in self._lists])
            return Refused(
                cause="acl-without-entries",
                rule=f"domain {label}: no usable entry in {names}",
                remedy=f"The access control lists of domain {label} ({names}) have no valid entry, so they "
                "let nobody in: add a network or a SIP account to one of them.",
            )
        names = _listed([acl.name for acl in usable])
        return Refused(
            cause="acl-networks",
            rule=f"domain {label}: networks of {names}",
            remedy=f"Source address {source} is in no network of the access control lists of domain {label} "
            f"({names}): add it to one of them, or attach a list that has SIP accounts and no networks.",
        )


def domain_networks(acls: Sequence[Acl]) -> Iterator[tuple[Network, int]]:
    """The networks of a domain's lists, each with the bit of its list."""
    return ((network, 1 << position) for position, acl in enumerate(acls) for network in acl.networks)


def admits_any_source(acl: Acl) -> bool:
    """Whether the list can let in a request from any address, given a correct digest or certificate."""
    if acl.networks or acl.invalid_networks:
        return False
    return bool(acl.sip_accounts) or (bool(acl.certificates) and not acl.invalid_sip_accounts)


def admitting_networks(acl: Acl) -> bool:
    """Whether a source in one of the list's networks can be let in, with or without a digest."""
    return bool(acl.networks) and (bool(acl.sip_accounts) or not acl.invalid_sip_accounts)


def _can_admit(acl: Acl) -> bool:
    return admits_any_source(acl) or admitting_networks(acl)


def _users_of(acl: Acl) -> dict[str, tuple[Credential, ...]]:
    users: dict[str, tuple[Credential, ...]] = {}
    for account in acl.sip_accounts:
        credential = Credential(acl=acl, sip_account=account)
        users[account.username] = (*users.get(account.username, ()), credential)
    return users


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
