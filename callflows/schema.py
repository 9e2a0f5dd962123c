"""The published RELAX NG schema, made from the same tables that the parser reads by.

``python -m callflows.schema > callflows/callflow.rng`` after a change of a step's options; a test
holds the file equal to what this says.
"""

from __future__ import annotations

import sys
from typing import Any

from lxml import etree

from callflows.build import option_name, required_fields
from callflows.head import LONGEST_DURATION, LONGEST_TITLE
from callflows.kinds import Kind, Several
from callflows.steps import STEPS
from callflows.steps.base import COMMON, STEP_ID, Step

_HEAD = """\
<grammar xmlns="http://relaxng.org/ns/structure/1.0"
         datatypeLibrary="http://www.w3.org/2001/XMLSchema-datatypes">
<start><element name="callflow">
<optional><attribute name="title">
<data type="string"><param name="maxLength">{longest_title}</param></data>
</attribute></optional>
<optional><attribute name="record"><choice>
<value datatypeLibrary="" type="string">true</value><value datatypeLibrary="" type="string">false</value>
</choice></attribute></optional>
<optional><attribute name="maxDuration"><choice>
<value datatypeLibrary="" type="string"></value>
<data type="integer"><param name="pattern">[0-9]{{1,9}}</param><param name="minInclusive">1</param>
<param name="maxInclusive">{longest_duration}</param></data>
</choice></attribute></optional>
<element name="steps"><oneOrMore>
<choice>{references}</choice>
</oneOrMore></element></element></start>
<define name="id"><attribute name="id">
<data type="string"><param name="pattern">{step_id}</param></data>
</attribute></define>
{definitions}
</grammar>
"""


def schema_text() -> str:
    """The schema in XML syntax, indented."""
    references = "".join(f'<ref name="{action}"/>' for action in STEPS)
    definitions = "".join(_definition(action, step) for action, step in STEPS.items())
    common = "".join(_option(kind, name, False) for name, kind in COMMON.items())
    definitions += f'<define name="common"><interleave>{common}</interleave></define>'
    text = _HEAD.format(
        references=references,
        definitions=definitions,
        step_id=STEP_ID,
        longest_title=LONGEST_TITLE,
        longest_duration=LONGEST_DURATION,
    )
    root = etree.fromstring(text, etree.XMLParser(remove_blank_text=True))
    etree.indent(root, space="  ")
    return etree.tostring(root, encoding="unicode") + "\n"


def _definition(action: str, step: type[Step]) -> str:
    required = required_fields(step)
    options = "".join(_option(kind, name, name in required) for name, kind in step.options.items())
    options = f'<interleave>{options}<ref name="common"/></interleave>'
    return (
        f'<define name="{action}"><element name="step"><ref name="id"/>'
        f'<attribute name="action"><value datatypeLibrary="" type="string">{action}</value></attribute>'
        f"{options}</element></define>"
    )


def _option(kind: Kind[Any] | Several[Any], name: str, required: bool) -> str:
    several = isinstance(kind, Several)
    content = kind.each.schema() if isinstance(kind, Several) else kind.schema()
    element = f'<element name="{option_name(name)}">{content}</element>'
    if required:
        return f"<oneOrMore>{element}</oneOrMore>" if several else element
    return f"<zeroOrMore>{element}</zeroOrMore>" if several else f"<optional>{element}</optional>"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
