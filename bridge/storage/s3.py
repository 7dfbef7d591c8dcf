"""An object store behind the S3 protocol."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import certifi
import urllib3
from minio import Minio
from minio.credentials.providers import (
    AWSConfigProvider,
    ChainedProvider,
    EnvAWSProvider,
    IamAwsProvider,
    Provider,
    StaticProvider,
)
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError

from bridge.errors import NotFoundError, SettingError, StorageError
from bridge.storage.objects import StoredObject, checked_key

SMALLEST_PART_BYTES = 5 << 20
"""Parts may not be smaller (Amazon S3 User Guide, "multipart upload limits")."""

STALL_SECONDS = 5.0
"""Limit for connecting, and for sending each piece of a body."""

ANSWER_SECONDS = 20.0
"""Limit for the first byte of a response, and between its pieces."""

PIECE_BYTES = 64 << 10

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

        Without `access_key` the credentials come from the AWS_* variables, ~/.aws/credentials, or the
        role of the machine. `path_style` None: as the endpoint's host name suggests.

        Raises SettingError where these are invalid.
        """
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        address = urlsplit(endpoint)
        http = _Pool(ca_file or os.environ.get("SSL_CERT_FILE") or certifi.where())
        try:
            self._client = Minio(
                address.netloc,
                secure=address.scheme == "https",
                region=region,
                credentials=_credentials(access_key, secret_key, http),
                http_client=http,
            )
        except ValueError as error:
            raise SettingError(f"images_store: {error}") from error
        if path_style is not None:
            self._choose_style(path_style=path_style)

    def put(self, key: str, file: Path, metadata: Mapping[str, str]) -> None:
        """Store a file in one request, so that it is there whole or not at all.

        The store checks what arrives: by SHA-256 over plain HTTP, by Content-MD5 over TLS.
        """
        size = file.stat().st_size
        with file.open("rb") as stream, _translated(key):
            self._client.put_object(
                self._bucket,
                self._name(key),
                stream,
                size,
                content_type="application/x-tar",
                metadata=dict(metadata),
                part_size=max(size, SMALLEST_PART_BYTES),
            )

    def read(self, key: str, offset: int, length: int) -> bytes:
        """Return part of an object."""
        with _translated(key):
            answer = self._client.get_object(
                self._bucket, self._name(key), offset=offset, length=length
            )
            try:
                return answer.read()
            finally:
                answer.close()
                answer.release_conn()

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield the objects by key, a thousand per request."""
        with _translated(prefix):
            for item in self._client.list_objects(
                self._bucket, prefix=self._prefix + prefix, recursive=True
            ):
                name = item.object_name or ""
                yield StoredObject(name.removeprefix(self._prefix), item.size or 0)

    def delete(self, key: str) -> None:
        """Remove an object."""
        with _translated(key):
            self._client.remove_object(self._bucket, self._name(key))

    def metadata(self, key: str) -> dict[str, str]:
        """Return what `put` was given with an object, names in lower case."""
        with _translated(key):
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


class _Pool(urllib3.PoolManager):
    """Connections that time out early and never retry: the uploader does that."""

    def __init__(self, ca_file: str) -> None:
        super().__init__(
            maxsize=32,
            timeout=urllib3.Timeout(connect=STALL_SECONDS, read=ANSWER_SECONDS),
            retries=urllib3.Retry(total=False, redirect=0),
            cert_reqs="CERT_REQUIRED",
            ca_certs=ca_file,
            blocksize=PIECE_BYTES,
        )

    def urlopen(  # type: ignore[override]
        self, method: str, url: str, **options: Any
    ) -> urllib3.BaseHTTPResponse:
        """Send a body piece by piece, each with its own timeout.

        Otherwise all of it would have to be sent within the timeout for connecting: 16 MiB would never get
        through a slow line.
        """
        body = options.get("body")
        if isinstance(body, bytes) and len(body) > PIECE_BYTES:
            options["body"] = BytesIO(body)
        return super().urlopen(method, url, **options)


def _credentials(access_key: str, secret_key: str, http: urllib3.PoolManager) -> Provider:
    if access_key:
        return StaticProvider(access_key, secret_key)
    return ChainedProvider(
        [EnvAWSProvider(), AWSConfigProvider(), IamAwsProvider(http_client=http)]
    )


@contextmanager
def _translated(key: str) -> Iterator[None]:
    """Turn errors of the client library into our own, without its details."""
    try:
        yield
    except S3Error as error:
        if error.code in NOT_FOUND:
            raise NotFoundError(f"no object {key}") from error
        raise StorageError(f"the object store answered {error.code} for {key}") from error
    except (ServerError, InvalidResponseError) as error:
        status = getattr(error, "status_code", None) or getattr(error, "_code", None)
        text = HTTPStatus(status).phrase if status in set(HTTPStatus) else "invalid"
        raise StorageError(f"the object store answered {status} {text} for {key}") from error
    except (urllib3.exceptions.HTTPError, MinioException, ValueError) as error:
        raise StorageError(f"no answer from the object store: {type(error).__name__}") from error
    except OSError as error:
        raise StorageError(f"the object store: {error.strerror or error}") from error
