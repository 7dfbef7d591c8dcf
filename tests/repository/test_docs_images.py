"""docs/images.md says what shards hold."""

import json

from support.images import candidate
from support.markdown import tables_under
from support.tools import ROOT

from bridge.model import ImageResult
from bridge.sinks.images import Keep
from bridge.sinks.images.shards.layout import BLOCK, pack

TABLES = tables_under((ROOT / "docs" / "images.md").read_text())


def test_every_field_beside_an_image_is_documented():
    """The page lists the fields of the JSON members, in their order."""
    buffers, (extent, _) = pack(candidate(), at=0)
    text = b"".join(buffers)[extent.json_offset : extent.json_offset + extent.json_length]

    fields = [row[0].strip("`") for row in TABLES["In the bucket"]]

    assert extent.offset == BLOCK
    assert fields == list(json.loads(text))


def test_every_way_to_keep_and_every_result_is_documented():
    """The page lists the values of the setting, and every result of an image."""
    first_words = [row[0].split()[0].strip("`,") for row in TABLES["What is kept"]]

    assert {keep.value for keep in Keep} <= set(first_words)
    assert {result.value for result in ImageResult} <= set(first_words)
