"""A page holds nothing that commands whatever shows it."""

import pytest

from bridge.web.templating import html_response


@pytest.mark.parametrize("control", ["\x1b", "\x00", "\r", "\x07", "\x7f", "\x9b"])
def test_a_control_character_of_a_client_is_replaced(control):
    """Pages are read with curl, too, and a terminal obeys what stands in the name of an event."""
    assert html_response(f"a{control}]0;b").text == "a\N{REPLACEMENT CHARACTER}]0;b"


def test_everything_else_stays_as_it_is():
    """Lines, tabs and the letters of any script."""
    text = "a\n\tä \u202f 漢 🙂 \xa0"

    assert html_response(text).text == text
