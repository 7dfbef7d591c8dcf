"""The rules that the chart makes of its values admit whom the values name, by what the bridge makes of them."""

import pytest
import yaml
from support.charts import IMAGE, RENDERED, objects

from bridge.access.identity import Role
from bridge.access.rules import identity_of, read_rules

WITH_RULES = [
    name
    for name, things in RENDERED.items()
    if any(thing["metadata"]["name"].endswith("-access") for thing in things)
]


def rules_of(things, folder):
    """Return the rules in what a release makes, as the bridge reads them."""
    [text] = [
        thing["data"]["rules.yaml"]
        for thing in things
        if thing["kind"] == "ConfigMap" and "rules.yaml" in thing["data"]
    ]
    file = folder / "rules.yaml"
    file.write_text(text)
    return read_rules(file)


def claims_of(namespace, name):
    """Return the claims that Kubernetes puts into the token of a service account."""
    return {
        "aud": ["trainbridge"],
        "iss": "https://kubernetes.default.svc.cluster.local",
        "kubernetes.io": {
            "namespace": namespace,
            "pod": {"name": "train-0", "uid": "a"},
            "serviceaccount": {"name": name, "uid": "b"},
        },
        "sub": f"system:serviceaccount:{namespace}:{name}",
    }


@pytest.fixture
def accounts(tmp_path):
    """The rules of the case with service accounts."""
    return rules_of(RENDERED["service-accounts"], tmp_path).claims


def test_some_cases_have_rules():
    """The tests here are about something."""
    assert set(WITH_RULES) == {"http-tls", "oidc", "service-accounts"}


@pytest.mark.parametrize("name", WITH_RULES)
def test_the_bridge_reads_the_rules(name, tmp_path):
    """No case gives rules that a bridge would not start with, and none is lost."""
    things = RENDERED[name]
    rules = rules_of(things, tmp_path)
    [text] = [
        thing["data"]["rules.yaml"]
        for thing in things
        if thing["metadata"]["name"].endswith("-access")
    ]
    written = yaml.safe_load(text)

    assert len(rules.claims) == len(written.get("claims", ()))
    assert len(rules.certificates) == len(written.get("certificates", ()))


def test_an_account_may_stream_and_nothing_else(accounts):
    """The one that is named alone, without roles."""
    trainer = identity_of(accounts, claims_of("vision", "trainer"))

    assert trainer.name == "vision/trainer"
    assert trainer.roles == {Role.INGEST}
    assert trainer.sessions == ""


def test_a_pattern_admits_each_namespace_to_its_own_sessions(accounts):
    """One line of values is enough for any number of teams, none of which sees another."""
    first, second = (
        identity_of(accounts, claims_of(namespace, "default"))
        for namespace in ("team-a", "team-ab")
    )

    assert (first.name, first.sessions) == ("team-a/default", "team-a.")
    assert first.roles == {Role.INGEST, Role.VIEW}
    assert not first.owns("team-ab.run")
    assert second.owns("team-ab.run")


@pytest.mark.parametrize(
    ("namespace", "name"),
    [
        ("vision", "default"),
        ("vision", "trainer2"),
        ("vision2", "trainer"),
        ("training", "default"),
    ],
)
def test_other_accounts_stay_outside(accounts, namespace, name):
    """A name is not the beginning of one."""
    assert identity_of(accounts, claims_of(namespace, name)) is None


def test_the_test_sees_its_own_sessions(accounts):
    """It may stream, read and scrape what it has made itself."""
    tester = identity_of(accounts, claims_of("training", "trainbridge-test"))

    assert tester.roles == {Role.INGEST, Role.VIEW, Role.METRICS}
    assert tester.sessions == "canary-"


def test_the_longest_names_are_let_in(tmp_path):
    """A namespace has up to 63 characters and an account up to 253, which is more than a name of the bridge's may have."""
    account = {"namespace": "n" * 63, "name": "a" * 253}
    rules = rules_of(objects({**IMAGE, "access": {"serviceAccounts": [account]}}), tmp_path).claims

    assert identity_of(rules, claims_of(**account)).name.startswith("n" * 63 + "/aaa")
