"""The canonical XML of callflows: read whole or refused whole.

A document comes from outside: its size is bounded before
anything looks at it, a document type declaration (and with it every entity) is refused before the
parser sees it, and nothing is ever fetched.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files

from lxml import etree

from callflows.build import Callflow, build_callflow, raw_callflow
from callflows.faults import DocumentFaults, Fault, quoted, those_that_exist
from callflows.head import HEAD, read_head, written_head
from callflows.kinds import XML_SPACE
from callflows.raw import NO_ATTRIBUTES, Place, RawCallflow, RawOption, RawStep

LARGEST_DOCUMENT = 32 * 1024
"""Bytes in UTF-8."""
DEEPEST = 8
"""Levels of elements; callflow, steps, step, text, prosody and break are six."""

MOST_ELEMENTS = 2000

_SKELETON = '<callflow><steps><step id="bye" action="hangup"/></steps></callflow>'
_ENCODING = re.compile(rb"""<\?xml[^>?]{0,100}?\sencoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_UTF8_NAMES = ("utf-8", "utf8", "us-ascii", "ascii")


def parse_document(text: str | bytes) -> Callflow:
    """The callflow that a canonical document describes.  Raises DocumentFaults, which holds all its faults.

    Bytes are UTF-8; in a `str` an encoding declaration means nothing.
    """
    faults: list[Fault] = []
    return build_callflow(_read(parsed_root(checked_utf8(text)), faults), faults)


def to_canonical(flow: Callflow) -> str:
    """The canonical document of a callflow: `parse_document` of it gives the same callflow."""
    said = raw_callflow(flow)
    root = etree.Element("callflow", written_head(said))
    steps = etree.SubElement(root, "steps")
    for raw in said.steps:
        step = etree.SubElement(steps, "step", {"id": raw.id, "action": raw.action})
        for option in raw.options:
            _write(step, option)
    _lay_out(root, 0)
    _lay_out(steps, 1)
    for element in steps:
        _lay_out(element, 2)
    return etree.tostring(root, encoding="unicode") + "\n"


def schema() -> str:
    """The published RELAX NG schema (XML syntax) of canonical documents.

    It accepts what `parse_document` accepts, but for what a grammar cannot count: the size of the
    document, the number of steps, targets and sources, equal step ids, empty or overlong texts.
    """
    return files("callflows").joinpath("callflow.rng").read_text(encoding="utf-8")


def checked_utf8(text: str | bytes) -> bytes:
    """The document in UTF-8, small enough and without a document type declaration.  Raises DocumentFaults."""
    if len(text) > LARGEST_DOCUMENT:
        raise _too_large(len(text))
    if isinstance(text, str):
        try:
            document = text.encode()
        except UnicodeEncodeError as error:
            message = f"Character {error.start + 1} is half of a surrogate pair, which no XML can carry."
            raise _refused(_line(text[: error.start]), message, "Remove it.") from None
    else:
        document = text
        _check_encoding(document)
    if len(document) > LARGEST_DOCUMENT:
        raise _too_large(len(document))
    before = _before_doctype(document.decode().removeprefix("\ufeff"))
    if before is not None:
        raise _refused(
            _line(before),
            "The document has a document type declaration.",
            "Remove <!DOCTYPE …>: a callflow needs no DTD and no entities.",
        )
    return document


def _check_encoding(document: bytes) -> None:
    remedy = "Save the document in UTF-8."
    declared = _ENCODING.match(document.removeprefix(b"\xef\xbb\xbf"))
    if declared and declared.group(1).decode().lower() not in _UTF8_NAMES:
        name = declared.group(1).decode()
        raise _refused(1, f"The document says that its encoding is {name}.", remedy)
    try:
        document.decode()
    except UnicodeDecodeError as error:
        line = document.count(b"\n", 0, error.start) + 1
        raise _refused(line, f"Byte {error.start + 1} is not UTF-8.", remedy) from None


def _before_doctype(text: str) -> str | None:
    """What stands before the document type declaration; None without one.

    It can only follow white space, comments and processing instructions; anywhere else ``<!DOCTYPE``
    is text or not well-formed.
    """
    at = 0
    while True:
        while at < len(text) and text[at] in XML_SPACE:
            at += 1
        if text.startswith("<!DOCTYPE", at):
            return text[:at]
        if text.startswith("<?", at):
            end = text.find("?>", at)
        elif text.startswith("<!--", at):
            end = text.find("-->", at + 4)
        else:
            return None
        if end < 0:
            return None
        at = text.index(">", end) + 1


def parsed_root(document: bytes) -> etree._Element:
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        remove_comments=True,
        remove_pis=True,
        huge_tree=False,
    )
    try:
        root = etree.fromstring(document, parser)
    except etree.XMLSyntaxError as error:
        message = (error.msg or "not well-formed").split(", line ")[0].strip().rstrip(".")
        raise _refused(
            error.lineno or 1,
            f"The document is not well-formed XML: {message}.",
            "Close every element, quote every attribute, and write & as &amp; and < as &lt; in text. "
            "Faults further down show once this is mended.",
        ) from None
    elements = sum(1 for _ in root.iter())
    if elements > MOST_ELEMENTS:
        message = f"The document has {elements} elements."
        raise _refused(1, message, f"Use at most {MOST_ELEMENTS}: divide it among several callflows.")
    return root


def _read(root: etree._Element, faults: list[Fault]) -> RawCallflow:
    if root.tag != "callflow":
        faults.append(
            _at(root, f"The document is a <{_name(root)}>.", f"Write a <callflow>, such as {_SKELETON}.")
        )
        raise DocumentFaults(tuple(faults))
    head = read_head({str(name): str(value) for name, value in root.attrib.items()}, _place(root), faults)
    _expect_attributes(root, HEAD, faults)
    _expect_no_text(root, faults)
    holders = list(_children(root, "steps", faults))
    if not holders:
        faults.append(_at(root, "<callflow> holds no <steps>.", f"Write it like {_SKELETON}."))
    for again in holders[1:]:
        faults.append(_at(again, "<steps> stands here again.", "Move its steps into the first one."))
    steps = tuple(_read_step(step, faults) for holder in holders for step in _read_steps(holder, faults))
    if not holders:
        raise DocumentFaults(tuple(faults))
    return RawCallflow(
        steps=steps,
        title=head.title,
        record=head.record,
        max_duration=head.max_duration,
        place=_place(holders[0]),
    )


def _read_steps(holder: etree._Element, faults: list[Fault]) -> Iterator[etree._Element]:
    _expect_attributes(holder, (), faults)
    _expect_no_text(holder, faults)
    yield from _children(holder, "step", faults)


def _read_step(step: etree._Element, faults: list[Fault]) -> RawStep:
    _expect_attributes(step, ("id", "action"), faults)
    _expect_no_text(step, faults)
    return RawStep(
        id=step.get("id", ""),
        action=step.get("action", ""),
        options=tuple(_read_option(option, 4) for option in step),
        place=_place(step),
    )


def _read_option(element: etree._Element, depth: int) -> RawOption:
    content: list[str | RawOption] = [element.text or ""]
    for child in element:
        # What stands deeper than any valid markup is refused with the element around it: no need to read it.
        content.append(_read_option(child, depth + 1) if depth < DEEPEST else _unread(child))
        content.append(child.tail or "")
    return RawOption(
        name=_name(element),
        content=tuple(piece for piece in content if piece != ""),
        attributes={str(name): str(value) for name, value in element.attrib.items()} or NO_ATTRIBUTES,
        place=_place(element),
    )


def _unread(element: etree._Element) -> RawOption:
    return RawOption(name=_name(element), content=(), place=_place(element))


def _children(parent: etree._Element, name: str, faults: list[Fault]) -> Iterator[etree._Element]:
    for child in parent:
        if child.tag == name:
            yield child
        else:
            message = f"<{_name(child)}> cannot stand in <{_name(parent)}>."
            faults.append(_at(child, message, f"Only <{name}> can."))


def _expect_attributes(element: etree._Element, known: tuple[str, ...], faults: list[Fault]) -> None:
    for name in element.attrib:
        if name not in known:
            message = f"<{_name(element)}> has an attribute {quoted(str(name))} that does not exist."
            faults.append(_at(element, message, those_that_exist("attributes", str(name), known)))


def _expect_no_text(element: etree._Element, faults: list[Fault]) -> None:
    pieces = [element.text, *(child.tail for child in element)]
    stray = next((piece for piece in pieces if piece and piece.strip(XML_SPACE)), None)
    if stray is not None:
        message = f"<{_name(element)}> holds the text {quoted(stray.strip())}."
        faults.append(_at(element, message, "Remove it, or put it into an option such as <text>."))


def _write(parent: etree._Element, option: RawOption) -> None:
    element = etree.SubElement(parent, option.name, dict(option.attributes))
    last: etree._Element | None = None
    for piece in option.content:
        if isinstance(piece, RawOption):
            _write(element, piece)
            last = element[-1]
        elif last is None:
            element.text = (element.text or "") + piece
        else:
            last.tail = (last.tail or "") + piece


def _lay_out(holder: etree._Element, depth: int) -> None:
    """Puts each child on a line of its own; what is inside an option stays as it is, since it may be text."""
    if not len(holder):
        return
    holder.text = "\n" + "  " * (depth + 1)
    for child in holder:
        child.tail = holder.text
    holder[-1].tail = "\n" + "  " * depth


def _name(element: etree._Element) -> str:
    return str(element.tag)[:80]


def line_of(element: etree._Element) -> int:
    """The line on which its start tag ends."""
    line: int = element.sourceline  # type: ignore[assignment]  # the stubs leave it open
    return line


def _place(element: etree._Element) -> Place:
    return Place(line=line_of(element), element=element.getroottree().getpath(element))


def _at(element: etree._Element, message: str, remedy: str) -> Fault:
    place = _place(element)
    return Fault(line=place.line, element=place.element, message=message, remedy=remedy)


def _line(before: str) -> int:
    return before.count("\n") + 1


def _refused(line: int, message: str, remedy: str) -> DocumentFaults:
    return DocumentFaults((Fault(line=line, element="/", message=message, remedy=remedy),))


def _too_large(size: int) -> DocumentFaults:
    remedy = f"Use at most {LARGEST_DOCUMENT} bytes: divide it among several callflows."
    return _refused(1, f"The document has {size} bytes.", remedy)
