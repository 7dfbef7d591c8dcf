"""docs/images.md says what shards hold."""

import json

from support.images import offer
from support.markdown import tables_under
from support.tools import ROOT

from bridge.model import ImageResult
from bridge.sinks.images import Keep
from bridge.sinks.images.shards.layout import BLOCK, pack

TABLES = tables_under((ROOT / "docs" / "images.md").read_text())


def test_every_field_beside_an_image_is_told():
    """The page lists the fields of the JSON members, in their order."""
    pieces, (spot, _) = pack(offer(), at=0)
    told = b"".join(pieces)[spot.json_offset : spot.json_offset + spot.json_length]

    fields = [row[0].strip("`") for row in TABLES["In the bucket"]]

    assert spot.offset == BLOCK
    assert fields == list(json.loads(told))


def test_every_way_to_keep_and_every_result_is_told():
    """The page lists the values of the setting, and what may become of an image."""
    first_words = [row[0].split()[0].strip("`,") for row in TABLES["What is kept"]]

    assert {keep.value for keep in Keep} <= set(first_words)
    assert {result.value for result in ImageResult} <= set(first_words)
