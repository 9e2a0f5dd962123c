"""Header fields as a gateway wants them: what its rules change in an INVITE that leaves by it."""

from __future__ import annotations

from sip_config.gateway_options import HeaderRules
from voice.sip.headers import Headers


def apply_rules(rules: HeaderRules, headers: Headers) -> None:
    """Removes, replaces and adds, in this order.  Names were checked when the rules were configured."""
    for name in rules.remove:
        headers.remove(name)
    for name, value in rules.replace:
        if name in headers:
            headers.set(name, value)
    for name, value in rules.add:
        headers.add(name, value)
