"""What contradicts itself is refused before a cluster sees it, with a sentence that says what to change."""

import pytest
from support.charts import RefusedError, objects

IMAGE = {"image": {"repository": "registry.example.org/trainbridge"}}
TLS = {"existingSecret": "pair"}
ISSUER = {"enabled": True, "issuerRef": {"name": "internal"}}
PEERS = [{"podSelector": {}}]

CONTRADICTIONS = {
    "no image": (
        {"image": {"repository": ""}},
        "set image.repository",
    ),
    "two scalers": (
        {
            "autoscaling": {"enabled": True},
            "keda": {"enabled": True, "serverAddress": "http://prometheus:9090"},
        },
        "set one of them to false",
    ),
    "fewer at most than at least": (
        {"autoscaling": {"enabled": True, "minReplicas": 5, "maxReplicas": 2}},
        "autoscaling.minReplicas is greater than autoscaling.maxReplicas: lower",
    ),
    "nothing to scale on": (
        {"autoscaling": {"enabled": True, "targetStreams": None}},
        "set autoscaling.targetStreams",
    ),
    "KEDA without Prometheus": ({"keda": {"enabled": True}}, "keda.serverAddress is empty: set it"),
    "two certificates": (
        {"tls": {**TLS, "certManager": ISSUER}},
        "empty the one or set the other to false",
    ),
    "a certificate of nobody": (
        {"tls": {"certManager": {"enabled": True}}},
        "set it to the name of an Issuer",
    ),
    "a key that its algorithm does not have": (
        {"tls": {"certManager": {**ISSUER, "privateKey": {"algorithm": "RSA"}}}},
        "privateKey.size does not fit RSA: set it",
    ),
    "client certificates without TLS": (
        {"tls": {"clientCA": {"existingSecret": "ca"}}},
        "set tls.existingSecret or tls.certManager.enabled",
    ),
    "probes that cannot speak TLS": (
        {"tls": TLS, "probes": {"type": "grpc"}},
        "set probes.type to http",
    ),
    "a pod killed while it delivers": (
        {"terminationGracePeriodSeconds": 30},
        "set it to at least 55",
    ),
    "lost before three heartbeats": (
        {"settings": {"heartbeat_seconds": 60, "session_lost_seconds": 100}},
        "raise it, or lower settings.heartbeat_seconds",
    ),
    "a spool larger than its volume": (
        {"settings": {"spool_max_bytes": "10GiB"}},
        "lower it, or raise emptyDir.sizeLimit",
    ),
    "a spool larger than its claim": (
        {
            "settings": {"spool_max_bytes": 20 << 30},
            "persistence": {"enabled": True},
        },
        "lower it, or raise persistence.size",
    ),
    "images without a place": ({"settings": {"images_keep": "all"}}, "set images.store to s3://"),
    "a store that is not used": (
        {"s3": {"existingSecret": "keys"}},
        "set images.store to s3://bucket/prefix",
    ),
    "headers for nobody": ({"otlp": {"existingSecret": "key"}}, "set settings.otlp_endpoint"),
    "an ingress for all hosts": (
        {"ingress": {"http": {"enabled": True}}, "networkPolicy": {"httpFrom": PEERS}},
        "ingress.http.hosts is empty: name at least one host",
    ),
    "a route to no gateway": (
        {"gateway": {"grpc": {"enabled": True}}, "networkPolicy": {"grpcFrom": PEERS}},
        "name the Gateway to attach it to",
    ),
    "an ingress that is not let in": (
        {"ingress": {"http": {"enabled": True, "hosts": ["a.example.org"]}}},
        "in networkPolicy.httpFrom",
    ),
    "a gateway that is not let in": (
        {"gateway": {"grpc": {"enabled": True, "parentRefs": [{"name": "public"}]}}},
        "in networkPolicy.grpcFrom",
    ),
    "a load balancer that is not let in": (
        {"service": {"type": "LoadBalancer"}},
        "in networkPolicy.grpcFrom",
    ),
    "addresses for a load balancer that is not there": (
        {"service": {"loadBalancerSourceRanges": ["192.0.2.0/24"]}},
        "set service.type to LoadBalancer",
    ),
    "outside traffic of a ClusterIP": (
        {"service": {"externalTrafficPolicy": "Local"}},
        "empty it, or set service.type",
    ),
    "scraped twice": (
        {"metrics": {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}}},
        "every bridge would be scraped twice: set one",
    ),
    "a budget said twice": (
        {"podDisruptionBudget": {"minAvailable": 1}},
        "set the other to null",
    ),
    "annotations of no account": (
        {"serviceAccount": {"create": False, "annotations": {"role": "arn"}}},
        "annotate the account that is there",
    ),
    "a test without a certificate": (
        {"tls": {**TLS, "clientCA": {"existingSecret": "ca"}}},
        "set test.clientCertSecret, or test.enabled to false",
    ),
    "a variable that the chart decides": (
        {"extraEnv": [{"name": "TRAINBRIDGE_STATE", "value": "memory"}]},
        "TRAINBRIDGE_STATE, which the chart decides: take it out",
    ),
    "a variable said twice": (
        {
            "images": {"store": "s3://bucket"},
            "s3": {"existingSecret": "keys"},
            "extraEnv": [{"name": "TRAINBRIDGE_S3_SECRET_KEY_FILE", "value": "/key"}],
        },
        "is set twice: take it out of extraEnv",
    ),
    "a secret as a value": (
        {"extraEnv": [{"name": "AWS_SECRET_ACCESS_KEY", "value": "hunter2"}]},
        "put it into a Secret",
    ),
}

MISTAKES = {
    "a misspelt value": {"replicaCount": 2},
    "a misspelt setting": {"settings": {"heartbeat_second": 20}},
    "a misspelt key, deep down": {"tls": {"certManager": {"issuer": {"name": "x"}}}},
    "a misspelt probe": {"probes": {"liveness": {"initialDelay": 5}}},
    "a misspelt limit": {"resources": {"limit": {"memory": "1Gi"}}},
    "a misspelt peer": {"networkPolicy": {"httpFrom": [{"podSelectors": {}}]}},
    "a number as text": {"replicas": "2"},
    "no number of replicas": {"replicas": -1},
    "a truth as text": {"persistence": {"enabled": "yes"}},
    "a word that is not allowed": {"image": {"pullPolicy": "Sometimes"}},
    "a tag in the name of the image": {"image": {"repository": "registry.example.org/bridge:1"}},
    "an image with capitals": {"image": {"repository": "registry.example.org/Bridge"}},
    "an image in quotes": {"image": {"repository": "'bridge'"}},
    "an issuer of a kind in quotes": {"tls": {"certManager": {"issuerRef": {"kind": "'Issuer'"}}}},
    "a load balancer of no class": {"service": {"loadBalancerClass": "a: b"}},
    "a region in words": {"s3": {"region": "Frankfurt am Main"}},
    "a key that no Secret has": {"test": {"caKey": "a b"}},
    "a metric that is a sentence": {"autoscaling": {"streamsMetric": "open streams"}},
    "half a digest": {"image": {"digest": "sha256:abc"}},
    "a size with no unit known": {"persistence": {"size": "20 gigs"}},
    "a store that is not a bucket": {"images": {"store": "https://bucket"}},
    "an endpoint without a scheme": {"settings": {"otlp_endpoint": "collector:4317"}},
    "a claim that many may write to": {"persistence": {"accessModes": ["ReadWriteMany"]}},
    "a host with a port": {"ingress": {"http": {"hosts": ["a.example.org:443"]}}},
    "a scaler that ends at nothing": {"keda": {"minReplicas": 0}},
    "a variable with two sources": {
        "extraEnv": [{"name": "A", "value": "b", "valueFrom": {"secretKeyRef": {}}}]
    },
    "a name with capitals": {"fullnameOverride": "Bridge"},
    "a Secret with capitals": {"tls": {"existingSecret": "Pair"}},
    "a Secret's name with a slash": {"s3": {"existingSecret": "team/keys"}},
    "a pull secret that is none": {"imagePullSecrets": [{"name": "my registry"}]},
    "a class with a space": {"ingress": {"http": {"className": "my nginx"}}},
    "a label that is a sentence": {"commonLabels": {"team": "computer vision"}},
    "a label that is too long": {"podLabels": {"team": "x" * 64}},
    "a label's name with a space": {"service": {"labels": {"my team": "vision"}}},
    "an annotation's name with a space": {"podAnnotations": {"my note": "x"}},
    "a node that no label describes": {"nodeSelector": {"pool": "a b"}},
    "peers that no label describes": {
        "networkPolicy": {"grpcFrom": [{"podSelector": {"matchLabels": {"a": "b c"}}}]}
    },
    "peers of half an address": {
        "networkPolicy": {"httpFrom": [{"ipBlock": {"cidr": "10.0.0.1"}}]}
    },
    "links without a scheme": {"settings": {"public_url": "bridge.example.org"}},
    "a size in words": {"emptyDir": {"sizeLimit": "plenty"}},
    "a size of memory with a space": {"resources": {"limits": {"memory": "512 MB"}}},
    "an address that probes do not reach": {"listenHost": "127.0.0.1"},
}


def test_the_least_values_are_taken():
    """The refusals below are about what they name: the image alone is enough."""
    assert objects(IMAGE)


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_contradictions_are_refused_in_words(name):
    """The sentence says what to change."""
    values, sentence = CONTRADICTIONS[name]

    with pytest.raises(RefusedError) as refused:
        objects({**IMAGE, **values})

    assert sentence in str(refused.value)


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_refused_by_the_schema(name):
    """The text names the value, so that it is found."""
    values = MISTAKES[name]
    [key] = values

    with pytest.raises(RefusedError, match=f"at '/?{key}|'{key}'|additional properties") as refused:
        objects(
            {**IMAGE, **values} if key != "image" else {"image": {**IMAGE["image"], **values[key]}}
        )

    assert "trainbridge:" in str(refused.value)
    assert "templates/" not in str(refused.value)


def test_everything_wrong_is_said_at_once():
    """Nobody has to try again for each mistake."""
    values = {"tls": {"clientCA": {"existingSecret": "ca"}}, "otlp": {"existingSecret": "key"}}

    with pytest.raises(RefusedError) as refused:
        objects(values)

    for named in ("image.repository", "tls.clientCA.existingSecret", "otlp.existingSecret"):
        assert named in str(refused.value)
