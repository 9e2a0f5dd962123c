"""The tables of one account in the declarative file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final, Protocol, TypeVar

from sip_config import bounds, words
from sip_config.credentials import HA1_LENGTHS, ha1_for_all, is_ha1
from sip_config.declared_identity import read_identity
from sip_config.declared_limits import read_limits
from sip_config.faults import Unfit, meant, quoted
from sip_config.model import (
    Account,
    AccountId,
    Acl,
    AclId,
    Callflow,
    DigestAlgorithm,
    Domain,
    DomainId,
    MediaFile,
    Number,
    Region,
    SipAccount,
)
from sip_config.networks import network_order, parse_network
from sip_config.reading import Section, word_of

T = TypeVar("T")

LARGEST_DOCUMENT: Final = 262_144
"""Bytes of a callflow document; the checker may allow less."""
LARGEST_MEDIA: Final = 33_554_432
"""Bytes of a sound: half an hour of the largest WAV that is sensible on a telephone line."""
SOUNDS: Final = frozenset({".wav", ".mp3"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentFault:
    line: int
    message: str
    remedy: str


class CallflowRefused(Exception):
    """A callflow document is faulty."""

    def __init__(self, faults: tuple[DocumentFault, ...]) -> None:
        super().__init__(f"{len(faults)} faults in a callflow document")
        self.faults = faults


class CanonicalCallflow(Protocol):
    """The checker of callflow documents, which is another package's."""

    def __call__(self, document: bytes) -> str:
        """The document in canonical XML.  Raises CallflowRefused."""
        ...


@dataclass(kw_only=True)
class Register:
    """What must be unique in the whole file, and by which account it was taken."""

    labels: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, str] = field(default_factory=dict)
    defaults: dict[str, str] = field(default_factory=dict)


class AccountReader:
    """Reads the tables of one account; an entry's id is its name, as `names_by_id` writes it."""

    def __init__(
        self,
        section: Section,
        name: str,
        *,
        realm: str,
        folder: Path | None,
        canonical: CanonicalCallflow,
        register: Register,
    ) -> None:
        self._section = section
        self._name = name
        self._id = AccountId(f"account {name}")
        self._realm = realm
        self._folder = folder
        self._canonical = canonical
        self._register = register
        self._flows = section.names("callflows")
        self._acls = section.names("acls")
        self.media_sources: dict[str, Path] = {}

    def account(self) -> Account:
        section = self._section
        usual = Account(id=self._id, name=self._name)
        return Account(
            id=self._id,
            name=self._name,
            calls_per_second=section.number(
                "calls_per_second", usual.calls_per_second, **bounds.CALLS_PER_SECOND
            ),
            concurrent_calls=section.integer(
                "concurrent_calls", usual.concurrent_calls, **bounds.CONCURRENT_CALLS
            ),
            max_call_seconds=section.integer(
                "max_call_seconds", usual.max_call_seconds, **bounds.MAX_CALL_SECONDS
            ),
            fallback_callflow_id=section.fitting("fallback_callflow", self._flow, None),
            limits=read_limits(section),
            identity=read_identity(section),
        )

    def acls(self) -> Iterator[Acl]:
        for name, section in self._section.sections("acls", words.name):
            networks = section.each("networks", parse_network)
            yield Acl(
                id=AclId(f"acl {self._name}/{name}"),
                account_id=self._id,
                name=name,
                networks=tuple(sorted(networks, key=network_order)),
                sip_accounts=tuple(sorted(self._sip_accounts(name, section), key=lambda user: user.username)),
                certificates=tuple(sorted(set(section.each("certificates", words.host_name)))),
            )
            section.reject_unknown()

    def _sip_accounts(self, acl: str, acl_section: Section) -> Iterator[SipAccount]:
        for username, section in acl_section.sections("sip_accounts", words.username):
            password = section.fitting("password", words.secret, None)
            given = section.section("ha1")
            ha1 = {}
            for algorithm in DigestAlgorithm:
                text = given.fitting(algorithm.value, _ha1_reader(algorithm), None)
                if text is not None:
                    ha1[algorithm] = text
            given.reject_unknown()
            if section.has("password") == section.has("ha1"):
                section.fault(
                    None,
                    f"SIP account {username} needs a password, or the HA1 of one.",
                    'Write either password = "..." or ha1 = { MD5 = "..." }.',
                )
            if password is not None:
                ha1 = ha1_for_all(username=username, realm=self._realm, password=password)
            limits = read_limits(section)
            section.reject_unknown()
            yield SipAccount(
                id=f"sip account {self._name}/{acl}/{username}", username=username, ha1=ha1, limits=limits
            )

    def domains(self) -> Iterator[Domain]:
        usual = Domain(id=DomainId(""), account_id=self._id, label="")
        for written, section in self._section.sections("domains", words.label):
            label = words.label(written)
            self._take(section, self._register.labels, label, f"Label {label}")
            callflow_id, callflow_url = self._answer(section)
            yield Domain(
                id=DomainId(f"domain {self._name}/{label}"),
                account_id=self._id,
                label=label,
                acl_ids=section.each("acls", self._acl),
                algorithms=section.each(
                    "algorithms",
                    lambda word: word_of(DigestAlgorithm, word),
                    usual.algorithms,
                    if_empty="List at least one, such as MD5, or leave the key out.",
                ),
                home_region=section.choice("home_region", Region.EU),
                callflow_id=callflow_id,
                callflow_url=callflow_url,
                srtp=section.choice("srtp", usual.srtp),
                limits=read_limits(section),
            )
            section.reject_unknown()

    def numbers(self) -> Iterator[Number]:
        for written, section in self._section.sections("numbers", words.own_number):
            e164 = words.own_number(written)
            self._take(section, self._register.numbers, e164, f"Number {e164}")
            callflow_id, callflow_url = self._answer(section)
            yield Number(
                id=f"number {self._name}/{e164}",
                account_id=self._id,
                e164=e164,
                callflow_id=callflow_id,
                callflow_url=callflow_url,
            )
            section.reject_unknown()

    def callflows(self) -> Iterator[Callflow]:
        for title, section in self._section.sections("callflows", words.name):
            inline = section.text("document", longest=LARGEST_DOCUMENT)
            path = self._file(section)
            is_default = section.boolean("default", False)
            if is_default:
                self._take(section, self._register.defaults, self._name, f"The default of {self._name}")
            section.reject_unknown()
            if section.has("document") == section.has("file"):
                section.fault(
                    None,
                    f"Callflow {title} needs one document.",
                    'Write either file = "flow.xml" or document = """<callflow>...""".',
                )
                continue
            if path is not None:
                document = self._from_file(section, path)
            else:
                document = self._from_text(section, inline)
            if document is not None:
                yield Callflow(
                    id=f"callflow {self._name}/{title}",
                    account_id=self._id,
                    title=title,
                    document=document,
                    is_default=is_default,
                )

    def _from_file(self, section: Section, path: Path) -> str | None:
        content = _content(section, path, LARGEST_DOCUMENT)
        if content is None:
            return None
        try:
            return self._canonical(content)
        except CallflowRefused as refused:
            for fault in refused.faults:
                section.fault_in(str(path), fault.line, fault.message, fault.remedy)
            return None

    def _from_text(self, section: Section, text: str) -> str | None:
        try:
            return self._canonical(text.encode())
        except CallflowRefused as refused:
            for fault in refused.faults:
                section.fault("document", f"Line {fault.line} of the document: {fault.message}", fault.remedy)
            return None

    def media(self) -> Iterator[MediaFile]:
        for name, section in self._section.sections("media", words.file_name):
            path = self._file(section, required=True)
            section.reject_unknown()
            if path is None:
                continue
            if path.suffix.lower() not in SOUNDS:
                section.fault(
                    "file", f"{quoted(path.name)} is no sound by its name.", "Use a .wav or .mp3 file."
                )
                continue
            content = _content(section, path, LARGEST_MEDIA)
            if content is None:
                continue
            media_id = f"media {self._name}/{name}"
            self.media_sources[media_id] = path
            yield MediaFile(
                id=media_id,
                account_id=self._id,
                name=name,
                path=str(path),
                sha256=sha256(content).hexdigest(),
                size=len(content),
            )

    def _file(self, section: Section, *, required: bool = False) -> Path | None:
        text = section.text("file", required=required)
        if text and self._folder is None:
            section.fault("file", "No file can be named here.", "Send the content itself.")
        return self._folder / text if text and self._folder is not None else None

    def _answer(self, section: Section) -> tuple[str | None, str | None]:
        """What answers a domain or number: a callflow of this account, a URL, or nothing."""
        callflow_id = section.fitting("callflow", self._flow, None)
        url = section.fitting("callflow_url", words.web_address, None, longest=bounds.LONGEST_WEB_ADDRESS)
        if section.has("callflow") and section.has("callflow_url"):
            section.fault(None, "Both callflow and callflow_url are given.", "Keep one of the two.")
        return callflow_id, url

    def _flow(self, name: str) -> str | None:
        if name not in self._flows:
            what = f"callflows of account {self._name}"
            raise Unfit(
                f"Account {self._name} has no callflow {quoted(name)}.", meant(name, self._flows, what)
            )
        return f"callflow {self._name}/{name}"

    def _acl(self, name: str) -> AclId:
        if name not in self._acls:
            what = f"access control lists of account {self._name}"
            raise Unfit(
                f"Account {self._name} has no access control list {quoted(name)}.",
                meant(name, self._acls, what),
            )
        return AclId(f"acl {self._name}/{name}")

    def _take(self, section: Section, taken: dict[str, str], key: str, what: str) -> None:
        owner = taken.setdefault(key, section.place)
        if owner != section.place:
            section.fault(None, f"{what} is given twice: here and in {owner}.", "Remove one of the two.")


def _ha1_reader(algorithm: DigestAlgorithm) -> Callable[[str], str | None]:
    def read(text: str) -> str:
        if not is_ha1(algorithm, text.lower()):
            raise Unfit(
                f"This is no HA1 for {algorithm}.",
                f"Write {HA1_LENGTHS[algorithm]} hexadecimal digits: the hash of username:realm:password, "
                "where the realm is the base domain.",
            )
        return text.lower()

    return read


def _content(section: Section, path: Path, largest: int) -> bytes | None:
    try:
        with path.open("rb") as file:
            content = file.read(largest + 1)
    except OSError as fault:
        section.fault(
            "file", f"{path} cannot be read: {fault.strerror}.", "Correct the path or its permissions."
        )
        return None
    if len(content) > largest:
        section.fault("file", f"{path} is larger than {largest} bytes.", "Use a smaller file.")
        return None
    return content
