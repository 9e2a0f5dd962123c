"""Which voice of espeak-ng speaks a language.

The languages are those of MessageBird's say step, and every other that espeak-ng reads well enough
to be understood on a telephone.  espeak-ng is one synthesiser with many pronunciations, so where it
has no voice for a region the nearest one speaks, and `Spoken.remark` says so.
"""

from __future__ import annotations

from dataclasses import dataclass

from callflows.ports import Unavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """How one language is spoken."""

    tag: str
    """BCP 47, such as ``en-GB``; ``en-GB-WLS`` is MessageBird's own."""
    voice: str
    """espeak-ng's identifier of the pronunciation."""
    remark: str = ""
    """What a listener will find different from the tag's promise; empty: nothing."""


_LANGUAGES: tuple[Spoken, ...] = (
    Spoken(tag="af-ZA", voice="gmw/af"),
    Spoken(tag="bg-BG", voice="zls/bg"),
    Spoken(tag="ca-ES", voice="roa/ca"),
    Spoken(tag="cs-CZ", voice="zlw/cs"),
    Spoken(tag="cy-GB", voice="cel/cy"),
    Spoken(tag="da-DK", voice="gmq/da"),
    Spoken(tag="de-DE", voice="gmw/de"),
    Spoken(tag="el-GR", voice="grk/el"),
    Spoken(tag="en-AU", voice="gmw/en", remark="spoken with a British voice"),
    Spoken(tag="en-GB", voice="gmw/en"),
    Spoken(tag="en-GB-WLS", voice="gmw/en", remark="spoken with a British voice"),
    Spoken(tag="en-IN", voice="gmw/en", remark="spoken with a British voice"),
    Spoken(tag="en-US", voice="gmw/en-US"),
    Spoken(tag="es-ES", voice="roa/es"),
    Spoken(tag="es-MX", voice="roa/es-419", remark="spoken with a Latin American voice"),
    Spoken(tag="es-US", voice="roa/es-419", remark="spoken with a Latin American voice"),
    Spoken(tag="et-EE", voice="urj/et"),
    Spoken(tag="fi-FI", voice="urj/fi"),
    Spoken(tag="fr-BE", voice="roa/fr-BE"),
    Spoken(tag="fr-CA", voice="roa/fr", remark="spoken with a voice of France"),
    Spoken(tag="fr-CH", voice="roa/fr-CH"),
    Spoken(tag="fr-FR", voice="roa/fr"),
    Spoken(tag="hr-HR", voice="zls/hr"),
    Spoken(tag="hu-HU", voice="urj/hu"),
    Spoken(tag="id-ID", voice="poz/id"),
    Spoken(tag="is-IS", voice="gmq/is"),
    Spoken(tag="it-IT", voice="roa/it"),
    Spoken(tag="ja-JP", voice="jpx/ja", remark="reads kana; names kanji instead of reading them"),
    Spoken(tag="ko-KR", voice="ko"),
    Spoken(tag="lt-LT", voice="bat/lt"),
    Spoken(tag="lv-LV", voice="bat/lv"),
    Spoken(tag="ms-MY", voice="poz/ms"),
    Spoken(tag="nb-NO", voice="gmq/nb"),
    Spoken(tag="nl-BE", voice="gmw/nl", remark="spoken with a voice of the Netherlands"),
    Spoken(tag="nl-NL", voice="gmw/nl"),
    Spoken(tag="pl-PL", voice="zlw/pl"),
    Spoken(tag="pt-BR", voice="roa/pt-BR"),
    Spoken(tag="pt-PT", voice="roa/pt"),
    Spoken(tag="ro-RO", voice="roa/ro"),
    Spoken(tag="ru-RU", voice="zle/ru"),
    Spoken(tag="sk-SK", voice="zlw/sk"),
    Spoken(tag="sl-SI", voice="zls/sl"),
    Spoken(tag="sv-SE", voice="gmq/sv"),
    Spoken(tag="ta-IN", voice="dra/ta"),
    Spoken(tag="th-TH", voice="tai/th", remark="a first attempt of espeak-ng's; tones are unsure"),
    Spoken(tag="tr-TR", voice="trk/tr"),
    Spoken(tag="uk-UA", voice="zle/uk"),
    Spoken(tag="vi-VN", voice="aav/vi"),
    Spoken(tag="zh-CN", voice="sit/cmn", remark="reads common characters"),
    Spoken(tag="zh-HK", voice="sit/yue", remark="Cantonese; reads common characters"),
)

LANGUAGES = {spoken.tag.lower(): spoken for spoken in _LANGUAGES}
"""By tag in lower case."""

_ALSO_KNOWN_AS = {"en-uk": "en-gb", "es-la": "es-mx", "es-419": "es-mx", "no-no": "nb-no", "no": "nb-no"}
"""Tags that are written for another; ``en-UK`` and ``es-LA`` are MessageBird's own."""

_AT_HOME_IN = {"en": "en-gb", "es": "es-es", "fr": "fr-fr", "nl": "nl-nl", "pt": "pt-pt", "zh": "zh-cn"}
"""The region that speaks for a language given without one, or with one that is not listed."""

_FEMALE = "+f3"
"""espeak-ng's voices are male; this variant of any of them is the clearest female one through G.711."""


def spoken(language: str) -> Spoken:
    """How a language is spoken: its own entry, or the same language's elsewhere (``de-AT`` as ``de-DE``).

    Raises Unavailable, naming the languages that exist.
    """
    tag = language.strip().replace("_", "-").lower()
    tag = _ALSO_KNOWN_AS.get(tag, tag)
    if tag in LANGUAGES:
        return LANGUAGES[tag]
    base = tag.partition("-")[0]
    if base in _AT_HOME_IN:
        return LANGUAGES[_AT_HOME_IN[base]]
    for known, entry in LANGUAGES.items():
        if known.partition("-")[0] == base:
            return entry
    raise Unavailable(
        f"There is no voice for the language {language[:40]!r}. "
        f"Use one of {', '.join(entry.tag for entry in LANGUAGES.values())}."
    )


def voice_name(language: str, voice: str) -> str:
    """espeak-ng's name for a language's male or female voice; male unless `voice` is ``female``."""
    return spoken(language).voice + (_FEMALE if voice.strip().lower() == "female" else "")
