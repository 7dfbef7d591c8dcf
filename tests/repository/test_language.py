"""One language: words that a reader of this field would stumble over do not come back."""

import pytest
from support.language import checked, findings
from support.repository import name_of

HOW = "run `PYTHONPATH=tests .venv/bin/python -m support.language` for all of them"


@pytest.mark.parametrize("path", checked(), ids=name_of)
def test_no_banned_word(path):
    """Identifiers, messages, comments and pages use the field's own terms."""
    assert not findings(path), HOW


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            'def f(told):\n    """Tell whether it is no number."""',
            ["told", "Tell whether", "is no"],
        ),
        ("# One order to pause comes\nx.orders = 1", ["One order", "order to", "orders"]),
        ('raise ValueError(f"{name} is no setting, and stays so for ever")', ["is no", "for ever"]),
        ("class Order:\n    pass", ["Order"]),
        ('"""There is no such file; it is no longer kept, in order of arrival."""', []),
        ("def test_a_pause_is_no_end():\n    pass", ["test_a_pause_is_no_end"]),
        ("def there_is_no_end():\n    pass", []),
        ("def in_order(byte_order):\n    return sorted(byte_order, order=1)", []),
    ],
)
def test_what_is_found(tmp_path, source, expected):
    """Identifiers by their parts and by their whole, texts by phrases; the same words are innocent elsewhere."""
    path = tmp_path / "source.py"
    path.write_text(f"{source}\n")

    found = [finding.split("'")[1] for finding in findings(path)]

    assert sorted(found) == sorted(expected)
