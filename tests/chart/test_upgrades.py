"""An upgrade changes nothing that Kubernetes refuses to change, or says first what to do instead."""

import copy
from pathlib import Path

import pytest
import yaml
from helm_python import HelmError
from support.api_server import cluster
from support.charts import IMAGE, chart, objects

RELEASED = {path.stem: path for path in (Path(__file__).parent / "released").glob("*.yaml")}
"""Values, and what the first chart that was in use made of them."""

MUTABLE = {
    "minReadySeconds",
    "ordinals",
    "persistentVolumeClaimRetentionPolicy",
    "replicas",
    "template",
    "updateStrategy",
}
"""What Kubernetes 1.27 lets one change in a StatefulSet; the rest of its spec is fixed."""

WHERE = {"name": "trainbridge", "namespace": "training"}
CLAIMS = {"persistence": {"enabled": True}}
SCALER = {"autoscaling": {"enabled": True, "minReplicas": 2}}
PEERS = [{"podSelector": {}}]
LET_IN = {"networkPolicy": {"httpFrom": PEERS, "grpcFrom": PEERS}}


def upgrade(running, values, *, where=WHERE, **options):
    """Return the objects that an upgrade gives beside what runs; raises HelmError where it is refused."""
    with cluster(running, namespace=where["namespace"], **options) as way:
        rendered = way.render(chart(), values, is_upgrade=True, **where)
    texts = [rendered[path] for path in sorted(rendered) if path.endswith(".yaml")]
    return [found for text in texts for found in yaml.safe_load_all(text) if found]


def refusal(running, values):
    """Return the words in which an upgrade is refused."""
    with pytest.raises(HelmError) as refused:
        upgrade(running, {**IMAGE, **values})
    return str(refused.value)


def installed(*, replicas=None, **values):
    """Return what runs after an installation with these values, as the cluster completes it."""
    things = copy.deepcopy(objects({**IMAGE, **values}))
    for thing in things:
        if thing["kind"] == "StatefulSet":
            _complete(thing["spec"], replicas)
    return things


def _complete(spec, replicas):
    spec["replicas"] = spec.get("replicas", 1) if replicas is None else replicas
    for claim in spec.get("volumeClaimTemplates", []):
        claim["apiVersion"], claim["kind"], claim["status"] = "v1", "PersistentVolumeClaim", {}
        claim["spec"]["volumeMode"] = "Filesystem"
        claim["metadata"]["creationTimestamp"] = None


def claim(number, size):
    """Return the claim of a bridge."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": f"state-trainbridge-{number}", "namespace": "training"},
        "spec": {"resources": {"requests": {"storage": size}}},
    }


def only(kind, things):
    """Return the only object of a kind."""
    [found] = [thing for thing in things if thing["kind"] == kind]
    return found


@pytest.mark.parametrize("name", sorted(RELEASED))
def test_values_of_before_upgrade_what_they_installed(name):
    """No object disappears or gets another name, and what a StatefulSet or Service cannot change stays."""
    before = yaml.safe_load(RELEASED[name].read_text())
    running = copy.deepcopy(before["objects"])
    for thing in running:
        if thing["kind"] == "StatefulSet":
            _complete(thing["spec"], None)

    after = upgrade(running, before["values"], where=before["where"])

    names = {f"{thing['kind']}/{thing['metadata']['name']}" for thing in after}
    assert set(before["names"]) <= names
    for old in before["objects"]:
        [new] = [
            thing
            for thing in after
            if (thing["kind"], thing["metadata"]["name"]) == (old["kind"], old["metadata"]["name"])
        ]
        assert fixed(new) == fixed(old)


def fixed(thing):
    """Return what Kubernetes does not let one change in an object."""
    spec = thing["spec"]
    if thing["kind"] == "StatefulSet":
        return {key: value for key, value in spec.items() if key not in MUTABLE}
    return [spec.get(key) for key in ("clusterIP", "loadBalancerClass", "scaleTargetRef")]


def test_a_release_keeps_its_volumes_until_somebody_takes_the_steps():
    """From an emptyDir to claims: the StatefulSet goes without its pods, then each pod, and what it holds is named."""
    text = refusal(installed(), CLAIMS)

    assert "persistence.enabled is true, but the running bridges keep their state on an" in text
    assert "kubectl --namespace training delete statefulset trainbridge --cascade=orphan" in text
    assert "kubectl --namespace training delete pod trainbridge-0, and once it is ready" in text
    assert "bridge_spool_bytes is 0: images that are not uploaded are lost" in text
    assert "pages and series of its sessions" in text


def test_the_steps_lead_on():
    """Once the StatefulSet is gone, the upgrade is taken."""
    pods_only = [thing for thing in installed() if thing["kind"] != "StatefulSet"]

    stateful_set = only("StatefulSet", upgrade(pods_only, {**IMAGE, **CLAIMS}))

    assert stateful_set["spec"]["volumeClaimTemplates"]


def test_claims_are_not_left_unnoticed():
    """From claims to an emptyDir: refused as well, with what stays behind."""
    text = refusal(installed(**CLAIMS), {})

    assert (
        "persistence.enabled is false, but the running bridges keep their state on claims" in text
    )
    assert "--cascade=orphan" in text
    assert "delete pod trainbridge-0" in text
    assert "stay behind on the claims" in text


def test_a_database_does_not_take_over_what_lies_on_claims():
    """From claims to a PostgreSQL: refused, with what is not moved there, and what it takes to go on."""
    text = refusal(installed(**CLAIMS), {"state": {"postgres": {"existingSecret": "url"}}})

    assert "state.postgres.existingSecret is set, but the running bridges keep their" in text
    assert "what is there is not moved to the PostgreSQL" in text
    assert "--cascade=orphan" in text
    assert "persistence.enabled is false" not in text


def test_a_larger_claim_is_made_before_the_upgrade():
    """The spool never gets a limit beyond its claim."""
    text = refusal(installed(**CLAIMS), {"persistence": {"enabled": True, "size": "30Gi"}})

    assert (
        "persistence.size is 30Gi, but the claims of the running bridges were made with 20Gi"
        in text
    )
    assert "Set it back to 20Gi" in text
    assert "patch pvc state-trainbridge-0 --patch" in text
    assert '"storage": "30Gi"' in text
    assert "delete statefulset trainbridge --cascade=orphan" in text


def test_claims_do_not_shrink():
    """There are no steps to a smaller claim."""
    text = refusal(installed(**CLAIMS), {"persistence": {"enabled": True, "size": "10Gi"}})

    assert "claims cannot shrink: set it to 20Gi" in text
    assert "orphan" not in text


def test_the_same_size_in_other_words_is_the_same():
    """Kubernetes writes sizes its own way."""
    running = installed(persistence={"enabled": True, "size": "2Ti"})

    assert upgrade(running, {**IMAGE, "persistence": {"enabled": True, "size": "2048Gi"}})


@pytest.mark.parametrize(("sizes", "named"), [(("30Gi", "20Gi"), 1), (("20Gi", "30Gi"), 0)])
def test_claims_left_behind_are_looked_at(sizes, named):
    """Without a StatefulSet, after its deletion or a new installation, claims that are there still count."""
    claims = [claim(number, size) for number, size in enumerate(sizes)]

    text = refusal(claims, {"persistence": {"enabled": True, "size": "30Gi"}})

    assert f"the claim state-trainbridge-{named} has 20Gi, and the spool would outgrow it" in text
    assert f"patch pvc state-trainbridge-{named} --patch" in text
    assert f"state-trainbridge-{1 - named}" not in text


def test_claims_that_were_expanded_are_taken():
    """The last step of the way to larger claims."""
    running = [claim(0, "30Gi"), claim(1, "31Gi")]

    assert upgrade(running, {**IMAGE, "persistence": {"enabled": True, "size": "30Gi"}})


@pytest.mark.parametrize(
    ("key", "value", "had"),
    [
        ("storageClassName", "fast", "null"),
        ("accessModes", ["ReadWriteOncePod"], '["ReadWriteOnce"]'),
        ("labels", {"backup": "yes"}, "{"),
        ("annotations", {"example.org/policy": "daily"}, "null"),
    ],
)
def test_nothing_else_of_the_claims_changes(key, value, had):
    """Each value of the claims is named, with what it was and the way round."""
    text = refusal(installed(**CLAIMS), {"persistence": {"enabled": True, key: value}})

    assert f"persistence.{key} (it was {had}" in text
    assert "delete statefulset trainbridge --cascade=orphan" in text


def test_bridges_keep_the_name_they_are_selected_by():
    """A selector is fixed: the old name is said."""
    text = refusal(installed(), {"nameOverride": "telemetry", "fullnameOverride": "trainbridge"})

    assert "set nameOverride to trainbridge" in text


def test_old_clusters_keep_the_number_of_revisions():
    """It can be changed from 1.34 on."""
    values = {"revisionHistoryLimit": 9}

    assert "set it to 5, or run" in refusal(
        installed(), {**values, "kubeVersionOverride": "1.33.1"}
    )
    assert upgrade(installed(), {**IMAGE, **values, "kubeVersionOverride": "1.34.0"})


def test_a_load_balancer_keeps_its_class():
    """It is fixed while the Service has that type, and free when it gets it."""
    values = {"service": {"type": "LoadBalancer", "loadBalancerClass": "b"}, **LET_IN}
    running = installed(service={"type": "LoadBalancer", "loadBalancerClass": "a"}, **LET_IN)

    text = refusal(running, values)

    assert 'service.loadBalancerClass is "b", but that of the running Service is "a"' in text
    assert "kubectl --namespace training delete service trainbridge" in text
    assert upgrade(installed(), {**IMAGE, **values})


@pytest.mark.parametrize(("running", "expected"), [(5, 5), (1, 2), (0, 2)])
@pytest.mark.parametrize("scaler", ["autoscaling", "keda"])
def test_a_scaler_begins_with_what_runs(scaler, running, expected):
    """Replicas that are left out would become one; a scaler does nothing with none."""
    values = {
        scaler: {"enabled": True, "minReplicas": 2, "serverAddress": "http://prometheus:9090"}
    }
    if scaler == "autoscaling":
        del values[scaler]["serverAddress"]

    after = upgrade(installed(replicas=running), {**IMAGE, **values})

    assert only("StatefulSet", after)["spec"]["replicas"] == expected


def test_a_scaler_that_starts_anew_decides_itself():
    """Where nothing runs there is nothing to keep."""
    assert "replicas" not in only("StatefulSet", upgrade([], {**IMAGE, **SCALER}))["spec"]


@pytest.mark.parametrize("scaler", ["trainbridge", "keda-hpa-trainbridge"])
def test_a_scaler_that_is_switched_off_leaves_its_bridges(scaler):
    """Nobody goes from five bridges to one because a default says so."""
    hpa = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": scaler, "namespace": "training"},
        "spec": {"maxReplicas": 8},
    }
    running = [*installed(replicas=5), hpa]

    text = refusal(running, {})

    assert "switched off while it runs 5 bridges, and replicas is 1" in text
    assert "set replicas to 5" in text
    assert upgrade(running, {**IMAGE, "replicas": 5})


def test_who_may_not_look_can_say_so():
    """An account that may not list claims gets an error of Helm's, unless it asks for no checks."""
    forbidden = frozenset({"persistentvolumeclaims"})
    values = {**IMAGE, **CLAIMS}

    with pytest.raises(HelmError, match=r"(?i)forbidden"):
        upgrade(installed(**CLAIMS), values, forbidden=forbidden)

    assert upgrade(
        installed(), {**values, "upgradeChecks": {"enabled": False}}, forbidden=forbidden
    )
