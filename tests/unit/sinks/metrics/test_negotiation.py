"""Tests of reading Accept headers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.sinks.metrics.negotiation import negotiate_format

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


@pytest.mark.parametrize(
    ("accept", "answer"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        (BROWSER, TEXT),
        (PROMETHEUS_2, OPENMETRICS),
        (PROMETHEUS_3, OPENMETRICS + "; escaping=allow-utf-8"),
        ("application/openmetrics-text", OPENMETRICS),
        ('Application/OpenMetrics-Text; Version="1.0.0"', OPENMETRICS),
        (
            "application/openmetrics-text;version=0.0.1",
            "application/openmetrics-text; version=0.0.1; charset=utf-8",
        ),
        ("application/openmetrics-text;version=1.x.0", TEXT),
        ("application/openmetrics-text;version=2.0.0,text/plain;q=0.1", TEXT),
        ("application/openmetrics-text;q=0.1,text/plain;q=0.2", TEXT),
        ("application/openmetrics-text;q=0,text/plain;q=0", TEXT),
        ("application/openmetrics-text;q=nan", TEXT),
        ("application/openmetrics-text;q=2", TEXT),
        ("application/openmetrics-text;q=", TEXT),
        ("application/openmetrics-text;escaping=evil\r\nX: y", OPENMETRICS),
        ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily", TEXT),
        (";;;,,,=;q", TEXT),
        ("text/plain;version=1.0.0;escaping=underscores", TEXT + "; escaping=underscores"),
    ],
)
def test_the_format_is_the_one_asked_for(accept, answer):
    """Scrapers get what they prefer, everything else gets text."""
    assert negotiate_format(accept).content_type == answer


@given(st.text() | st.from_regex(r"application/openmetrics-text[;=,q0-9. \"]*"))
def test_no_header_is_an_error(accept):
    """Any header at all is answered, with a header that is one clean line."""
    content_type = negotiate_format(accept).content_type

    assert content_type.isascii()
    assert content_type.isprintable()
