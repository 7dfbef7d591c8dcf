"""What a security review asks of the objects: restricted, closed, and nothing secret in sight."""

import copy

import pytest
from support.charts import CASES, RENDERED, made, only
from support.cluster import pods, unrestricted

from bridge.config.settings import Settings, is_secret, variable_of


@pytest.mark.parametrize("name", sorted(CASES))
def test_pods_obey_the_restricted_standard(name):
    """No pod is refused where the restricted Pod Security Standard is enforced, the test's included."""
    for pod, spec in pods(RENDERED[name]):
        assert unrestricted(spec) == [], pod


def test_the_restricted_standard_can_be_broken():
    """The check above can fail: each protection taken away is noticed."""
    [(_, spec)] = [
        found for found in pods(RENDERED["default"]) if found[0].startswith("StatefulSet")
    ]
    for take in ("allowPrivilegeEscalation", "capabilities"):
        broken = copy.deepcopy(spec)
        del broken["containers"][0]["securityContext"][take]
        assert len(unrestricted(broken)) == 1
    for take in ("runAsNonRoot", "seccompProfile"):
        broken = copy.deepcopy(spec)
        del broken["securityContext"][take]
        assert len(unrestricted(broken)) == 1
    broken = copy.deepcopy(spec)
    broken["volumes"].append({"name": "host", "hostPath": {"path": "/"}})
    assert unrestricted(broken) == ["volume hostPath"]


@pytest.mark.parametrize("name", sorted(CASES))
def test_pods_have_no_key_to_the_cluster_and_cannot_write_to_themselves(name):
    """No token of the cluster, no variables of its Services, a root that is read-only, a user that is not root."""
    for _, spec in pods(RENDERED[name]):
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert spec["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        writable = {
            mount["name"]
            for mount in spec["containers"][0]["volumeMounts"]
            if not mount.get("readOnly")
        }
        assert writable <= {"state", "tmp", "more"}


@pytest.mark.parametrize("name", sorted(CASES))
def test_no_secret_stands_in_a_variable_or_a_configuration(name):
    """Secrets are files in folders of their own, readable by the group of the pod alone."""
    secret = {variable_of(setting) for setting in Settings.model_fields if is_secret(setting)}
    for _, spec in pods(RENDERED[name]):
        for container in spec["containers"]:
            variables = {variable["name"] for variable in container.get("env", [])}
            assert not variables & secret
            assert not [mount for mount in container.get("volumeMounts", []) if "subPath" in mount]
        for volume in spec["volumes"]:
            if "secret" in volume and volume["name"] != "ca":
                assert volume["secret"]["defaultMode"] == 0o440
    for thing in RENDERED[name]:
        assert thing["kind"] not in ("Role", "RoleBinding", "ClusterRole")


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_only_secret_that_is_made_holds_hashes(name):
    """No token stands in the values, and so none in the release: its hash does, out of sight of who may read ConfigMaps."""
    secrets = [thing for thing in RENDERED[name] if thing["kind"] == "Secret"]

    assert bool(secrets) == (name == "tokens")
    for secret in secrets:
        assert set(secret["stringData"]) == {"tokens.yaml"}
        assert "sha256" in secret["stringData"]["tokens.yaml"]
    for thing in RENDERED[name]:
        if thing["kind"] != "Secret":
            assert "sha256" not in str(thing).replace("@sha256:", "")


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_one_token_of_the_cluster_is_for_the_keys_of_its_issuer(name):
    """Where service accounts come in, the bridge asks the API server who issued their tokens; nowhere else has a pod a token."""
    for pod, spec in pods(RENDERED[name]):
        projected = [volume for volume in spec["volumes"] if "projected" in volume]
        sources = [source for volume in projected for source in volume["projected"]["sources"]]
        tokens = [
            source["serviceAccountToken"] for source in sources if "serviceAccountToken" in source
        ]
        if name != "service-accounts":
            assert not projected
        elif pod.startswith("StatefulSet"):
            assert tokens == [{"path": "token", "expirationSeconds": 3600}]
        else:
            assert [token["audience"] for token in tokens] == ["trainbridge"]


def test_nobody_gets_in_by_default():
    """Without peers the namespace alone is let in, and without that nobody but the test."""
    rules = only("NetworkPolicy")["spec"]["ingress"]
    [closed] = made(
        "NetworkPolicy", networkPolicy={"allowSameNamespace": False}, test={"enabled": False}
    )

    assert [rule["from"] for rule in rules[:2]] == [[{"podSelector": {}}]] * 2
    assert closed["spec"]["ingress"] == []
    assert closed["spec"]["policyTypes"] == ["Ingress"]


def test_a_port_without_peers_stays_closed():
    """Who names peers of one port does not open the other to everybody."""
    peers = [{"namespaceSelector": {"matchLabels": {"team": "vision"}}}]
    [policy] = made(
        "NetworkPolicy",
        networkPolicy={"allowSameNamespace": False, "httpFrom": peers},
        test={"enabled": False},
    )

    assert policy["spec"]["ingress"] == [
        {"ports": [{"port": "http", "protocol": "TCP"}], "from": peers}
    ]


@pytest.mark.parametrize("name", sorted(CASES))
def test_no_rule_of_a_policy_is_for_everybody(name):
    """A rule with an empty list of peers would open the port to the whole cluster."""
    for thing in RENDERED[name]:
        if thing["kind"] == "NetworkPolicy":
            assert all(rule["from"] for rule in thing["spec"]["ingress"])
            assert all(rule["ports"] for rule in thing["spec"]["ingress"])


def test_the_route_for_streams_lets_nothing_else_through():
    """Reflection stays inside."""
    [rule] = only("GRPCRoute", "gateway")["spec"]["rules"]

    assert [match["method"]["service"] for match in rule["matches"]] == [
        "metrics.MetricsService",
        "grpc.health.v1.Health",
    ]


def test_certificates_name_every_way_to_a_bridge():
    """Trainers reach a bridge by the Service, by the headless one, and by its own name."""
    names = only("Certificate", "tls-cert-manager")["spec"]["dnsNames"]

    assert {
        "trainbridge.training.svc",
        "trainbridge-headless.training.svc.cluster.local",
        "*.trainbridge-headless.training.svc",
        "trainbridge.example.org",
    } <= set(names)


def test_the_test_is_run_from_the_image_of_the_bridge():
    """Nothing else has to be pulled, or trusted."""
    for things in RENDERED.values():
        images = {spec["containers"][0]["image"] for _, spec in pods(things)}
        assert len(images) == 1
