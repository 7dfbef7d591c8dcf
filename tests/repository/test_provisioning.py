"""Grafana can be set up from grafana/provisioning: its keys exist, and what its files name does, too."""

import re
from pathlib import PurePosixPath

import pytest
import yaml
from support.repository import name_of
from support.tools import ROOT

from bridge.access.credentials import token_of
from bridge.families import BRIDGE_FAMILIES
from bridge.sinks.metrics.families import TRAINING_FAMILIES

FOLDER = ROOT / "grafana" / "provisioning"
SOURCES = sorted(FOLDER.rglob("datasources/*.yaml"))
[PROVIDERS] = FOLDER.rglob("dashboards/*.yaml")

SOURCE_KEYS = {
    *("name", "type", "uid", "orgId", "version", "access", "url", "user", "database", "isDefault"),
    *("basicAuth", "basicAuthUser", "withCredentials", "editable", "jsonData", "secureJsonData"),
    "correlations",
}
"""What Grafana's documentation names for a provisioned data source; it ignores anything else without a word."""

SETTINGS = {
    "prometheus": {
        *("httpMethod", "timeInterval", "prometheusType", "prometheusVersion", "cacheLevel"),
        *("manageAlerts", "exemplarTraceIdDestinations", "disableRecordingRules", "queryTimeout"),
    },
    "tempo": {
        *("tracesToMetrics", "tracesToLogsV2", "tracesToProfiles", "serviceMap", "nodeGraph"),
        *("search", "traceQuery", "spanBar", "streamingEnabled"),
    },
    "yesoreyeram-infinity-datasource": {
        *("auth_method", "allowedHosts", "timeoutInSeconds", "httpHeaderName1"),
    },
}
"""The same of its jsonData, by the type of the data source."""

PROVIDER_KEYS = {
    *("name", "orgId", "type", "folder", "folderUid", "disableDeletion", "editable"),
    *("updateIntervalSeconds", "allowUiUpdates", "options"),
}

ENVIRONMENT = {
    "PROMETHEUS_URL": "http://prometheus:9090",
    "TEMPO_URL": "http://tempo:3200",
    "TRAINBRIDGE_PUBLIC_URL": "https://bridge.example.org",
    "TRAINBRIDGE_TOKEN": "tb_example",
}

DOLLAR = "$$"


def as_grafana_reads(value):
    """Return a value of a file with $NAME and ${NAME} filled in, and each $$ a single $."""
    if isinstance(value, dict):
        return {key: as_grafana_reads(one) for key, one in value.items()}
    if isinstance(value, list):
        return [as_grafana_reads(one) for one in value]
    if not isinstance(value, str):
        return value
    pieces = value.split(DOLLAR)
    return "$".join(re.sub(r"\$\{?(\w+)\}?", lambda m: ENVIRONMENT[m[1]], one) for one in pieces)


def sources():
    """Return every data source by its uid, as Grafana reads it."""
    listed = [yaml.safe_load(path.read_text()) for path in SOURCES]
    return {s["uid"]: as_grafana_reads(s) for file in listed for s in file["datasources"]}


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_grafana_knows_every_key(path):
    """A key that it does not know would be ignored without a word."""
    file = yaml.safe_load(path.read_text())

    assert set(file) == {"apiVersion", "datasources"}
    for source in file["datasources"]:
        assert set(source) <= SOURCE_KEYS
        assert set(source["jsonData"]) <= SETTINGS[source["type"]]


def test_no_source_is_a_default():
    """A Grafana that has a default already would refuse a second one, and not start."""
    assert not any(source.get("isDefault") for source in sources().values())


def test_sources_lead_to_each_other():
    """An exemplar leads to its trace, and a span to the series of its session, by uids that are here."""
    prometheus, tempo = (sources()[f"trainbridge-{name}"] for name in ("prometheus", "tempo"))

    destinations = prometheus["jsonData"]["exemplarTraceIdDestinations"]
    assert [one["datasourceUid"] for one in destinations if "datasourceUid" in one] == [
        tempo["uid"]
    ]
    assert tempo["jsonData"]["tracesToMetrics"]["datasourceUid"] == prometheus["uid"]


def test_the_bridge_is_shown_a_token():
    """The board that asks the bridge's own API comes in where it asks for tokens; an open bridge takes an empty one, too."""
    infinity = sources()["trainbridge-infinity"]

    assert infinity["jsonData"]["httpHeaderName1"] == "Authorization"
    assert token_of(infinity["secureJsonData"]["httpHeaderValue1"]) == "tb_example"
    assert token_of("Bearer ") == ""


def test_an_exemplar_leads_to_its_batch():
    """Its link is made of the labels that exemplars have, and is one of the bridge's pages once Grafana has filled it in."""
    destinations = sources()["trainbridge-prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    urls = {one["name"]: one.get("url") for one in destinations}

    assert set(urls) == {"batch", "trace_id"}
    assert urls["batch"] == (
        'https://bridge.example.org/sessions/${__data.fields["session_id"]}/batches/${__value.raw}'
    )


def test_a_span_leads_to_series_that_exist():
    """Queries name families of the bridge, and attributes that spans have."""
    queries = sources()["trainbridge-tempo"]["jsonData"]["tracesToMetrics"]["queries"]
    families = {family.name for family in (*TRAINING_FAMILIES, *BRIDGE_FAMILIES)}
    attributes = (ROOT / "docs" / "traces.md").read_text()

    assert queries
    for query in queries:
        assert set(re.findall(r"\btraining_\w+", query["query"])) <= families
        [tag] = re.findall(r'\$\{__span\.tags\["([\w.]+)"\]\}', query["query"])
        assert f"`{tag}`" in attributes


def test_boards_find_a_source_of_their_kind():
    """Boards ask for a data source by its type, so those that are provisioned are among what can be chosen."""
    types = {source["type"] for source in sources().values()}

    assert {"prometheus", "tempo", "yesoreyeram-infinity-datasource"} == types


def test_boards_stay_as_their_files_are():
    """One folder is read, by an absolute path, and what the browser changes is not saved over it."""
    file = yaml.safe_load(PROVIDERS.read_text())
    [provider] = file["providers"]

    assert set(provider) <= PROVIDER_KEYS
    assert provider["type"] == "file"
    assert provider["allowUiUpdates"] is False
    assert PurePosixPath(provider["options"]["path"]).is_absolute()


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_each_variable_is_explained(path):
    """What Grafana's environment has to set stands at the top of the file that needs it."""
    text = path.read_text()
    comment, _, rest = text.partition("apiVersion")

    used = set(re.findall(r"(?<!\$)\$\{(\w+)\}", rest))

    assert used <= set(ENVIRONMENT)
    assert used == set(re.findall(r"^#   (\w+)  ", comment, re.MULTILINE))


def test_the_documentation_names_what_grafana_needs():
    """Every variable, every folder to mount, and the link of an exemplar as one would type it."""
    page = (ROOT / "docs" / "grafana.md").read_text()
    [provider] = yaml.safe_load(PROVIDERS.read_text())["providers"]
    destinations = sources()["trainbridge-prometheus"]["jsonData"]["exemplarTraceIdDestinations"]

    for needed in (*ENVIRONMENT, provider["options"]["path"]):
        assert f"`{needed}`" in page
    for one in destinations:
        assert f"`{one['name']}`" in page
        assert one.get("url", "") in page
