"""Opens the object store that a URL names."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from bridge.errors import SettingError
from bridge.storage.local import LocalStore
from bridge.storage.objects import ObjectStore


def open_store(
    url: str,
    *,
    endpoint: str = "https://s3.amazonaws.com",
    region: str = "us-east-1",
    access_key: str = "",
    secret_key: str = "",
    path_style: bool | None = None,
    ca_file: str = "",
) -> ObjectStore:
    """Return the store behind file:///folder or s3://bucket/prefix; nothing is connected yet.

    Everything but `url` concerns S3 only; see `S3Store`. Raises SettingError for any other URL.
    """
    folder = local_folder(url)
    if folder is not None:
        return LocalStore(folder)
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc:
        raise SettingError(
            f"images_store: {url!r} is neither file:///folder nor s3://bucket/prefix"
        )
    # The S3 client takes long to import, and bridges with a local store never need it.
    from bridge.storage.s3 import S3Store  # noqa: PLC0415

    return S3Store(
        parts.netloc,
        unquote(parts.path),
        endpoint=endpoint,
        region=region,
        access_key=access_key,
        secret_key=secret_key,
        path_style=path_style,
        ca_file=ca_file,
    )


def local_folder(url: str) -> Path | None:
    """Return the folder behind file:///folder, or None for any other URL."""
    parts = urlsplit(url)
    is_folder = parts.scheme == "file" and parts.path.startswith("/") and not parts.netloc
    return Path(unquote(parts.path)) if is_folder else None
