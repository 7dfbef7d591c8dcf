"""An object store behind the S3 protocol."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree.ElementTree import ParseError

import urllib3
from minio import Minio
from minio.error import MinioException, S3Error

from bridge.errors import NotFoundError, SettingError, StorageError
from bridge.storage.objects import StoredObject, checked_key
from bridge.storage.s3.failures import Target, explain
from bridge.storage.s3.identity import Identity
from bridge.storage.s3.sources import sources_of
from bridge.storage.s3.transport import Transport, read_in_time

SMALLEST_PART_BYTES = 5 << 20
"""Parts may not be smaller (Amazon S3 User Guide, "multipart upload limits")."""

EXPLAINED = (urllib3.exceptions.HTTPError, MinioException, ParseError, ValueError)

NOT_FOUND = ("NoSuchKey", "NoSuchObject", "NotFound")


class S3Store:
    """Keeps objects in one bucket, under one prefix."""

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        endpoint: str = "https://s3.amazonaws.com",
        region: str = "us-east-1",
        access_key: str = "",
        secret_key: str = "",
        path_style: bool | None = None,
        ca_file: str = "",
    ) -> None:
        """Use a bucket that exists.

        Without `access_key` the credentials come from the identity of the pod, a file or the machine (see
        `sources_of`). `path_style` None: as the endpoint's host name suggests.

        Raises SettingError where these are invalid.
        """
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        address = urlsplit(endpoint)
        http = Transport(ca_file)
        sources = sources_of(access_key, secret_key, region=region, http=http)
        try:
            self._client = Minio(
                address.netloc,
                secure=address.scheme == "https",
                region=region,
                credentials=Identity(sources),
                http_client=http,
            )
        except ValueError as error:
            raise SettingError(
                f"no object store can be used at {endpoint} in region {region} ({error}): correct s3_endpoint or"
                " s3_region"
            ) from error
        if path_style is not None:
            self._choose_style(path_style=path_style)
        is_path_style = not self._client._base_url.virtual_style_flag
        self._target = Target(bucket, endpoint, region, is_path_style, ca_file)

    def put(self, key: str, file: Path, metadata: Mapping[str, str]) -> None:
        """Store a file in one request, so that it is there whole or not at all.

        The store checks what arrives: by SHA-256 over plain HTTP, by Content-MD5 over TLS.
        """
        size = file.stat().st_size
        with file.open("rb") as stream, self._translated("store", key):
            written = self._client.put_object(
                self._bucket,
                self._name(key),
                stream,
                size,
                content_type="application/x-tar",
                metadata=dict(metadata),
                part_size=max(size, SMALLEST_PART_BYTES),
            )
        if not written.etag:
            raise StorageError(
                f"cannot store images in {self._target}: what answers there is not an S3 API (it took an upload"
                " without naming its ETag): correct --s3-endpoint"
            )

    def read(self, key: str, offset: int, length: int) -> bytes:
        """Return part of an object."""
        with self._translated("read", key):
            answer = self._client.get_object(
                self._bucket, self._name(key), offset=offset, length=length
            )
            try:
                body = read_in_time(answer, length + 1)
            finally:
                answer.close()
                answer.release_conn()
        if len(body) > length:
            raise StorageError(
                f"{self._target} answers a request for a part of an object with all of it: a proxy before it"
                " must be set up to pass ranges on"
            )
        return body

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield the objects by key, a thousand per request."""
        with self._translated("list", prefix):
            for item in self._client.list_objects(
                self._bucket, prefix=self._prefix + prefix, recursive=True
            ):
                name = item.object_name or ""
                yield StoredObject(name.removeprefix(self._prefix), item.size or 0)

    def delete(self, key: str) -> None:
        """Remove an object."""
        with self._translated("delete", key):
            self._client.remove_object(self._bucket, self._name(key))

    def metadata(self, key: str) -> dict[str, str]:
        """Return what `put` was given with an object, names in lower case."""
        with self._translated("read", key):
            headers = self._client.stat_object(self._bucket, self._name(key)).metadata or {}
        mark = "x-amz-meta-"
        return {
            name.lower().removeprefix(mark): value
            for name, value in headers.items()
            if name.lower().startswith(mark)
        }

    def _name(self, key: str) -> str:
        return self._prefix + checked_key(key)

    def _choose_style(self, *, path_style: bool) -> None:
        if path_style:
            self._client.disable_virtual_style_endpoint()  # type: ignore[no-untyped-call]
        else:
            self._client.enable_virtual_style_endpoint()  # type: ignore[no-untyped-call]

    @contextmanager
    def _translated(self, action: str, key: str) -> Iterator[None]:
        """Turn errors of the client library into our own, which say what to do and hold no secret."""
        try:
            yield
        except (StorageError, FileNotFoundError):
            raise
        except OSError as error:
            raise StorageError(f"cannot {action} {key}: {error.strerror or error}") from error
        except Exception as error:
            if isinstance(error, S3Error) and error.code in NOT_FOUND:
                raise NotFoundError(f"no object {key}") from error
            if isinstance(error, EXPLAINED):
                raise StorageError(explain(error, self._target, action)) from error
            raise
