"""Lines that stand only where an address is known, and the addresses in their places."""

import pytest

from bridge.alert_rules.addresses import Addresses, fill, known, unknown

TEXT = f"""\
first
page: 'PUBLIC_URL/a'{known("public_url")}
page: by bridge{unknown("public_url")}
board: 'GRAFANA_URL/d'{known("grafana_url")}
last
"""


@pytest.mark.parametrize(
    ("addresses", "lines"),
    [
        ({}, ["page: by bridge"]),
        ({"public_url": "http://b"}, ["page: 'http://b/a'"]),
        ({"grafana_url": "http://g"}, ["page: by bridge", "board: 'http://g/d'"]),
        (
            {"public_url": "http://b", "grafana_url": "http://g"},
            ["page: 'http://b/a'", "board: 'http://g/d'"],
        ),
    ],
)
def test_a_line_stands_where_its_address_is_known(addresses, lines):
    """And its alternative where it is not; what depends on nothing always does."""
    assert fill(TEXT, Addresses(**addresses)).splitlines() == ["first", *lines, "last"]
