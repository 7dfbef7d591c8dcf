"""Bridges that share a PostgreSQL have everything for it and nothing that they do without; contradictions are refused."""

import pytest
from support.charts import IMAGE, RefusedError, bridge_of, made, notes, objects, only

POSTGRES = {"existingSecret": "trainbridge-postgres"}
SHARED = {"state": {"postgres": POSTGRES}}
STORE = {"images": {"store": "s3://bucket/images"}}
CLOSED = {"networkPolicy": {"allowSameNamespace": False}, "test": {"enabled": False}}

CONTRADICTIONS = {
    "two places for the state": (
        {**SHARED, **STORE, "persistence": {"enabled": True}},
        "set persistence.enabled to false",
    ),
    "images that only one bridge sees": (
        {**SHARED, "settings": {"images_keep": "sample"}},
        "have no place for images that all of them see: set images.store",
    ),
    "forgotten before it is dead": (
        {**SHARED, "settings": {"bridge_forget_seconds": 30}},
        "bridge_forget_seconds is not longer than settings.bridge_dead_seconds",
    ),
    "an address that nobody reaches": (
        {"state": {"postgres": {**POSTGRES, "peerHost": "0.0.0.0"}}},
        "set it to $(POD_IP)",
    ),
    "an authority of no server": (
        {"state": {"postgres": {"caSecret": "ca"}}},
        "set it to a Secret with the URL of the PostgreSQL",
    ),
    "a place of no server": (
        {"state": {"postgres": {"peers": [{"podSelector": {}}]}}},
        "each bridge would keep its state to itself",
    ),
    "a URL that is set twice": (
        {**SHARED, "extraEnv": [{"name": "TRAINBRIDGE_STATE_FILE", "value": "/url"}]},
        "TRAINBRIDGE_STATE_FILE is set twice: take it out of extraEnv",
    ),
    "a URL beside the volume": (
        {"extraEnv": [{"name": "TRAINBRIDGE_STATE_FILE", "value": "/url"}]},
        "TRAINBRIDGE_STATE_FILE, which the chart decides: take it out",
    ),
    "a password for everybody to read": (
        {**SHARED, "extraEnv": [{"name": "PGPASSWORD", "value": "hunter2"}]},
        "holds the secret PGPASSWORD as a value",
    ),
}

MISTAKES = [
    {"existingSecret": "Not A Name"},
    {"port": 0},
    {"port": "5432"},
    {"peerHost": "http://10.0.0.1"},
    {"peerHost": ""},
    {"url": "postgresql://u:p@db/x"},
]


def shared(**more):
    """Return the values of bridges that share a PostgreSQL."""
    return {**SHARED, **STORE, **more}


def environment(**more):
    """Return the variables of the bridge's container, by name."""
    [stateful_set] = made("StatefulSet", **shared(**more))
    return {one["name"]: one for one in bridge_of(stateful_set)["env"]}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_what_contradicts_itself_is_refused_with_the_way_out(name):
    """Before a cluster sees it, in a sentence that says what to change."""
    values, way_out = CONTRADICTIONS[name]
    with pytest.raises(RefusedError) as caught:
        objects({**IMAGE, **values})

    assert way_out in str(caught.value)


@pytest.mark.parametrize("postgres", MISTAKES, ids=repr)
def test_a_mistake_is_refused_by_the_schema(postgres):
    """A password in the values, above all, has no place there."""
    with pytest.raises(RefusedError):
        objects({**IMAGE, **STORE, "state": {"postgres": {**POSTGRES, **postgres}}})


def test_the_url_comes_as_a_file_and_nowhere_else():
    """Whoever may read pods, ConfigMaps or arguments learns no password."""
    [stateful_set] = made("StatefulSet", **shared())
    spec = stateful_set["spec"]["template"]["spec"]
    [volume] = [one for one in spec["volumes"] if one["name"] == "postgres"]

    assert environment()["TRAINBRIDGE_STATE_FILE"]["value"] == "/etc/trainbridge/postgres/url"
    assert volume["secret"]["items"] == [{"key": "url", "path": "url"}]
    assert "--spool-folder=/var/lib/trainbridge" in bridge_of(stateful_set)["args"]
    assert not [one for one in bridge_of(stateful_set)["args"] if one.startswith("--state")]


def test_a_volume_is_for_images_on_their_way_alone():
    """No claim stays behind, and no node is waited for whose disk has one; a disk that fills evicts one pod."""
    [stateful_set] = made("StatefulSet", **shared(replicas=3))
    [state] = [
        one for one in stateful_set["spec"]["template"]["spec"]["volumes"] if one["name"] == "state"
    ]

    assert "volumeClaimTemplates" not in stateful_set["spec"]
    assert state["emptyDir"] == {"sizeLimit": "10Gi"}


def test_each_bridge_has_an_address_of_its_own():
    """Names are found only of pods that are ready; and with TLS the others speak it."""
    names = list(environment())

    assert environment()["TRAINBRIDGE_PEER_URL"]["value"] == "http://$(POD_IP):8080"
    assert names.index("POD_IP") < names.index("TRAINBRIDGE_PEER_URL")
    tls = environment(tls={"existingSecret": "pair", "http": {"enabled": True}})
    assert tls["TRAINBRIDGE_PEER_URL"]["value"] == "https://$(POD_IP):8080"
    ipv6 = environment(state={"postgres": {**POSTGRES, "peerHost": "[$(POD_IP)]"}})
    assert ipv6["TRAINBRIDGE_PEER_URL"]["value"] == "http://[$(POD_IP)]:8080"


def test_an_authority_has_the_server_verified():
    """It would do nothing where libpq only prefers TLS."""
    assert "PGSSLMODE" not in environment()
    found = environment(state={"postgres": {**POSTGRES, "caSecret": "ca"}})

    assert found["PGSSLMODE"]["value"] == "verify-full"
    assert found["PGSSLROOTCERT"]["value"] == "/etc/trainbridge/postgres-ca/ca.crt"


def test_bridges_reach_each_other_and_the_database():
    """Where a policy lets in only whom it names, and where it restricts what goes out."""
    spec = only("NetworkPolicy", "postgres")["spec"]
    bridges = spec["podSelector"]
    [http] = [
        rule for rule in spec["ingress"] if [one["port"] for one in rule["ports"]] == ["http"]
    ]
    ways_out = [(port["port"], rule.get("to")) for rule in spec["egress"] for port in rule["ports"]]

    assert {"podSelector": bridges} in http["from"]
    assert ("http", [{"podSelector": bridges}]) in ways_out
    assert [peers for port, peers in ways_out if port == 5432] == [
        [{"podSelector": {"matchLabels": {"cnpg.io/cluster": "trainbridge"}}}]
    ]


def test_a_closed_policy_still_lets_the_other_bridges_in():
    """Nobody else need be named; and without a shared state there are no others to let in."""
    [policy] = made("NetworkPolicy", **shared(**CLOSED))
    [alone] = made("NetworkPolicy", **CLOSED)

    assert [one["port"] for rule in policy["spec"]["ingress"] for one in rule["ports"]] == ["http"]
    assert alone["spec"]["ingress"] == []


def test_two_bridges_survive_a_drain_and_an_upgrade():
    """One is away at a time, on another node than the next, and has time to hand over."""
    values = shared(replicas=2)
    [stateful_set] = made("StatefulSet", **values)
    [budget] = made("PodDisruptionBudget", **values)
    spec = stateful_set["spec"]["template"]["spec"]

    assert stateful_set["spec"]["updateStrategy"]["type"] == "RollingUpdate"
    assert stateful_set["spec"]["minReadySeconds"] == 10
    assert budget["spec"]["maxUnavailable"] == 1
    assert spec["affinity"]["podAntiAffinity"]
    assert [one["topologyKey"] for one in spec["topologySpreadConstraints"]] == [
        "topology.kubernetes.io/zone",
        "kubernetes.io/hostname",
    ]
    assert bridge_of(stateful_set)["lifecycle"]["preStop"]["sleep"]["seconds"] == 5


def test_links_lead_to_any_bridge():
    """Where each has its own sessions, links lead to the one that made them."""

    def url(**values):
        [settings] = made("ConfigMap", **values)
        return "public_url: " in settings["data"]["trainbridge.yaml"]

    assert url(**shared(replicas=3))
    assert not url(replicas=3)


def test_notes_say_what_an_ack_means_and_what_must_be_set():
    """Nobody learns only from a lost server that PostgreSQL had no standby, or that the pods had no connections left."""
    text = notes({**IMAGE, **shared(replicas=3)})

    assert (
        "An Ack means that the PostgreSQL in the Secret trainbridge-postgres has committed" in text
    )
    assert "synchronous_standby_names" in text
    assert "max_connections of at least 21 for these bridges" in text
    assert "Any bridge takes any run" in text
    assert "there and nowhere else" not in text
    assert "emptyDir" not in text
    scaled = shared(autoscaling={"enabled": True, "maxReplicas": 10})
    assert "max_connections of at least 70" in notes({**IMAGE, **scaled})


def test_notes_say_what_one_bridge_alone_cannot_do():
    """Whoever has a PostgreSQL wants runs to go on while a pod is away; that takes a second one."""
    store = {"images": {"store": "s3://training-images/team-a"}}
    alone, two = notes({**IMAGE, **SHARED}), notes({**IMAGE, **shared(replicas=2)})
    scaled = notes({**IMAGE, **shared(autoscaling={"enabled": True})})

    assert "replicas=2." in alone
    assert "autoscaling.minReplicas=2." in scaled
    assert "one bridge alone" not in two
    assert "one bridge alone" not in notes({**IMAGE, **store})


def test_notes_warn_of_lost_images_where_there_are_any():
    """Without a store none are kept, so none can be lost."""
    warning = "takes along the images"

    assert warning not in notes({**IMAGE, **SHARED})
    assert warning in notes({**IMAGE, **shared()})


def test_notes_name_no_way_that_is_closed():
    """Claims are no place for images here, and no proxy needs to know of sessions."""
    text = notes({**IMAGE, **SHARED})
    proxied = {
        "gateway": {"grpc": {"enabled": True, "parentRefs": [{"name": "public"}]}},
        "networkPolicy": {"grpcFrom": [{"podSelector": {}}]},
    }

    assert "set images.store=s3://bucket/prefix." in text
    assert "trainbridge-session" not in notes({**IMAGE, **shared(replicas=3), **proxied})
    assert "trainbridge-session" in notes({**IMAGE, "replicas": 3, **proxied})
