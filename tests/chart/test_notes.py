"""What Helm prints after an installation is true of it."""

from support.charts import IMAGE, case, notes


def test_notes_warn_of_proxies_that_spread_calls():
    """Several bridges behind a proxy need more than one behind it does."""
    values, where = case("gateway")

    assert "by the header trainbridge-session" not in notes(values, **where)
    assert "by the header trainbridge-session" in notes({**values, "replicas": 2}, **where)


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
    assert "The bridge does not authenticate anybody" in notes(IMAGE)
    assert "every pod of the cluster gets in" in notes(
        {**IMAGE, "networkPolicy": {"enabled": False}}
    )


def test_notes_name_both_places_for_images():
    """Who has no object store learns that a claim keeps images too; so does who wants none."""
    assert "images.store=s3://bucket/prefix, or persistence.enabled=true" in notes(IMAGE)
    assert "No images are kept: settings.images_keep is none." in notes(
        {**IMAGE, "persistence": {"enabled": True}, "settings": {"images_keep": "none"}}
    )
