"""What is set is what one gets, 0, false and the biggest numbers included; what is not set makes sense."""

import pytest
from support.charts import CASES, RENDERED, bridge_of, case, made, only
from support.cluster import pods


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_pod_has_time_to_deliver(name):
    """Whatever is set, the kill comes after the wait, the grace, and some more."""
    [spec] = [spec for pod, spec in pods(RENDERED[name]) if pod.startswith("StatefulSet")]
    values = case(name)[0]
    grace = values.get("settings", {}).get("shutdown_grace_seconds", 45)
    sleep = spec["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {})

    assert spec["terminationGracePeriodSeconds"] >= grace + sleep.get("seconds", 0) + 5


def test_old_clusters_wait_by_a_program():
    """Before 1.30 the kubelet cannot wait by itself."""
    old, new = (
        bridge_of(made("StatefulSet", kubeVersionOverride=version)[0])["lifecycle"]["preStop"]
        for version in ("v1.29.3-eks-1", "1.30.0")
    )

    assert old == {"exec": {"command": ["sleep", "5"]}}
    assert new == {"sleep": {"seconds": 5}}


def test_nothing_and_no_are_honoured():
    """0, false, null and "" are values, not missing ones."""
    [stateful_set] = made(
        "StatefulSet",
        replicas=0,
        preStopSeconds=0,
        minReadySeconds=0,
        settings={"shutdown_grace_seconds": 0, "session_linger_seconds": 0},
        images={"store": "s3://bucket"},
        s3={"pathStyle": False},
        persistence={"enabled": True, "storageClassName": ""},
        topologySpreadConstraints=[],
    )
    [configuration] = made(
        "ConfigMap",
        settings={"shutdown_grace_seconds": 0, "session_linger_seconds": 0},
        images={"store": "s3://bucket"},
        s3={"pathStyle": False},
    )
    [budget] = made("PodDisruptionBudget", replicas=2, podDisruptionBudget={"maxUnavailable": 0})

    assert stateful_set["spec"]["replicas"] == 0
    assert stateful_set["spec"]["minReadySeconds"] == 0
    assert "lifecycle" not in bridge_of(stateful_set)
    assert stateful_set["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"] == ""
    assert "shutdown_grace_seconds: 0\n" in configuration["data"]["trainbridge.yaml"]
    assert "session_linger_seconds: 0\n" in configuration["data"]["trainbridge.yaml"]
    assert "s3_path_style: false\n" in configuration["data"]["trainbridge.yaml"]
    assert budget["spec"]["maxUnavailable"] == 0


def test_the_cluster_chooses_the_storage_class_where_none_is_named():
    """Only null leaves it out."""
    [claim] = made("StatefulSet", persistence={"enabled": True})[0]["spec"]["volumeClaimTemplates"]

    assert "storageClassName" not in claim["spec"]


def test_big_numbers_stay_whole():
    """A million is not 1e+06, which no bridge and no Kubernetes reads as a number."""
    configuration = only("ConfigMap", "durable")["data"]["trainbridge.yaml"]

    assert "max_streams: 2000000\n" in configuration
    assert only("PodMonitor", "keda")["spec"]["sampleLimit"] == 1_500_000
    user = only("StatefulSet", "everything")["spec"]["template"]["spec"]["securityContext"]
    assert user["runAsUser"] == 1_000_680_000


def test_the_spool_leaves_room_on_its_volume():
    """Three quarters of the volume, whatever that is."""
    [configuration] = made("ConfigMap", persistence={"enabled": True, "size": "1.5Ti"})

    assert (
        f"spool_max_bytes: {int(1.5 * 2**40 * 0.75)}" in configuration["data"]["trainbridge.yaml"]
    )


def test_a_change_of_settings_replaces_the_pods():
    """The bridge reads its configuration at its start: pods are stamped with it."""
    stamps = {
        made("StatefulSet", settings={"log_level": level})[0]["spec"]["template"]["metadata"][
            "annotations"
        ]["checksum/config"]
        for level in ("info", "debug")
    }

    assert len(stamps) == 2


def test_what_cannot_be_changed_later_depends_on_little():
    """A new version or label must not change the claims, the selector or the name of the Service: an upgrade would fail."""
    plain, labelled = (
        made("StatefulSet", persistence={"enabled": True}, **more)[0]["spec"]
        for more in ({}, {"commonLabels": {"team": "vision"}, "podLabels": {"a": "b"}})
    )

    for part in ("volumeClaimTemplates", "selector", "serviceName", "podManagementPolicy"):
        assert plain[part] == labelled[part]
    assert "chart" not in str(plain["volumeClaimTemplates"])


def test_replicas_are_left_to_the_scaler():
    """An upgrade does not undo what a scaler has done."""
    for name in ("autoscaled", "keda"):
        assert "replicas" not in only("StatefulSet", name)["spec"]


def test_one_bridge_has_no_budget():
    """A budget for one would keep its node from being drained."""
    kinds = {thing["kind"] for thing in RENDERED["default"]}

    assert "PodDisruptionBudget" not in kinds
    assert made("PodDisruptionBudget", replicas=2)


def test_the_test_asks_the_bridge_it_has_streamed_to():
    """With several bridges both ways lead to the first one, as a session lives on one of them."""
    environment = {
        variable["name"]: variable["value"]
        for variable in only("Pod", "tls-cert-manager")["spec"]["containers"][0]["env"]
    }
    bridge = "trainbridge-0.trainbridge-headless.training.svc"

    assert environment["TRAINBRIDGE_ADDRESS"] == f"grpcs://{bridge}:50051"
    assert environment["TRAINBRIDGE_URL"] == f"http://{bridge}:8080"


@pytest.mark.parametrize(
    ("case", "url"),
    [
        ("default", "http://trainbridge.training.svc:8080"),
        ("ingress", "https://trainbridge.example.org"),
        ("gateway", "https://trainbridge.example.org"),
    ],
)
def test_links_lead_to_where_people_are(case, url):
    """By default, links begin with the way in that there is."""
    configuration = only("ConfigMap", case)["data"]["trainbridge.yaml"]

    assert f'public_url: "{url}"' in configuration


def test_links_of_several_bridges_lead_to_the_right_one():
    """A session is on one bridge: by default each links to its own address, and not to one that leads to any of them."""
    variables = {
        variable["name"]: variable
        for variable in bridge_of(only("StatefulSet", "tls-cert-manager"))["env"]
    }
    configuration = only("ConfigMap", "tls-cert-manager")["data"]["trainbridge.yaml"]

    assert variables["POD_NAME"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    assert variables["TRAINBRIDGE_PUBLIC_URL"]["value"] == (
        "http://$(POD_NAME).trainbridge-headless.training.svc:8080"
    )
    # Kubernetes fills in only what was declared before.
    assert list(variables).index("POD_NAME") < list(variables).index("TRAINBRIDGE_PUBLIC_URL")
    assert "public_url" not in configuration


@pytest.mark.parametrize("scaled", [{"replicas": 2}, {"autoscaling": {"enabled": True}}])
def test_several_bridges_prefer_nodes_of_their_own(scaled):
    """One lost node takes one bridge along, also where nodes have no zone."""
    spec = made("StatefulSet", **scaled)[0]["spec"]["template"]["spec"]
    [term] = spec["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]

    assert term["podAffinityTerm"]["topologyKey"] == "kubernetes.io/hostname"
    assert term["podAffinityTerm"]["labelSelector"]["matchLabels"].items() <= (
        made("StatefulSet", **scaled)[0]["spec"]["template"]["metadata"]["labels"].items()
    )
    assert [constraint["topologyKey"] for constraint in spec["topologySpreadConstraints"]] == [
        "topology.kubernetes.io/zone",
        "kubernetes.io/hostname",
    ]


def test_an_affinity_of_ones_own_is_kept():
    """What is said of pods replaces the default; what is said of nodes stands beside it."""
    nodes = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}
    kept, replaced, single = (
        made("StatefulSet", **values)[0]["spec"]["template"]["spec"].get("affinity")
        for values in (
            {"replicas": 2, "affinity": nodes},
            {"replicas": 2, "affinity": {"podAntiAffinity": {}}},
            {},
        )
    )

    assert set(kept) == {"nodeAffinity", "podAntiAffinity"}
    assert replaced == {"podAntiAffinity": {}}
    assert single is None


@pytest.mark.parametrize(
    ("version", "asked", "made_of_it"),
    [
        ("1.31.0", "PreferClose", "PreferClose"),
        ("1.33.4", "PreferSameZone", "PreferClose"),
        ("1.34.0", "PreferClose", "PreferSameZone"),
        ("1.36.1", "PreferSameZone", "PreferSameZone"),
        ("1.34.0", "PreferSameNode", "PreferSameNode"),
    ],
)
def test_a_preference_has_the_name_of_the_cluster(version, asked, made_of_it):
    """Kubernetes 1.34 renamed PreferClose, and warns of the old name."""
    services = made("Service", kubeVersionOverride=version, service={"trafficDistribution": asked})

    found = {service["spec"].get("trafficDistribution") for service in services}
    assert found == {made_of_it, None}


def test_a_frozen_bridge_is_not_given_time_to_stop():
    """The grace of a stop is for bridges that use it: one that does not answer is restarted after seconds."""
    bridge = bridge_of(only("StatefulSet"))

    for probe in ("livenessProbe", "startupProbe"):
        assert bridge[probe]["terminationGracePeriodSeconds"] == 10
    assert "terminationGracePeriodSeconds" not in bridge["readinessProbe"]


@pytest.mark.parametrize(
    "name", [name for name in sorted(CASES) if name not in ("everything-off", "oidc")]
)
def test_the_log_of_the_test_can_be_read_after_it(name):
    """A test pod that is deleted at its end takes its log along before `helm test --logs` reads it."""
    annotations = only("Pod", name)["metadata"]["annotations"]

    assert annotations["helm.sh/hook"] == "test"
    assert annotations["helm.sh/hook-delete-policy"] == "before-hook-creation"


def test_the_test_trusts_a_secret_of_kubectl():
    """`kubectl create secret tls` stores a certificate and a key, and no authority; the key stays out of the test."""
    pod = made("Pod", tls={"existingSecret": "pair"})[0]
    [volume] = [volume for volume in pod["spec"]["volumes"] if volume["name"] == "ca"]

    assert [item["key"] for item in volume["secret"]["items"]] == ["tls.crt"]


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("/", "https://a.example.org"),
        ("/trainbridge", "https://a.example.org/trainbridge"),
        ("/ml/trainbridge/", "https://a.example.org/ml/trainbridge"),
        ("/*", "https://a.example.org"),
    ],
)
def test_pages_may_be_below_a_path(path, url):
    """The path of an ingress is part of links, and the bridge serves pages below it."""
    ingress = {
        "enabled": True,
        "hosts": ["a.example.org"],
        "path": path,
        "pathType": "ImplementationSpecific" if "*" in path else "Prefix",
        "tls": [{"secretName": "web"}],
    }
    values = {"ingress": {"http": ingress}, "networkPolicy": {"httpFrom": [{"podSelector": {}}]}}
    [configuration], [made_of_it] = made("ConfigMap", **values), made("Ingress", **values)

    assert f'public_url: "{url}"' in configuration["data"]["trainbridge.yaml"]
    assert made_of_it["spec"]["rules"][0]["http"]["paths"][0]["path"] == path


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]"])
def test_both_ports_listen_on_one_address(host):
    """On clusters with IPv6, [::] is for both ports, and takes IPv4 as well."""
    arguments = bridge_of(made("StatefulSet", listenHost=host)[0])["args"]

    assert f"--http-address={host}:8080" in arguments
    assert f"--grpc-address={host}:50051" in arguments


def test_the_test_looks_into_the_store():
    """Where images go to a store, they have to get there and back; where they do not, nobody waits."""
    with_store, without, none_kept, unasked = (
        made("Pod", **values)[0]["spec"]["containers"][0]["args"]
        for values in (
            {"images": {"store": "s3://bucket"}},
            {"persistence": {"enabled": True}},
            {"images": {"store": "s3://bucket"}, "settings": {"images_keep": "none"}},
            {"images": {"store": "s3://bucket"}, "test": {"storeSeconds": None}},
        )
    )

    assert "--store-seconds=90" in with_store
    assert not [flag for flag in (*without, *none_kept, *unasked) if "store" in flag]
