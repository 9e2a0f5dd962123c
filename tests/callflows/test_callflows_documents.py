"""Good and bad documents: the parser and the published schema say the same, and every fault is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import etree

from callflows.canonical import parse_document, schema, to_canonical
from callflows.faults import DocumentFaults
from callflows.schema import schema_text
from tests.callflows.documents import BAD, BEYOND_SCHEMA, GOOD, announced

SCHEMA = etree.RelaxNG(etree.fromstring(schema()))


def fits_schema(document: bytes) -> bool:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True)
    try:
        return bool(SCHEMA.validate(etree.fromstring(document, parser)))
    except etree.XMLSyntaxError:
        return False


def name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def test_the_schema_is_the_one_that_the_steps_make() -> None:
    assert schema() == schema_text(), "run: python -m callflows.schema > callflows/callflow.rng"


@pytest.mark.parametrize("path", GOOD, ids=name)
def test_a_good_document_is_taken_by_parser_and_schema(path: Path) -> None:
    document = path.read_bytes()
    flow = parse_document(document)
    assert flow.steps
    assert fits_schema(document), SCHEMA.error_log
    assert parse_document(document.decode()) == flow


@pytest.mark.parametrize("path", GOOD, ids=name)
def test_a_good_document_survives_being_written(path: Path) -> None:
    flow = parse_document(path.read_bytes())
    written = to_canonical(flow)
    assert parse_document(written) == flow
    assert to_canonical(parse_document(written)) == written
    assert fits_schema(written.encode())


@pytest.mark.parametrize("path", [*BAD, *BEYOND_SCHEMA], ids=name)
def test_a_bad_document_is_refused_with_all_its_faults(path: Path) -> None:
    with pytest.raises(DocumentFaults) as refused:
        parse_document(path.read_bytes())
    faults = list(refused.value.faults)
    missed = []
    for expected in announced(path):
        found = next((fault for fault in faults if expected.is_(fault)), None)
        if found:
            faults.remove(found)
        else:
            missed.append(expected)
    assert not missed, f"not found: {missed}\nfound: {refused.value}"
    assert not faults, f"not announced: {faults}"


@pytest.mark.parametrize("path", BAD, ids=name)
def test_the_schema_refuses_a_bad_document_too(path: Path) -> None:
    assert not fits_schema(path.read_bytes())


@pytest.mark.parametrize("path", BEYOND_SCHEMA, ids=name)
def test_what_a_grammar_cannot_count_is_all_that_the_schema_overlooks(path: Path) -> None:
    assert fits_schema(path.read_bytes())
