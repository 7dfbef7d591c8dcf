"""Who gets in is who the values name, by what the bridge itself reads of them; doors are open only where nothing else is said."""

import pytest
import yaml
from support.charts import IMAGE, RefusedError, bridge_of, case, made, objects, only

from bridge.access.tokens import read_tokens

HASH = "1f2ec52b774368781bed1d1fb140a92e0eb6348090619c9291f9a5a3c8e8d151"
ENTRY = {"name": "trainers", "sha256": HASH, "roles": ["ingest"]}
TOKENS = {"tokens": {"entries": [ENTRY]}}
ACCOUNTS = {"serviceAccounts": [{"namespace": "vision", "name": "trainer"}]}
RULE = {"name": "prometheus", "match": "prometheus.example.org", "roles": ["metrics"]}
CLAIM = {"name": "people", "match": {"groups": "ml"}, "roles": ["view"]}
PAIR = {"existingSecret": "pair"}
CLIENTS = {"existingSecret": "clients-ca"}
BOTH_CAS = {**PAIR, "clientCA": CLIENTS, "http": {"enabled": True, "clientCA": CLIENTS}}

CONTRADICTIONS = {
    "tokens twice": (
        {"access": {"tokens": {"existingSecret": "tokens", "entries": [ENTRY]}}},
        "add the entries to the Secret, or empty the one",
    ),
    "two tokens of one name": (
        {"access": {"tokens": {"entries": [ENTRY, {**ENTRY, "sha256": "2" * 64}]}}},
        "has the name of trainers twice, and the bridge would not start",
    ),
    "one token under two names": (
        {"access": {"tokens": {"entries": [ENTRY, {**ENTRY, "name": "others"}]}}},
        "has the sha256 of others twice",
    ),
    "two issuers": (
        {
            "access": {
                **ACCOUNTS,
                "oidc": {"issuer": "https://login.example.org", "claims": [CLAIM]},
            }
        },
        "takes JSON Web Tokens of one issuer: empty the one",
    ),
    "an issuer whose tokens admit nobody": (
        {"access": {"oidc": {"issuer": "https://login.example.org"}}},
        "add one to access.oidc.claims",
    ),
    "rules of no issuer": (
        {"access": {"oidc": {"claims": [CLAIM]}}},
        "set access.oidc.issuer, or name accounts in access.serviceAccounts",
    ),
    "rules of certificates that nobody is asked for": (
        {"access": {"certificates": [RULE]}},
        "set tls.clientCA.existingSecret or tls.http.clientCA.existingSecret",
    ),
    "certificates that admit nobody": (
        {"tls": {**PAIR, "http": {"enabled": True, "clientCA": CLIENTS}}},
        "add one to access.certificates",
    ),
    "certificates over plain HTTP": (
        {"access": {"certificates": [RULE]}, "tls": {**PAIR, "http": {"clientCA": CLIENTS}}},
        "HTTP is plain: set tls.http.enabled to true",
    ),
    "TLS without a certificate": (
        {"tls": {"http": {"enabled": True}}},
        "set tls.existingSecret or tls.certManager.enabled too",
    ),
    "open and closed": (
        {"access": {**TOKENS, "allowAnonymous": True}},
        "a bridge does not do both: set it to null, or empty access.tokens",
    ),
    "neither open nor closed": (
        {"access": {"allowAnonymous": False}},
        "nothing says who may come in over gRPC and HTTP: set access.tokens",
    ),
    "closed on one port": (
        {
            "access": {"allowAnonymous": False},
            "tls": {**PAIR, "clientCA": CLIENTS},
            "test": {"enabled": False},
        },
        "nothing says who may come in over HTTP: set access.tokens",
    ),
    "scrapes without a token": (
        {"access": TOKENS, "metrics": {"serviceMonitor": {"enabled": True}}},
        "set metrics.serviceMonitor.bearerToken.existingSecret to a Secret",
    ),
    "two tokens for a scrape": (
        {
            "metrics": {
                "podMonitor": {
                    "bearerToken": {"existingSecret": "a"},
                    "authorization": {"credentials": {"name": "b", "key": "c"}},
                }
            }
        },
        "both say what Prometheus shows: empty the one",
    ),
    "a certificate that the operator does not find": (
        {
            "tls": {**PAIR, "http": {"enabled": True}},
            "metrics": {"serviceMonitor": {"enabled": True, "namespace": "monitoring"}},
        },
        "set metrics.serviceMonitor.tlsConfig, such as",
    ),
    "a token that nobody asks for": (
        {"test": {"tokenSecret": "canary"}},
        "nobody is asked for a token: empty it, or set access.tokens",
    ),
    "keys that no rule lets it fetch": (
        {"access": ACCOUNTS, "networkPolicy": {"egress": {"enabled": True}}},
        "nothing would reach the issuer https://kubernetes.default.svc/openid/v1/jwks",
    ),
    "a variable that the chart decides": (
        {"extraEnv": [{"name": "TRAINBRIDGE_TOKENS_FILE", "value": "/tokens.yaml"}]},
        "TRAINBRIDGE_TOKENS_FILE, which the chart decides: take it out",
    ),
}

MISTAKES = {
    "a token instead of its hash": {"entries": [{**ENTRY, "sha256": "tb_secret"}]},
    "a token without roles": {"entries": [{**ENTRY, "roles": []}]},
    "a role that there is not": {"entries": [{**ENTRY, "roles": ["admin"]}]},
    "a prefix that no name has": {"entries": [{**ENTRY, "sessions": "team a"}]},
    "a date in words": {"entries": [{**ENTRY, "expires": "next year"}]},
    "the token itself": {"entries": [{**ENTRY, "token": "tb_secret"}]},
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_contradictions_are_refused_in_words(name):
    """The sentence says what to change."""
    values, sentence = CONTRADICTIONS[name]

    with pytest.raises(RefusedError) as refused:
        objects({**IMAGE, **values})

    assert sentence in str(refused.value)


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_in_tokens_are_refused_by_the_schema(name):
    """No bridge that refuses its tokens file is started, and nobody writes a token where its hash belongs."""
    with pytest.raises(RefusedError, match="/access/tokens/entries/0"):
        objects({**IMAGE, "access": {"tokens": MISTAKES[name]}})


@pytest.mark.parametrize(
    "account",
    [
        {"namespace": "vision"},
        {"namespace": "vision", "name": "trainer", "roles": []},
        {"namespace": "Vision", "name": "trainer"},
        {"namespace": "*", "name": "*", "sessions": "{kubernetes.io.namespace}"},
        {"namespace": "*", "name": "*", "sessions": "{kubernetes.io.namespace}-"},
    ],
)
def test_accounts_that_no_bridge_takes_are_refused(account):
    """A prefix that nothing ends would show team-a the sessions of team-ab: the bridge refuses it, and so does the chart."""
    with pytest.raises(RefusedError, match="/access/serviceAccounts/0"):
        objects({**IMAGE, "access": {"serviceAccounts": [account]}})


def settings_of(things):
    """Return what the bridge's configuration file holds."""
    [text] = [
        thing["data"]["trainbridge.yaml"]
        for thing in things
        if thing["kind"] == "ConfigMap" and "trainbridge.yaml" in thing["data"]
    ]
    return yaml.safe_load(text)


@pytest.mark.parametrize(
    ("values", "is_open"),
    [
        ({}, True),
        ({"tls": {**PAIR, "clientCA": CLIENTS}, "test": {"enabled": False}}, True),
        ({"access": TOKENS}, False),
        ({"access": ACCOUNTS}, False),
        ({"access": {"oidc": {"issuer": "https://login.example.org", "claims": [CLAIM]}}}, False),
        ({"access": {"certificates": [RULE]}, "tls": BOTH_CAS}, False),
        (
            {"access": {"allowAnonymous": False}, "extraEnvFrom": [{"secretRef": {"name": "x"}}]},
            False,
        ),
    ],
)
def test_doors_are_open_only_where_nothing_else_is_said(values, is_open):
    """An installation that says nothing works, behind its NetworkPolicy; whoever names anybody closes it for the others."""
    assert settings_of(objects({**IMAGE, **values}))["allow_anonymous"] is is_open


def test_entries_are_a_file_that_the_bridge_reads(tmp_path):
    """What stands in the values is in the Secret, and what the bridge makes of that are the tokens."""
    file = tmp_path / "tokens.yaml"
    file.write_text(only("Secret", "tokens")["stringData"]["tokens.yaml"])
    given = case("tokens")[0]["access"]["tokens"]["entries"]

    read = read_tokens(file)

    assert [(entry.identity.name, entry.sha256) for entry in read] == [
        (entry["name"], entry["sha256"]) for entry in given
    ]
    assert read[2].identity.sessions == "vision."


def test_tokens_change_without_a_restart():
    """Tokens and rules are folders that Kubernetes renews, and no pod is stamped with what is in them."""
    first, second = (
        made(
            "StatefulSet", access={**ACCOUNTS, "tokens": {"entries": [{**ENTRY, "roles": [role]}]}}
        )[0]
        for role in ("ingest", "view")
    )
    mounts = {mount["name"]: mount for mount in bridge_of(first)["volumeMounts"]}

    assert first == second
    for name in ("tokens", "access"):
        assert mounts[name]["mountPath"] == f"/etc/trainbridge/{name}"
        assert "subPath" not in mounts[name]


def test_service_accounts_need_nothing_but_their_names():
    """Issuer, keys, authority and the token for the API server follow; without more, an account may stream."""
    things = objects({**IMAGE, "access": ACCOUNTS})
    settings = settings_of(things)
    [rules] = [
        yaml.safe_load(thing["data"]["rules.yaml"])
        for thing in things
        if thing["kind"] == "ConfigMap" and "rules.yaml" in thing["data"]
    ]

    assert settings["oidc_issuer"] == "https://kubernetes.default.svc.cluster.local"
    assert settings["oidc_jwks_url"] == "https://kubernetes.default.svc/openid/v1/jwks"
    assert settings["oidc_ca_file"] == "/etc/trainbridge/api-server/ca.crt"
    assert settings["oidc_token_file"] == "/etc/trainbridge/api-server/token"
    assert rules["claims"][-1] == {
        "name": "vision/trainer",
        "match": {"sub": "system:serviceaccount:vision:trainer"},
        "roles": ["ingest"],
    }


def test_a_cluster_may_have_another_issuer():
    """On managed clusters the issuer is a public address; the keys still come from the cluster's own API server."""
    issuer = "https://oidc.eks.eu-central-1.amazonaws.com/id/ABC"
    settings = settings_of(
        objects({**IMAGE, "access": {**ACCOUNTS, "serviceAccountIssuer": issuer}})
    )

    assert settings["oidc_issuer"] == issuer
    assert settings["oidc_jwks_url"] == "https://kubernetes.default.svc/openid/v1/jwks"


def test_keys_from_elsewhere_need_no_token_of_the_cluster():
    """Who says where the keys are gets no token of the API server sent there."""
    access = {**ACCOUNTS, "oidc": {"jwksUrl": "https://keys.example.org/jwks"}}
    things = objects({**IMAGE, "access": access, "test": {"enabled": False}})

    assert "oidc_token_file" not in settings_of(things)
    assert "oidc_ca_file" not in settings_of(things)
    assert "serviceAccountToken" not in str(things)


def test_the_test_comes_in_by_an_account_of_its_own():
    """With service accounts `helm test` needs no token either; it may do what it does, with its own sessions."""
    things = objects({**IMAGE, "access": ACCOUNTS})
    [pod] = [thing for thing in things if thing["kind"] == "Pod"]
    accounts = {thing["metadata"]["name"] for thing in things if thing["kind"] == "ServiceAccount"}
    [rules] = [
        yaml.safe_load(thing["data"]["rules.yaml"])
        for thing in things
        if thing["kind"] == "ConfigMap" and "rules.yaml" in thing["data"]
    ]

    assert pod["spec"]["serviceAccountName"] in accounts
    assert rules["claims"][0] == {
        "name": "helm test",
        "match": {"sub": f"system:serviceaccount:training:{pod['spec']['serviceAccountName']}"},
        "roles": ["ingest", "view", "metrics"],
        "sessions": "canary-",
    }


def test_a_test_that_cannot_get_in_is_left_out():
    """It would only fail: no pod, and no hole in the policy for it, until it has a token."""
    without = objects({**IMAGE, "access": TOKENS})
    [pod] = made("Pod", access=TOKENS, test={"tokenSecret": "canary"})
    [policy] = [thing for thing in without if thing["kind"] == "NetworkPolicy"]
    environment = {
        variable["name"]: variable["value"] for variable in pod["spec"]["containers"][0]["env"]
    }

    assert not [thing for thing in without if thing["kind"] == "Pod"]
    assert "component: test" not in yaml.safe_dump(policy)
    assert environment["TRAINBRIDGE_TOKEN_FILE"] == "/etc/trainbridge/token/token"


def test_everybody_speaks_tls_to_a_port_with_tls():
    """Probes, links, the test, the Service and Prometheus change with it."""
    values = {
        "tls": {
            "certManager": {"enabled": True, "issuerRef": {"name": "x"}},
            "http": {"enabled": True},
        },
        "metrics": {"podMonitor": {"enabled": True}},
    }
    things = objects({**IMAGE, **values})
    kinds = {thing["kind"]: thing for thing in things}
    bridge = bridge_of(kinds["StatefulSet"])
    [service] = [
        thing
        for thing in things
        if thing["metadata"]["name"] == "trainbridge" and thing["kind"] == "Service"
    ]
    [endpoint] = kinds["PodMonitor"]["spec"]["podMetricsEndpoints"]
    environment = {
        variable["name"]: variable["value"]
        for variable in kinds["Pod"]["spec"]["containers"][0]["env"]
    }

    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert bridge[probe]["httpGet"]["scheme"] == "HTTPS"
    assert settings_of(things)["http_tls_cert_file"] == settings_of(things)["tls_cert_file"]
    assert settings_of(things)["public_url"] == "https://trainbridge.training.svc:8080"
    assert service["spec"]["ports"][0]["appProtocol"] == "https"
    assert environment["TRAINBRIDGE_URL"] == "https://trainbridge.training.svc:8080"
    assert endpoint["scheme"] == "https"
    assert endpoint["tlsConfig"] == {
        "serverName": "trainbridge.training.svc",
        "ca": {"secret": {"name": "trainbridge-tls", "key": "tls.crt"}},
    }
    assert endpoint["tlsConfig"]["serverName"] in kinds["Certificate"]["spec"]["dnsNames"]


def test_prometheus_shows_the_token_that_it_is_given():
    """A Secret is enough; the operator wants a type and a key with it."""
    [endpoint] = only("ServiceMonitor", "tokens")["spec"]["endpoints"]

    assert endpoint["authorization"] == {
        "type": "Bearer",
        "credentials": {"name": "prometheus-trainbridge", "key": "token"},
    }
