"""What Helm prints after an installation is true of it."""

import yaml
from support.charts import IMAGE, case, notes


def test_notes_warn_of_proxies_that_spread_calls():
    """Several bridges behind a proxy need more than one behind it does."""
    values, where = case("gateway")

    assert "by the header trainbridge-session" not in notes(values, **where)
    assert "by the header trainbridge-session" in notes({**values, "replicas": 2}, **where)


def test_notes_name_the_proxy_that_nobody_trusts():
    """Behind an ingress everybody has its address, until its network is named."""
    values, where = case("ingress")
    named = {**values, "settings": {"trusted_proxies": "10.244.0.0/16"}}

    assert "settings.trusted_proxies" in notes(values, **where)
    assert "settings.trusted_proxies" not in notes(named, **where)


def test_notes_say_what_an_ack_is_worth():
    """Nobody learns only from a lost node that an emptyDir goes with its pod."""
    assert "NOT a deleted or evicted pod" in notes(IMAGE)
    assert "survives a lost pod and node" in notes({**IMAGE, "persistence": {"enabled": True}})


def test_notes_say_what_becomes_of_claims():
    """Who lets claims go with the release learns what goes with them."""
    kept = {**IMAGE, "persistence": {"enabled": True}}
    gone = {**IMAGE, "persistence": {"enabled": True, "retention": {"whenDeleted": "Delete"}}}

    assert "Claims stay when the release goes" in notes(kept)
    assert "what was not uploaded" in notes(gone)


def test_notes_warn_of_what_is_open():
    """Whoever gets in may do everything; who switches the policy off learns what that means."""
    assert "- OPEN: whoever reaches a port may stream, read everything and send commands" in notes(
        IMAGE
    )
    assert "every pod of the cluster gets in" in notes(
        {**IMAGE, "networkPolicy": {"enabled": False}}
    )
    assert "- OPEN: whoever reaches the HTTP port may read everything" in notes(
        case("tls-secret")[0]
    )


def test_notes_close_it_in_five_lines():
    """What they print are values that the chart takes, once the hashes stand in them, and that ask everybody for a token."""
    text = notes(IMAGE)
    lines = text[text.index("    access:") :].splitlines()[:5]
    values = yaml.safe_load("\n".join(lines).replace("HASH", "a" * 64, 1).replace("HASH", "b" * 64))
    closed = notes({**IMAGE, **values})

    assert "OPEN" not in closed
    assert "Who comes in must show a token. Anybody else is refused." in closed


def test_notes_show_a_trainer_that_needs_no_secret():
    """The part of a pod that they print gives it a token for this bridge; which accounts come in is said."""
    values, where = case("service-accounts")
    text = notes(values, **where)
    spec = yaml.safe_load(text[text.index("    containers:") : text.index("  Whole, and")])
    [source] = spec["volumes"][0]["projected"]["sources"]
    [container] = spec["containers"]

    assert source["serviceAccountToken"]["audience"] == "trainbridge"
    assert container["env"][1]["value"] == container["volumeMounts"][0]["mountPath"] + "/token"
    assert "vision/trainer" in text
    assert "issuer is https://kubernetes.default.svc.cluster.local" in text
    assert "set access.serviceAccountIssuer" in text


def test_notes_name_what_has_no_token_yet():
    """A test that is left out and a Prometheus that has nothing to show are named, each with the way to a token."""
    closed = {**IMAGE, "access": {"tokens": {"existingSecret": "trainbridge-tokens"}}}
    text = notes(closed)

    assert "helm test trainbridge" not in text
    assert "test.tokenSecret=trainbridge-canary" in text
    assert "metrics.serviceMonitor.bearerToken.existingSecret=trainbridge-metrics" in text
    assert "helm test trainbridge" in notes({**closed, "test": {"tokenSecret": "canary"}})


def test_notes_warn_of_tokens_in_plain_text():
    """Whoever asks for tokens learns on which port they can be read along."""
    access = {"access": {"tokens": {"existingSecret": "trainbridge-tokens"}}}
    plain, half, whole = (
        notes({**IMAGE, **access, **tls})
        for tls in (
            {},
            {"tls": {"existingSecret": "pair"}},
            {"tls": {"existingSecret": "pair", "http": {"enabled": True}}},
        )
    )

    assert "Tokens cross the network in plain text" in plain
    assert "HTTP is plain" in half
    assert "plain" not in whole
    assert "https://localhost:8080" in whole


def test_notes_name_both_places_for_images():
    """Who has no object store learns that a claim keeps images too; so does who wants none."""
    assert "images.store=s3://bucket/prefix, or persistence.enabled=true" in notes(IMAGE)
    assert "No images are kept: settings.images_keep is none." in notes(
        {**IMAGE, "persistence": {"enabled": True}, "settings": {"images_keep": "none"}}
    )
