"""A URL names the store."""

import pytest

from bridge.errors import SettingError
from bridge.storage.local import LocalStore
from bridge.storage.s3 import S3Store
from bridge.storage.stores import open_store


def test_a_folder_and_a_bucket_are_stores(tmp_path):
    """Both kinds open without touching anything."""
    folder = tmp_path / "my images"

    local = open_store(folder.as_uri())
    bucket = open_store("s3://bucket/some/prefix/", access_key="key", secret_key="secret")

    assert isinstance(local, LocalStore)
    assert isinstance(bucket, S3Store)
    assert list(local.list()) == []
    assert not folder.exists()


@pytest.mark.parametrize("url", ["ftp://host/x", "file://host/x", "s3:///prefix", "images", ""])
def test_anything_else_is_refused(url):
    """The message says what would be right."""
    with pytest.raises(SettingError, match=r"neither file:///folder nor s3://bucket/prefix"):
        open_store(url)
