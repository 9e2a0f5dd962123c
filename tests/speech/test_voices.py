"""Languages by their tags, and the page that lists them."""

from __future__ import annotations

from pathlib import Path

import pytest

from callflows.ports import Unavailable
from voice.speech.voices import LANGUAGES, spoken, voice_name

# The languages of MessageBird's say step.
SAY_LANGUAGES = """bg-BG cs-CZ cy-GB da-DK de-DE el-GR en-AU en-GB-WLS en-GB en-IN en-US es-ES es-MX es-US
fr-CA fr-FR hr-HR id-ID is-IS it-IT ja-JP ko-KR ms-MY nb-NO nl-NL pl-PL pt-BR pt-PT ro-RO ru-RU sk-SK sv-SE
ta-IN th-TH tr-TR vi-VN zh-CN zh-HK"""


def test_every_language_of_messagebirds_is_spoken() -> None:
    tags = SAY_LANGUAGES.split()
    assert [spoken(tag).tag for tag in tags] == tags
    assert [spoken(tag.lower()).tag for tag in tags] == tags


@pytest.mark.parametrize(
    ("tag", "entry"),
    [("en-gb", "en-GB"), ("EN_us", "en-US"), ("en", "en-GB"), ("de-AT", "de-DE"), ("es-AR", "es-ES"),
     ("en-UK", "en-GB"), ("es-LA", "es-MX"), ("no", "nb-NO"), ("zh", "zh-CN"), ("en-GB-WLS", "en-GB-WLS"),
     ("sv-FI", "sv-SE")],
)  # fmt: skip
def test_languages_by_tag(tag: str, entry: str) -> None:
    assert spoken(tag).tag == entry


@pytest.mark.parametrize("tag", ["tlh", "", "english", "x" * 1000, "gd-GB"])
def test_an_unknown_language_is_refused_with_the_known_ones(tag: str) -> None:
    with pytest.raises(Unavailable, match=r"Use one of .*en-GB.*zh-HK") as caught:
        spoken(tag)
    assert len(str(caught.value)) < 600


def test_voices_by_preference() -> None:
    assert voice_name("nl-NL", "Male") == "gmw/nl"
    assert voice_name("nl-NL", "female") == "gmw/nl+f3"
    assert voice_name("nl-NL", "robot") == "gmw/nl"


def test_the_page_lists_them_all(repository: Path) -> None:
    page = (repository / "docs" / "sounds.md").read_text()
    for entry in LANGUAGES.values():
        assert f"| {entry.tag} | {entry.remark or '—'} |" in page
