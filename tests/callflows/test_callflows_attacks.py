"""Documents that mean harm: they are refused quickly, and nothing outside is read for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from callflows.build import MOST_STEPS
from callflows.canonical import LARGEST_DOCUMENT, MOST_ELEMENTS, parse_document
from callflows.faults import DocumentFaults
from callflows.steps import Say

HANGUP = '<step id="a" action="hangup"/>'


def document(steps: str) -> str:
    return f"<callflow><steps>{steps}</steps></callflow>"


def said(text: str) -> str:
    return document(f'<step id="a" action="say"><language>en</language><text>{text}</text></step>')


def faults(text: str | bytes) -> int:
    try:
        parse_document(text)
    except DocumentFaults as refused:
        return len(refused.faults)
    return 0


def refusal(text: str | bytes) -> str:
    with pytest.raises(DocumentFaults) as refused:
        parse_document(text)
    return str(refused.value)


def test_billion_laughs() -> None:
    laughs = '<!ENTITY l0 "ha">' + "".join(
        f'<!ENTITY l{level} "{f"&l{level - 1};" * 10}">' for level in range(1, 10)
    )
    assert "document type declaration" in refusal(f"<!DOCTYPE callflow [{laughs}]>{said('&l9;')}")


def test_laughs_in_an_attribute() -> None:
    entity = '<!ENTITY a "b">'
    assert "document type declaration" in refusal(
        f'<!DOCTYPE callflow [{entity}]><callflow><steps><step id="&a;" action="hangup"/></steps></callflow>'
    )


def test_an_external_entity_is_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("swordfish")
    answer = refusal(
        f'<?xml version="1.0"?>\n<!-- x -->\n<!DOCTYPE callflow [<!ENTITY x SYSTEM "{secret.as_uri()}">]>\n'
        + said("&x;")
    )
    assert answer.startswith("line 3, /: The document has a document type declaration.")
    assert "swordfish" not in answer


def test_an_external_dtd_is_refused() -> None:
    assert "document type declaration" in refusal(
        f'<!DOCTYPE callflow PUBLIC "-//x" "http://127.0.0.1:9/callflow.dtd">{document(HANGUP)}'
    )


@pytest.mark.parametrize(
    "prefix",
    ["\ufeff", "\n \t\r\n", "<?x y?><!-- > -->\n<!---->", '<?xml version="1.0"?><?a ?><!-- <?b?> -->'],
)
def test_a_document_type_hides_behind_nothing(prefix: str) -> None:
    assert "document type declaration" in refusal(f"{prefix}<!DOCTYPE callflow>{document(HANGUP)}")


def test_a_late_or_misspelt_document_type_is_not_well_formed() -> None:
    assert "not well-formed" in refusal(f"{document(HANGUP)}<!DOCTYPE callflow>")
    assert "not well-formed" in refusal(f"<!doctype callflow>{document(HANGUP)}")
    assert "not well-formed" in refusal("<!-- open <!DOCTYPE callflow>")
    assert "not well-formed" in refusal("<? open <!DOCTYPE callflow>")
    assert "not well-formed" in refusal(f"<!--><!DOCTYPE callflow>{document(HANGUP)}")


def test_an_xinclude_is_an_element_like_any_other() -> None:
    include = '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="/etc/hostname" parse="text"/>'
    assert "cannot stand in <text>" in refusal(said(include))


def test_size_is_bounded_before_parsing() -> None:
    # Not well-formed as well, but nobody looks.
    assert f"The document has {LARGEST_DOCUMENT + 1} bytes." in refusal("<" * (LARGEST_DOCUMENT + 1))
    assert f"The document has {LARGEST_DOCUMENT + 2} bytes." in refusal("é" * (LARGEST_DOCUMENT // 2 + 1))
    assert f"The document has {LARGEST_DOCUMENT + 1} bytes." in refusal(b"\xff" * (LARGEST_DOCUMENT + 1))
    largest = document(HANGUP)
    assert not faults(largest + " " * (LARGEST_DOCUMENT - len(largest)))


def test_depth_is_bounded() -> None:
    assert "not well-formed" in refusal("<a>" * 4000 + "</a>" * 4000)
    deep = "<b>" * 200 + "</b>" * 200
    assert "<b> cannot stand in <text>" in refusal(said(deep))
    assert "Only <step> can" in refusal(document(HANGUP + deep))


def test_steps_and_elements_are_counted() -> None:
    many = "".join(f'<step id="{number}" action="hangup"/>' for number in range(MOST_STEPS + 1))
    assert f"There are {MOST_STEPS + 1} steps. Use at most {MOST_STEPS}." in refusal(document(many))
    assert not faults(document(many.replace('<step id="0" action="hangup"/>', "")))
    assert f"elements. Use at most {MOST_ELEMENTS}" in refusal(said("<b/>" * MOST_ELEMENTS))


def test_text_is_bounded() -> None:
    assert not faults(said("x" * 5000))
    assert "text has 5001 characters. Use at most 5000" in refusal(said("x" * 5001))


@pytest.mark.parametrize("tail", ["", "!", "@", ";", "\n"])
@pytest.mark.parametrize(
    "head",
    ["sip:" + "a" * 240, "sip:" + "a-" * 120, "sip:a" + ";a=" * 80, "sip:" + "%20" * 80, "+" + "1" * 250],
)
def test_a_target_that_is_nearly_right_costs_nothing(head: str, tail: str) -> None:
    step = f'<step id="a" action="transfer"><to>{head}{tail}</to></step>'
    assert faults(document(step)) <= 1


def test_a_sip_uri_cannot_write_into_a_request() -> None:
    for attack in (
        "sip:a@b%0d%0aX: y",
        "sip:a%0d%0aX@b",
        "sip:a@b&#13;&#10;X: y",
        "sip:a@b?Route=%3Csip:c%3E",
        "sip:a@b>;x",
        "sip:a:secret@b",
        'sip:"a"@b',
    ):
        step = f'<step id="a" action="transfer"><to>{attack.replace(">", "&gt;")}</to></step>'
        assert "is no value for to" in refusal(document(step))


@pytest.mark.parametrize("name", ["utf-16", "UTF-7", "ISO-8859-1", "cp037", "x" * 40])
def test_another_encoding_is_refused(name: str) -> None:
    text = f'<?xml version="1.0" encoding="{name}"?>{document(HANGUP)}'
    assert f"The document says that its encoding is {name}." in refusal(text.encode())
    assert not faults(text), "in a str it means nothing"


@pytest.mark.parametrize("name", ["utf-8", "UTF-8", "us-ascii"])
def test_the_right_encoding_is_taken(name: str) -> None:
    flow = parse_document(f'<?xml version="1.0" encoding="{name}"?>{said("café")}'.encode())
    (step,) = flow.steps
    assert isinstance(step, Say)
    assert step.text[0].text == "café"  # type: ignore[union-attr]


def test_utf_16_and_broken_utf_8_are_refused() -> None:
    assert "Byte 1 is not UTF-8. Save the document in UTF-8." in refusal(document(HANGUP).encode("utf-16"))
    assert "line 2, /: Byte 3 is not UTF-8" in refusal(b"<\n\xe9" + document(HANGUP).encode())


def test_a_byte_order_mark_is_taken() -> None:
    assert not faults(b"\xef\xbb\xbf" + document(HANGUP).encode())
    assert not faults("\ufeff" + document(HANGUP))


@pytest.mark.parametrize(
    "bad", ["\x00", "\x0b", "\x1b", "\ufffe", "&#0;", "&#x1F;", "&#xD800;", "&#x110000;"]
)
def test_characters_that_xml_cannot_carry(bad: str) -> None:
    assert "not well-formed" in refusal(said(f"a{bad}b"))


def test_half_a_surrogate_pair() -> None:
    assert "half of a surrogate pair" in refusal(said("a\ud800b"))


def test_nothing_at_all() -> None:
    for nothing in ("", " ", "\n", b"", "\ufeff", "<?xml version='1.0'?>", "<!-- -->"):
        assert "not well-formed" in refusal(nothing)


def test_an_unknown_namespace_and_prefixed_attributes_are_faults() -> None:
    assert "The document is a <{urn:x}callflow>." in refusal('<c:callflow xmlns:c="urn:x"/>')
    answer = refusal(
        '<callflow xmlns:x="urn:x"><steps><x:step id="b"/><step x:id="a" action="hangup"/></steps></callflow>'
    )
    assert "<{urn:x}step> cannot stand in <steps>" in answer
    assert "“{urn:x}id” that does not exist" in answer
    assert "The step has no id." in answer
