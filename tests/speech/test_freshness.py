from __future__ import annotations

import pytest

from voice.speech.freshness import LONGEST_SECONDS, UNSAID_SECONDS, Freshness, freshness


@pytest.mark.parametrize(
    ("headers", "seconds", "stale"),
    [
        ({}, UNSAID_SECONDS, True),
        ({"Cache-Control": "max-age=300"}, 300, True),
        ({"Cache-Control": 'public, MAX-AGE="300"'}, 300, True),
        ({"Cache-Control": "max-age=300", "Age": "100"}, 200, True),
        ({"Cache-Control": "max-age=300", "Age": "1000"}, 0, True),
        ({"Cache-Control": "max-age=99999999"}, LONGEST_SECONDS, True),
        ({"Cache-Control": "max-age=-1"}, UNSAID_SECONDS, True),
        ({"Cache-Control": "max-age=9999999999999999999999"}, UNSAID_SECONDS, True),
        ({"Cache-Control": "max-age=٣"}, UNSAID_SECONDS, True),
        ({"Cache-Control": "max-age=1, max-age=2"}, 1, True),
        ({"Cache-Control": "no-store, max-age=5"}, 0, False),
        ({"Cache-Control": "no-cache"}, 0, False),
        ({"Cache-Control": "max-age=5, must-revalidate"}, 5, False),
        ({"Cache-Control": ",,=,;" * 1000}, UNSAID_SECONDS, True),
    ],
)
def test_freshness(headers: dict[str, str], seconds: float, stale: bool) -> None:
    assert freshness(headers) == Freshness(seconds=seconds, stale_if_error=stale)
