"""Plain data as YAML."""

import pytest
import yaml

from bridge.alert_rules.yaml_text import yaml_text


@pytest.mark.parametrize(
    "data",
    [
        {"a": "b", "n": 1, "truth": True, "word": "yes"},
        {"list": ["x", {"k": "v", "inner": [1, {"deep": "d"}]}]},
        {"text": "it's {{ $x }} # no: comment", "empty": "", "number": "007"},
        [{"first": 1, "second": [2, 3]}, "last"],
    ],
)
def test_it_reads_as_what_was_written(data):
    """A text stays a text, whatever it looks like."""
    assert yaml.safe_load(yaml_text(data)) == data
