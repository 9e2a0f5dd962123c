"""What differs between two configurations, said so that a person can check it before it is applied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from typing import Final

from sip_config.call_limits import MILLIONTHS
from sip_config.configuration import Configuration, Entry, id_of, names_by_id
from sip_config.model import Acl


class Action(StrEnum):
    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One entry that is added, changed or removed; never carries a secret."""

    action: Action
    entry_id: str
    name: str
    """Such as ``acl acme/office``."""
    details: tuple[str, ...] = ()
    """Of a changed entry, one line per fact, such as ``priority: 100 -> 10``."""

    def __str__(self) -> str:
        return "\n    ".join((f"{self.action} {self.name}", *self.details))


_IDENTITY: Final = {"id", "account_id"}
_IN_MILLIONTHS: Final = frozenset({"daily_spend"})
_UNSHOWN: Final = {"password", "document", "sha256"}
"""Secret, or too long to show: only that they changed is said."""
_DERIVED: Final = {"path", "size", "created_at", "updated_at"}
"""Follow from the content of a media file, or from the change itself."""


def differences(current: Configuration, wanted: Configuration) -> tuple[Change, ...]:
    """What turns `current` into `wanted`: removals first, then the rest in the order of `wanted`.

    Entries are the same when their ids are.  Removals come in an order in which nothing is pointed at
    when it goes, additions in one in which everything that is pointed at is there.
    """
    names = names_by_id(current) | names_by_id(wanted)
    before = {id_of(entry): entry for entry in current.entries()}
    after = {id_of(entry): entry for entry in wanted.entries()}
    changes = [
        Change(action=Action.REMOVED, entry_id=entry_id, name=names[entry_id])
        for entry_id in reversed(before)
        if entry_id not in after
    ]
    for entry_id, entry in after.items():
        old = before.get(entry_id)
        if old is None:
            changes.append(Change(action=Action.ADDED, entry_id=entry_id, name=names[entry_id]))
        elif old != entry:
            details = tuple(_details(old, entry, names))
            changes.append(
                Change(action=Action.CHANGED, entry_id=entry_id, name=names[entry_id], details=details)
            )
    return tuple(changes)


def _details(old: Entry, new: Entry, names: Mapping[str, str]) -> Iterator[str]:
    for field in fields(new):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if before == after or field.name in _IDENTITY | _DERIVED:
            continue
        label = field.name.removesuffix("_ids").removesuffix("_id").replace("_", " ")
        if field.name in _UNSHOWN:
            yield f"{label}: changed"
        elif field.name == "sip_accounts":
            assert isinstance(old, Acl)
            assert isinstance(new, Acl)
            yield from _sip_account_details(old, new)
        elif is_dataclass(after):
            for part in fields(after):
                old_part, new_part = getattr(before, part.name), getattr(after, part.name)
                if old_part != new_part:
                    name = part.name.replace("_", " ")
                    yield f"{label}, {name}: {_part_change(part.name, old_part, new_part, names)}"
        elif isinstance(after, tuple):
            yield f"{label}: {_tuple_change(_shown_all(before, names), _shown_all(after, names))}"
        else:
            yield f"{label}: {_shown(before, names)} -> {_shown(after, names)}"


def _sip_account_details(old: Acl, new: Acl) -> Iterator[str]:
    before = {user.username: user for user in old.sip_accounts}
    after = {user.username: user for user in new.sip_accounts}
    for username in before:
        if username not in after:
            yield f"sip account {username}: removed"
    for username, user in after.items():
        if username not in before:
            yield f"sip account {username}: added"
        elif user.ha1 != before[username].ha1:
            yield f"sip account {username}: password changed"
        elif user.limits != before[username].limits:
            yield f"sip account {username}: limits changed"


def _part_change(name: str, before: object, after: object, names: Mapping[str, str]) -> str:
    if isinstance(before, tuple) and isinstance(after, tuple):
        return _tuple_change(_shown_all(before, names), _shown_all(after, names))
    if name in _IN_MILLIONTHS:
        before, after = (one / MILLIONTHS if isinstance(one, int) else one for one in (before, after))
    return f"{_shown(before, names)} -> {_shown(after, names)}"


def _tuple_change(before: list[str], after: list[str]) -> str:
    gone = [f"-{one}" for one in before if one not in after]
    come = [f"+{one}" for one in after if one not in before]
    if gone or come:
        return ", ".join((*gone, *come))
    return f"{', '.join(before)} -> {', '.join(after)}"


def _shown_all(values: tuple[object, ...], names: Mapping[str, str]) -> list[str]:
    return [_shown(value, names) for value in values]


def _shown(value: object, names: Mapping[str, str]) -> str:
    if value is None:
        return "none"
    text = str(value)
    # Ids are shown as the names of what they point at, without the owner that both ends share.
    return names[text].partition("/")[2] if text in names else text or '""'
