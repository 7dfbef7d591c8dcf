"""What settings make of the outputs and of the connections that are tried."""

import pytest

from bridge.config import load
from bridge.outputs import connections, span_endpoint


def settings(**given):
    """Return settings as flags would make them."""
    return load(given, {}).settings


def test_without_an_endpoint_there_are_no_spans():
    """Nothing is built, and nothing is tried."""
    assert span_endpoint(settings(), "bridge-0") is None


def test_every_setting_of_spans_reaches_the_endpoint(tmp_path):
    """None of them is only documented."""
    files = {}
    for name in ("ca", "client_cert", "client_key"):
        files[f"{name}_file"] = str(tmp_path / name)
        (tmp_path / name).write_text("")
    given = {
        "endpoint": "https://h:1/base",
        "protocol": "http/protobuf",
        "headers": "api-key=a%20b",
        "service_name": "team",
        "resource_attributes": "a=b",
        "timeout_seconds": "2.5",
        "compression": "gzip",
        **files,
    }
    endpoint = span_endpoint(
        settings(**{f"otlp_{name}": value for name, value in given.items()}), "bridge-0"
    )

    assert (endpoint.url, endpoint.protocol) == ("https://h:1/base/v1/traces", "http/protobuf")
    assert (endpoint.headers, endpoint.service_name) == ({"api-key": "a b"}, "team")
    assert (endpoint.resource_attributes, endpoint.timeout_seconds) == ({"a": "b"}, 2.5)
    assert (endpoint.compression, endpoint.instance_id) == ("gzip", "bridge-0")
    assert {name: getattr(endpoint, name) for name in files} == files


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({}, ["state_folder", "object_store"]),
        ({"images_keep": "none"}, ["state_folder"]),
        (
            {"state": "memory", "otlp_endpoint": "http://h:1"},
            ["state_folder", "object_store", "otlp"],
        ),
        ({"images_store": "s3://bucket"}, ["state_folder", "object_store"]),
    ],
)
def test_what_a_bridge_depends_on_is_what_is_tried(given, names):
    """No connection is tried that the settings do not lead to, and no target shows a secret."""
    keys = {"s3_access_key": "id", "s3_secret_key": "hunter2"}
    found = connections(settings(**keys, **given))

    assert [one.name for one in found] == names
    assert "hunter2" not in repr(found)
