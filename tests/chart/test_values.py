"""values.yaml, the schema, the README and the bridge's own settings say the same."""

import json
import re

import pytest
import yaml
from support.charts import (
    CASES,
    CHART,
    IMAGE,
    RefusedError,
    case,
    described,
    objects,
    readme,
    values,
)

import bridge
from bridge.config import load
from bridge.config.settings import Settings

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
README = (CHART / "README.md").read_text()
SET = values()
BRIDGE = {
    value.path.partition(".")[2]: value for value in SET if value.path.startswith("settings.")
}

BY_THE_CHART = {
    "config": "a flag, as it names the file with the others",
    "state": "a flag: the volume is mounted there; or state.postgres.existingSecret",
    "spool_folder": "a flag: the volume is mounted there",
    "peer_url": "state.postgres.peerHost",
    "http_address": "a flag: the ports of the container are fixed",
    "grpc_address": "a flag: the ports of the container are fixed",
    "ports_file": "the ports are known",
    "images_store": "images.store",
    "s3_endpoint": "s3.endpoint",
    "s3_region": "s3.region",
    "s3_path_style": "s3.pathStyle",
    "s3_access_key": "s3.existingSecret",
    "s3_secret_key": "s3.existingSecret",
    "s3_ca_file": "s3.caSecret",
    "otlp_headers": "otlp.existingSecret",
    "otlp_ca_file": "TRAINBRIDGE_OTLP_CA_FILE in extraEnv, and extraVolumes",
    "otlp_client_cert_file": "TRAINBRIDGE_OTLP_CLIENT_CERT_FILE in extraEnv, and extraVolumes",
    "otlp_client_key_file": "TRAINBRIDGE_OTLP_CLIENT_KEY_FILE in extraEnv, and extraVolumes",
    "access_rules_file": "access.serviceAccounts, access.oidc.claims and access.certificates",
    "allow_anonymous": "access.allowAnonymous",
    "tokens_file": "access.tokens",
    "oidc_issuer": "access.oidc.issuer, or access.serviceAccountIssuer",
    "oidc_audience": "access.oidc.audience",
    "oidc_jwks_url": "access.oidc.jwksUrl",
    "oidc_ca_file": "access.oidc.caSecret",
    "oidc_token_file": "the account of the pod, with access.serviceAccounts",
    "http_tls_cert_file": "tls.http",
    "http_tls_key_file": "tls.http",
    "http_tls_client_ca_file": "tls.http.clientCA",
    "tls_cert_file": "tls",
    "tls_key_file": "tls",
    "tls_client_ca_file": "tls.clientCA",
}
"""Settings of the bridge that are no value under `settings`, and what stands for them."""

OTHER_DEFAULTS = {
    "shutdown_grace_seconds": "a pod has more time to deliver than somebody at a terminal",
    "log_format": "a container has no terminal",
    "images_keep": "on an emptyDir there is no place to keep them",
    "spool_max_bytes": "the volume decides",
    "public_url": "the ingress, the gateway or the Service decides",
    "otlp_protocol": "a variable of OpenTelemetry decides, else the bridge's own default",
    "otlp_service_name": "a variable of OpenTelemetry decides, else the bridge's own default",
    "otlp_timeout_seconds": "a variable of OpenTelemetry decides, else the bridge's own default",
    "otlp_compression": "a variable of OpenTelemetry decides, else the bridge's own default",
}

OPEN = {
    "global",
    "affinity",
    "extraContainers[]",
    "extraEnvFrom[]",
    "extraInitContainers[]",
    "extraObjects[]",
    "extraVolumeMounts[]",
    "extraVolumes[]",
    "gateway.grpc.filters[]",
    "gateway.http.filters[]",
    "networkPolicy.egress.rules[]",
    "podSecurityContext",
    "securityContext",
    "tolerations[]",
    "topologySpreadConstraints[]",
}
"""Objects of Kubernetes that are handed on as they are; everything else is closed."""


@pytest.mark.parametrize("value", SET, ids=lambda value: value.path)
def test_every_value_is_explained(value):
    """The comment above a value is a sentence; the schema and the README repeat it."""
    assert re.match(r"[A-Z].*[.?!]$", value.comment), value.comment
    assert value.schema.get("description") == value.comment


def test_the_readme_lists_every_value():
    """The table of the README is that of values.yaml, defaults included."""
    assert readme(README) == README, "run `.venv/bin/python tests/support/charts.py`"


def test_the_schema_repeats_values_yaml():
    """No description of the schema is older than the comment that it came from."""
    assert described(json.loads(json.dumps(SCHEMA))) == SCHEMA


def leaves(schema, path=""):
    """Go through what a schema lets one set."""
    for name, own in schema["properties"].items():
        inner = f"{path}.{name}".lstrip(".")
        if "properties" in own:
            yield from leaves(own, inner)
        else:
            yield inner


def test_the_schema_knows_what_values_yaml_has():
    """Nothing can be set that values.yaml does not show, but `global`, which Helm adds to subcharts."""
    assert sorted(leaves(SCHEMA)) == sorted([*(value.path for value in SET), "global"])


def unclosed(schema, path=""):
    """Go through the objects of a schema that take any key."""
    types = schema.get("type", [])
    if "object" in ([types] if isinstance(types, str) else types):
        if schema.get("additionalProperties", True) is True:
            yield path
        for name, own in schema.get("properties", {}).items():
            yield from unclosed(own, f"{path}.{name}".lstrip("."))
    if "items" in schema:
        yield from unclosed(schema["items"], f"{path}[]")


def test_every_object_is_closed():
    """A misspelt key is refused everywhere but in what Kubernetes itself will check."""
    definitions = [
        found for name, own in SCHEMA["definitions"].items() for found in unclosed(own, f"#{name}")
    ]

    assert set(unclosed(SCHEMA)) == OPEN
    assert set(definitions) == {
        "#peer.podSelector.matchExpressions[]",
        "#peer.namespaceSelector.matchExpressions[]",
        "#resources.claims[]",
    }


def test_every_setting_of_the_bridge_can_be_set():
    """Whatever can be set on the bridge, the chart can set, or decides it for a reason."""
    assert set(BRIDGE) | set(BY_THE_CHART) == set(Settings.model_fields)
    assert not set(BRIDGE) & set(BY_THE_CHART)


@pytest.mark.parametrize("name", sorted(set(BRIDGE) - set(OTHER_DEFAULTS)))
def test_defaults_are_those_of_the_bridge(name):
    """A bridge on Kubernetes behaves like any other, unless there is a reason."""
    default = BRIDGE[name].default
    field = Settings.model_fields[name]
    if default == "":
        assert field.default is None
        return

    assert getattr(Settings(**{name: default}), name) == field.default


def beyond():
    """Yield each number and size of the bridge that can be set, with a value beyond each of its bounds."""
    for name in sorted(BRIDGE):
        for bound in Settings.model_fields[name].metadata:
            if (least := getattr(bound, "ge", None)) is not None:
                yield name, least - 1
            if (most := getattr(bound, "le", None)) is not None:
                yield name, most + 1
            if (above := getattr(bound, "gt", None)) is not None:
                yield name, above


@pytest.mark.parametrize(("name", "value"), list(beyond()))
def test_the_chart_refuses_what_no_bridge_starts_with(name, value):
    """A bound of the bridge is one of the chart, so that no pod fails for it."""
    with pytest.raises(RefusedError, match=name):
        objects({**IMAGE, "settings": {name: int(value) if value == int(value) else value}})


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_bridge_takes_its_configuration(name, tmp_path):
    """The file that a case gives is one that a bridge starts with, and holds what was asked for."""
    given, where = case(name)
    [text] = [
        thing["data"]["trainbridge.yaml"]
        for thing in objects(given, **where)
        if thing["kind"] == "ConfigMap" and "trainbridge.yaml" in thing["data"]
    ]
    configuration = yaml.safe_load(text)
    for key in [key for key in configuration if key.endswith("_file")]:
        path = tmp_path / key
        path.write_text("")
        configuration[key] = str(path)
    file = tmp_path / "trainbridge.yaml"
    file.write_text(yaml.safe_dump(configuration))

    settings = load({"config": str(file)}, {}).settings

    for key, value in given.get("settings", {}).items():
        if value != "":
            expected = getattr(Settings(**{key: value}), key)
            assert getattr(settings, key) == expected


def test_the_chart_has_the_version_of_the_bridge():
    """Chart and bridge are released together."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())

    assert chart["version"] == chart["appVersion"] == bridge.__version__
