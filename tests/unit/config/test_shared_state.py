"""What is asked of a bridge that shares a PostgreSQL with others."""

import pytest

from bridge.config import load
from bridge.config.sources import rows
from bridge.errors import SettingError

SECRET = "hunter2-hunter2"
URL = f"postgresql://bridge:{SECRET}@db:5432/bridges"
STORE = "s3://bucket/images"


def shared(environment=None, **flags):
    """Return what is loaded for a bridge with a PostgreSQL."""
    return load({"state": URL, "images_store": STORE, **flags}, environment or {})


def refusal(**flags):
    """Return why these settings are refused."""
    with pytest.raises(SettingError) as caught:
        shared(**flags)
    assert SECRET not in str(caught.value)
    return str(caught.value)


def test_the_folder_is_the_spool_where_a_database_has_the_rest(tmp_path):
    """What is asked for the folder needs not know of the database."""
    settings = shared(spool_folder=str(tmp_path)).settings

    assert settings.state_url == URL
    assert settings.state_folder == tmp_path
    assert shared().settings.state_folder.name == "trainbridge-spool"


def test_a_folder_has_no_url(tmp_path):
    """Nor does the memory; and the spool's own folder is not read."""
    settings = load({"state": str(tmp_path), "spool_folder": "/nowhere"}, {}).settings

    assert settings.state_url is None
    assert settings.state_folder == tmp_path
    assert load({"state": "memory"}, {}).settings.state_url is None


def test_images_wait_less_where_a_node_may_be_lost():
    """Unless somebody says how long."""
    assert load({}, {}).settings.longest_shard_seconds == 30
    assert shared().settings.longest_shard_seconds == 5
    assert shared(shard_seconds="12").settings.longest_shard_seconds == 12


def test_the_password_is_nowhere(tmp_path):
    """Neither in the table, nor in an error, nor in what a debugger prints."""
    loaded = shared()
    table = {name: value for name, value, _ in rows(loaded)}

    assert table["state"] == "postgresql://bridge:********@db:5432/bridges"
    assert SECRET not in repr(loaded) + str(loaded.settings)
    assert load({"state": str(tmp_path)}, {}).settings.state == str(tmp_path)
    for state in (f"postgresql://u:{SECRET}/@db/x", f"password={SECRET}", f"mysql://{SECRET}"):
        assert "state is '********' (from flag --state), " in refusal(state=state)


def test_the_url_may_come_from_a_file(tmp_path):
    """As other secrets do; a key of the YAML file that would name it is explained."""
    secret, yaml = tmp_path / "url", tmp_path / "trainbridge.yaml"
    secret.write_text(f"{URL}\n")
    yaml.write_text(f"state_file: {secret}\n")
    environment = {
        "TRAINBRIDGE_STATE_FILE": str(secret),
        "TRAINBRIDGE_IMAGES_STORE": STORE,
        "TRAINBRIDGE_PEER_URL": "http://10.0.0.7:8080",
    }
    loaded = load({}, environment)

    assert loaded.settings.state_url == URL
    assert str(loaded.origins["state"]) == f"file {secret}"
    assert loaded.warnings == ()
    with pytest.raises(SettingError, match="TRAINBRIDGE_STATE_FILE"):
        load({"config": str(yaml)}, {})


def test_the_file_comes_before_the_folder_of_the_image(tmp_path):
    """A container has TRAINBRIDGE_STATE from its image: whoever names a file must not get a folder instead."""
    secret = tmp_path / "url"
    secret.write_text(URL)
    environment = {
        "TRAINBRIDGE_STATE": "/var/lib/trainbridge",
        "TRAINBRIDGE_STATE_FILE": str(secret),
    }

    assert load({"images_store": STORE}, environment).settings.state_url == URL
    assert load({"state": str(tmp_path)}, environment).settings.state_url is None


def test_a_password_that_every_user_can_read_is_warned_of():
    """A command line is public on its machine."""
    assert any("TRAINBRIDGE_STATE_FILE" in text for text in shared().warnings)
    assert SECRET not in repr(shared().warnings)
    assert not any(
        "TRAINBRIDGE_STATE_FILE" in text
        for text in shared(state="postgresql://bridge@db/bridges").warnings
    )


def test_a_bridge_that_only_its_own_machine_reaches_is_warned_of():
    """That may be meant, for a trial."""
    flags = {"state": "postgresql://bridge@db/bridges"}

    assert [text for text in shared(**flags).warnings if "peer_url" in text]
    assert shared(**flags, peer_url="http://10.0.0.7:8080").warnings == ()


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        ({"http_address": "0.0.0.0:8080", "allow_anonymous": "true"}, "peer_url is http://<http"),
        ({"http_address": "[::]:8080", "allow_anonymous": "true"}, "not an address that other"),
        ({"peer_url": "http://0.0.0.0:8080"}, "not an address that other bridges can reach"),
        ({"peer_url": "http://[::]:8080"}, "not an address that other bridges can reach"),
        ({"peer_url": "http://h:8080/path"}, "which has a path"),
        ({"bridge_forget_seconds": "30"}, "not longer than bridge_dead_seconds"),
        ({"images_store": None}, "images_store is file://<state>/images (the default), though"),
        (
            {"spool_folder": "/spool", "images_store": "file:///spool/images"},
            "which lies in spool_folder",
        ),
    ],
)
def test_what_several_bridges_cannot_work_with_is_refused(flags, why):
    """Before any of them has taken a session, in one sentence."""
    given = {name: value for name, value in {"images_store": STORE, **flags}.items() if value}
    with pytest.raises(SettingError) as caught:
        load({"state": URL, **given}, {})

    assert why in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_shared_folder_will_do_for_images():
    """Such as one on NFS; and without images there is nothing to share."""
    assert shared(images_store="file:///mnt/images").settings.images_store
    assert load({"state": URL, "images_keep": "none"}, {}).settings.images_store is None


def test_none_of_it_is_asked_with_a_folder():
    """One bridge alone needs no address for others."""
    flags = {"http_address": "0.0.0.0:8080", "allow_anonymous": "true"}

    assert load(flags, {}).settings.peer_url is None
