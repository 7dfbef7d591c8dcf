"""What would render, and fail only in the cluster, is refused with a sentence that says what to change."""

import pytest
from support.charts import IMAGE, RefusedError, objects

ISSUER = {"enabled": True, "issuerRef": {"name": "internal"}}
PEERS = [{"podSelector": {}}]
LET_IN = {"networkPolicy": {"httpFrom": PEERS, "grpcFrom": PEERS}}
HTTP = {"enabled": True, "hosts": ["a.example.org"]}
PARENTS = [{"name": "public", "sectionName": "https"}]
ROUTE = {"enabled": True, "parentRefs": PARENTS, "hostnames": ["a.example.org"]}

FAILURES = {
    "pages below a path of the bridge's own": (
        {"ingress": {"http": {**HTTP, "path": "/sessions"}}, **LET_IN},
        "choose another one, or set settings.public_url",
    ),
    "a path for the first page only": (
        {"ingress": {"http": {**HTTP, "pathType": "Exact"}}, **LET_IN},
        "all but the first page would be 404: set it to Prefix",
    ),
    "a pattern that is compared as a prefix": (
        {"ingress": {"http": {**HTTP, "path": "/*"}}, **LET_IN},
        "set ingress.http.pathType to ImplementationSpecific",
    ),
    "links made of a pattern": (
        {
            "ingress": {
                "http": {**HTTP, "path": "/x(/|$)(.*)", "pathType": "ImplementationSpecific"}
            },
            **LET_IN,
        },
        "a pattern, from which no link can be made: set settings.public_url",
    ),
    "links to a wildcard": (
        {"ingress": {"http": {**HTTP, "hosts": ["*.example.org"]}}, **LET_IN},
        "set settings.public_url, or name a host without *. first",
    ),
    "links to a gateway's wildcard": (
        {
            "gateway": {
                "http": {"enabled": True, "parentRefs": PARENTS, "hostnames": ["*.example.org"]}
            },
            **LET_IN,
        },
        "set settings.public_url, or name a host without *. first",
    ),
    "one host for pages and gRPC": (
        {"ingress": {"http": HTTP, "grpc": HTTP}, **LET_IN},
        "give gRPC a host name of its own",
    ),
    "one listener and host for pages and gRPC": (
        {"gateway": {"http": ROUTE, "grpc": ROUTE}, **LET_IN},
        "name another host in gateway.grpc.hostnames, or another listener in sectionName",
    ),
    "one port for both": (
        {"service": {"ports": {"http": 443, "grpc": 443}}},
        "service.ports.http and service.ports.grpc are both 443",
    ),
    "IPv6 that nobody listens on": (
        {"service": {"ipFamilyPolicy": "RequireDualStack"}},
        'set listenHost to "[::]"',
    ),
    "a preference that the cluster does not have": (
        {"kubeVersionOverride": "1.30.2", "service": {"trafficDistribution": "PreferClose"}},
        "which Kubernetes has from 1.31 on, and this cluster is 1.30.2: empty it",
    ),
    "a preference that the cluster does not have yet": (
        {"kubeVersionOverride": "1.33.2", "service": {"trafficDistribution": "PreferSameNode"}},
        "which Kubernetes has from 1.34 on",
    ),
    "a store that no rule lets it reach": (
        {"images": {"store": "s3://bucket"}, "networkPolicy": {"egress": {"enabled": True}}},
        "nothing would reach images.store: name the ports and peers",
    ),
    "an endpoint that no rule lets it reach": (
        {
            "settings": {"otlp_endpoint": "http://collector:4317"},
            "networkPolicy": {"egress": {"enabled": True}},
        },
        "nothing would reach settings.otlp_endpoint: name",
    ),
    "a store without keys": (
        {"images": {"store": "s3://bucket"}, "s3": {"endpoint": "https://s3.example.org"}},
        "set s3.existingSecret to a Secret with access-key and secret-key",
    ),
    "a scrape longer than its interval": (
        {
            "metrics": {
                "serviceMonitor": {"enabled": True, "interval": "1m", "scrapeTimeout": "90s"}
            }
        },
        "scrapeTimeout is 90s, longer than the interval of 1m",
    ),
    "a certificate renewed without end": (
        {"tls": {"certManager": {**ISSUER, "duration": "24h"}}},
        "renewBefore is 720h, but a certificate is valid for 24h",
    ),
    "a volume without room": (
        {"emptyDir": {"sizeLimit": "10"}},
        "emptyDir.sizeLimit is 10, too little for a journal: give at least 256Mi",
    ),
    "a claim without room": (
        {"persistence": {"enabled": True, "size": "0Gi"}},
        "persistence.size is 0Gi, too little",
    ),
    "thousandths of a byte": (
        {"resources": {"limits": {"memory": "512m"}}},
        "resources.limits.memory is 512m, too little to start with: give a size such as 512Mi",
    ),
    "too little memory for the test": (
        {"test": {"resources": {"limits": {"memory": "1Mi"}, "requests": None}}},
        "test.resources.limits.memory is 1Mi, too little",
    ),
    "more set aside than allowed": (
        {"resources": {"requests": {"memory": "4Gi"}}},
        "resources.requests.memory is 4Gi, more than the limit of 2Gi",
    ),
    "more CPU set aside than allowed": (
        {"resources": {"limits": {"cpu": "200m"}, "requests": {"cpu": 1}}},
        "resources.requests.cpu is 1, more than the limit of 200m",
    ),
    "a part of nothing": (
        {
            "autoscaling": {"enabled": True, "targetCPUUtilizationPercentage": 70},
            "resources": {"requests": {"cpu": None}},
        },
        "a part of resources.requests.cpu, and that is not set",
    ),
    "a budget that says nothing": (
        {"replicas": 2, "podDisruptionBudget": {"maxUnavailable": None}},
        "has neither minAvailable nor maxUnavailable: set one",
    ),
    "a budget that keeps nodes from being drained": (
        {"replicas": 2, "podDisruptionBudget": {"maxUnavailable": None, "minAvailable": 2}},
        "minAvailable is 2 of at least 2 bridges, so no node could ever be drained",
    ),
    "a budget of all": (
        {"replicas": 2, "podDisruptionBudget": {"maxUnavailable": None, "minAvailable": "100%"}},
        "so no node could ever be drained: lower it",
    ),
    "root that must not be root": (
        {"podSecurityContext": {"runAsUser": 0}},
        "the kubelet would start nothing: choose another user",
    ),
    "a test killed while it compares": (
        {"test": {"durationSeconds": 150}},
        "test.deadlineSeconds is 180, and the test may take longer: set it to at least 210",
    ),
    "two volumes of one name": (
        {"extraVolumes": [{"name": "tmp", "emptyDir": {}}]},
        "extraVolumes has a volume tmp, and the pod has one of that name",
    ),
    "a volume named like the claim": (
        {
            "persistence": {"enabled": True},
            "extraVolumes": [{"name": "state", "emptyDir": {}}],
        },
        "extraVolumes has a volume state, and the pod has one of that name",
    ),
    "a mount of no volume": (
        {"extraVolumeMounts": [{"name": "more", "mountPath": "/more"}]},
        "extraVolumeMounts mounts more, which is not a volume of the pod: add it to extraVolumes",
    ),
    "a mount over another": (
        {"extraVolumeMounts": [{"name": "tmp", "mountPath": "/var/lib/trainbridge/"}]},
        "where something is mounted already: choose another mountPath",
    ),
    "a second bridge in the pod": (
        {"extraContainers": [{"name": "bridge", "image": "x"}]},
        "has a container bridge, and the pod has one of that name already",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_what_fails_at_run_is_refused_in_words(name):
    """The sentence says what to change."""
    values, sentence = FAILURES[name]

    with pytest.raises(RefusedError) as refused:
        objects({**IMAGE, **values})

    assert sentence in str(refused.value)


@pytest.mark.parametrize("release", ["1st", "7.days"])
def test_names_that_no_service_may_have_are_refused(release):
    """Helm takes releases that begin with a digit; Services do not."""
    with pytest.raises(RefusedError, match="set fullnameOverride, or choose another name"):
        objects(IMAGE, name=release)

    assert objects({**IMAGE, "fullnameOverride": "bridge"}, name=release)


@pytest.mark.parametrize(
    "values",
    [
        {"settings": {"allowed_hosts": "https://a.example.org"}},
        {"settings": {"trusted_proxies": "ingress-nginx"}},
        {"settings": {"public_url": "https://a.example.org?a=b"}},
        {"settings": {"otlp_resource_attributes": "lab"}},
        {"images": {"store": "s3://training-images?a"}},
        {"images": {"store": "s3://user@training-images"}},
        {"images": {"store": "s3://training-images"}, "s3": {"region": "-eu"}},
    ],
)
def test_what_the_bridge_would_refuse_is_refused_with_its_value(values):
    """Otherwise each pod would end with status 2, again and again."""
    with pytest.raises(RefusedError, match="does not match pattern"):
        objects({**IMAGE, **values})


def test_what_the_bridge_takes_the_chart_takes():
    """The patterns are no narrower than the bridge."""
    assert objects(
        {
            **IMAGE,
            "images": {"store": "s3://training-images/team-a/x"},
            "s3": {"region": "eu_west-1"},
            "settings": {
                "allowed_hosts": "a.example.org *.example.com [::1]",
                "public_url": "https://$(POD_NAME).example.org/path",
                "trusted_proxies": "10.0.0.0/8 192.0.2.7 fd00::/8",
                "otlp_resource_attributes": "deployment.environment.name=lab,a=%2C,b=",
                "max_message_bytes": "64Mi",
            },
        }
    )
