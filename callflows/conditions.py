"""The kind of option that a condition is: ``<condition variable="choice" operator="==" value="1"/>``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from callflows.faults import quoted
from callflows.kinds import XML_SPACE, BadValue, Kind, attribute_faults, bad_value
from callflows.model import Condition, Operator
from callflows.raw import RawOption

VARIABLE = "[A-Za-z_][A-Za-z0-9_.\\-]{0,63}"
LONGEST_VALUE = 256

_EXAMPLE = 'Write <condition variable="choice" operator="==" value="1"/>.'


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionKind(Kind[Condition]):
    """An empty element with three attributes."""

    @property
    def expected(self) -> str:
        return "a variable, an operator and a value"

    def read(self, option: RawOption) -> Condition:
        faults = list(attribute_faults(option, ("variable", "operator", "value")))
        if any(isinstance(piece, RawOption) or piece.strip(XML_SPACE) for piece in option.content):
            faults.extend(bad_value(option.place, "<condition> is not empty.", _EXAMPLE).faults)
        variable = option.attributes.get("variable", "")
        if not re.fullmatch(VARIABLE, variable):
            message = f"{quoted(variable)} is no name of a variable." if variable else "There is no variable."
            remedy = "Use up to 64 letters, digits, _ . or -, not beginning with a digit."
            faults.extend(bad_value(option.place, message, remedy).faults)
        operator = option.attributes.get("operator", "")
        if operator not in tuple(Operator):
            message = f"{quoted(operator)} is no operator." if operator else "There is no operator."
            remedy = f"Use one of: {', '.join(Operator)}."
            faults.extend(bad_value(option.place, message, remedy).faults)
        value = option.attributes.get("value")
        if value is None:
            faults.extend(bad_value(option.place, "There is no value to compare with.", _EXAMPLE).faults)
        elif len(value) > LONGEST_VALUE:
            message = f"The value has {len(value)} characters."
            faults.extend(bad_value(option.place, message, f"Use at most {LONGEST_VALUE}.").faults)
        if faults or value is None:
            raise BadValue(tuple(faults))
        return Condition(variable=variable, operator=Operator(operator), value=value)

    def write(self, value: Condition) -> tuple[str | RawOption, ...]:
        return ()

    def option(self, name: str, value: Condition) -> RawOption:
        said = {"variable": value.variable, "operator": value.operator.value, "value": value.value}
        return RawOption(name=name, content=(), attributes=said)

    def schema(self) -> str:
        operators = "".join(
            f'<value datatypeLibrary="" type="string">{operator}</value>' for operator in Operator
        )
        return (
            f'<attribute name="variable"><data type="string"><param name="pattern">{VARIABLE}</param></data>'
            f'</attribute><attribute name="operator"><choice>{operators}</choice></attribute>'
            f'<attribute name="value"><data type="string"><param name="maxLength">{LONGEST_VALUE}</param>'
            "</data></attribute>"
        )
