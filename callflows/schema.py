"""The published RELAX NG schema, made from the same tables that the parser reads by.

``python -m callflows.schema > callflows/callflow.rng`` after a change of a step's options; a test
holds the file equal to what this says.
"""

from __future__ import annotations

import sys

from lxml import etree

from callflows.build import STEP_ID, option_name, required_fields
from callflows.kinds import Several
from callflows.steps import STEPS
from callflows.steps.base import Step

_HEAD = """\
<grammar xmlns="http://relaxng.org/ns/structure/1.0"
         datatypeLibrary="http://www.w3.org/2001/XMLSchema-datatypes">
<start><element name="callflow"><element name="steps"><oneOrMore>
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
    text = _HEAD.format(references=references, definitions=definitions, step_id=STEP_ID)
    root = etree.fromstring(text, etree.XMLParser(remove_blank_text=True))
    etree.indent(root, space="  ")
    return etree.tostring(root, encoding="unicode") + "\n"


def _definition(action: str, step: type[Step]) -> str:
    options = "".join(_option(step, name) for name in step.options)
    if len(step.options) > 1:
        # libxml2 refuses what an interleave of one holds when that is optional and absent.
        options = f"<interleave>{options}</interleave>"
    return (
        f'<define name="{action}"><element name="step"><ref name="id"/>'
        f'<attribute name="action"><value datatypeLibrary="" type="string">{action}</value></attribute>'
        f"{options}</element></define>"
    )


def _option(step: type[Step], name: str) -> str:
    kind = step.options[name]
    several = isinstance(kind, Several)
    content = kind.each.schema() if isinstance(kind, Several) else kind.schema()
    element = f'<element name="{option_name(name)}">{content}</element>'
    if name in required_fields(step):
        return f"<oneOrMore>{element}</oneOrMore>" if several else element
    return f"<zeroOrMore>{element}</zeroOrMore>" if several else f"<optional>{element}</optional>"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
