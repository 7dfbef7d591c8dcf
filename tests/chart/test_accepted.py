"""A cluster takes every object: valid on each version, in one namespace, under names that fit."""

import copy
import re
from functools import cache

import jsonschema
import kubernetes_validate
import pytest
from kubernetes_validate import utils as kubernetes_schemas
from support.charts import ALL, CASES, IMAGE, RENDERED, called, case, objects, only
from support.cluster import check_extension, extension

VERSIONS = [f"1.{minor}" for minor in range(27, 38)]
"""From the oldest that the chart takes to the newest whose schemas there are."""

NEEDS = {"everything": "1.31"}
"""Cases that use what older clusters do not have, and from when on they do."""

EXTENSIONS = {
    "Certificate",
    "GRPCRoute",
    "HTTPRoute",
    "PodMonitor",
    "PrometheusRule",
    "ScaledObject",
    "ServiceMonitor",
}
FOREIGN = {"BackendTrafficPolicy"}
"""Kinds that a case brings itself."""


@pytest.fixture(scope="module", autouse=True)
def _schemas_are_read_once():
    """Otherwise each object has megabytes of definitions parsed anew, which takes longer than all the rest."""
    with pytest.MonkeyPatch.context() as patch:
        read_once = cache(kubernetes_schemas.schema_contents)
        patch.setattr(kubernetes_schemas, "schema_contents", read_once)
        yield


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", sorted(CASES))
def test_kubernetes_takes_every_object(name, version):
    """Every case is valid, unknown fields counted as wrong, on each version from 1.27 on."""
    values, where = case(name)
    version = max(version, NEEDS.get(name, version), key=number)
    for thing in objects({"kubeVersionOverride": f"{version}.0", **values}, **where):
        if thing["kind"] not in EXTENSIONS | FOREIGN:
            assert kubernetes_validate.validate(thing, version, strict=True) == version


def number(version):
    """Return what versions are compared by."""
    return int(version.partition(".")[2])


@pytest.mark.parametrize(
    "entry", [entry for entry in ALL if entry[1]["kind"] in EXTENSIONS], ids=called
)
def test_extensions_take_every_object(entry):
    """Objects of operators, gateways and KEDA are as these define them."""
    check_extension(entry[1])


def test_every_extension_occurs():
    """No schema of an extension is there without an object that it is used on."""
    assert {thing["kind"] for _, thing in ALL} & EXTENSIONS == EXTENSIONS


@pytest.mark.parametrize("kind", sorted(EXTENSIONS))
def test_the_schemas_of_extensions_notice_a_misspelt_field(kind):
    """The check above can fail."""
    thing = copy.deepcopy(next(thing for _, thing in ALL if thing["kind"] == kind))
    assert extension(thing).exists()
    thing["spec"]["retryLimt"] = 3

    with pytest.raises(jsonschema.ValidationError, match="retryLimt"):
        check_extension(thing)


@pytest.mark.parametrize("name", sorted(CASES))
def test_everything_is_in_the_namespace_of_the_release(name):
    """No object lands anywhere else, but for those of the monitoring that are asked to."""
    values, where = case(name)
    monitoring = {
        part.get("namespace")
        for part in values.get("metrics", {}).values()
        if part.get("namespace")
    }
    for thing in RENDERED[name]:
        if thing["kind"] in FOREIGN:
            continue
        elsewhere = monitoring if thing["kind"] in EXTENSIONS | {"ConfigMap"} else set()
        assert thing["metadata"]["namespace"] in {where["namespace"]} | elsewhere


def test_monitors_elsewhere_look_into_the_namespace_of_the_release():
    """A monitor in another namespace still finds the bridges."""
    monitor = only("PodMonitor", "keda")

    assert monitor["metadata"]["namespace"] == "monitoring"
    assert monitor["spec"]["namespaceSelector"] == {"matchNames": ["training"]}


def test_releases_of_one_name_do_not_share_monitoring_objects():
    """In a namespace for monitoring, objects carry the namespace that they are about."""
    first, second = (
        {
            (thing["kind"], thing["metadata"]["name"])
            for thing in objects(case("keda")[0], namespace=namespace)
            if thing["metadata"]["namespace"] == "monitoring"
        }
        for namespace in ("team-a", "team-b")
    )

    assert len(first) == 3
    assert not first & second


@pytest.mark.parametrize("entry", ALL, ids=called)
def test_names_and_labels_fit(entry):
    """Names are DNS labels, and no label is longer than Kubernetes allows."""
    thing = entry[1]
    limit = 52 if thing["kind"] == "StatefulSet" else 63

    assert len(thing["metadata"]["name"]) <= limit
    for label in thing["metadata"].get("labels", {}).values():
        assert isinstance(label, str)
        assert len(label) <= 63


def test_long_names_stay_different():
    """Two releases whose names differ only at the end do not share their objects."""
    first, second = (
        {
            thing["metadata"]["name"]
            for thing in objects({**IMAGE, "fullnameOverride": "n" * 62 + end})
        }
        for end in "ab"
    )

    assert not first & second


@pytest.mark.parametrize("release", ["my.release", "a" * 53, "a.b" * 17])
def test_every_release_has_names_that_kubernetes_takes(release):
    """Helm lets a release have dots and 53 characters; names of Services are DNS labels that begin with a letter."""
    everything = {**IMAGE, "replicas": 2, "persistence": {"enabled": True}}
    things = objects(everything, name=release)

    for thing in things:
        assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", thing["metadata"]["name"])
        assert kubernetes_validate.validate(thing, "1.34", strict=True)
    assert len({(thing["kind"], thing["metadata"]["name"]) for thing in things}) == len(things)


@pytest.mark.parametrize("name", ["true", "no", "123", "1e3", "0x1f", "null"])
def test_names_that_yaml_takes_for_something_else_stay_names(name):
    """A release, a namespace or a Secret may be called like a number or a truth."""
    values = {
        **IMAGE,
        "fullnameOverride": "bridge",
        "nameOverride": name,
        "replicas": 2,
        "tls": {"existingSecret": name},
        "images": {"store": "s3://bucket"},
        "s3": {"existingSecret": name},
        "serviceAccount": {"name": name},
        "priorityClassName": name,
        "runtimeClassName": name,
        "commonLabels": {"team": name},
    }
    for thing in objects(values, name=name, namespace=name):
        assert kubernetes_validate.validate(thing, "1.34", strict=True)
        assert thing["metadata"]["namespace"] == name
        assert thing["metadata"]["labels"]["app.kubernetes.io/instance"] == name


@pytest.mark.parametrize("name", sorted(CASES))
def test_selectors_find_the_bridges_and_only_them(name):
    """Services, budget, policy and the StatefulSet choose the bridges' pods, and not the test's."""
    [labels] = [
        thing["spec"]["template"]["metadata"]["labels"]
        for thing in RENDERED[name]
        if thing["kind"] == "StatefulSet"
    ]
    others = [thing["metadata"]["labels"] for thing in RENDERED[name] if thing["kind"] == "Pod"]
    for thing in RENDERED[name]:
        if thing["kind"] not in ("Service", "StatefulSet", "PodDisruptionBudget", "NetworkPolicy"):
            continue
        spec = thing["spec"]
        chosen = spec.get("podSelector", spec.get("selector"))
        chosen = chosen.get("matchLabels", chosen)
        assert chosen.items() <= labels.items()
        assert not [other for other in others if chosen.items() <= other.items()]
        assert not [label for label in chosen if "version" in label or "chart" in label]


@pytest.mark.parametrize("name", sorted(CASES))
def test_each_bridge_is_scraped_once(name):
    """A monitor finds the Service with the HTTP port, and not the headless one beside it."""
    for monitor in RENDERED[name]:
        if monitor["kind"] != "ServiceMonitor":
            continue
        wanted = monitor["spec"]["selector"]["matchLabels"]
        found = [
            thing
            for thing in RENDERED[name]
            if thing["kind"] == "Service" and wanted.items() <= thing["metadata"]["labels"].items()
        ]
        assert [service["spec"].get("clusterIP") for service in found] == [None]
        assert "http" in [port["name"] for port in found[0]["spec"]["ports"]]
