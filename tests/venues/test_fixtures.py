"""Every venue's own fixtures, as they are."""

from __future__ import annotations

from typing import Any

import pytest

from service.venues import VENUES
from tests.venues.frames import decode, fixtures, fresh, reasons


def asked(document: Any) -> str:
    """The context of an answer that its fields do not tell: Kraken's candles, of mark or index."""
    return "history:mark:PF_ETHUSD" if isinstance(document, dict) and "candles" in document else ""


@pytest.mark.parametrize("venue", VENUES)
def test_intact_fixtures_are_not_bad(venue: str) -> None:
    decoder, documents = fresh(venue), fixtures(venue)
    assert documents
    for document in documents:
        assert reasons(decode(decoder, document, context=asked(document))) == []
