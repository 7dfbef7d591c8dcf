"""Ask the services that give out credentials: of containers, of machines, and STS."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree as ET

import urllib3
from minio.credentials.credentials import Credentials

from bridge.errors import StorageError

MOST_BYTES = 64 << 10
"""Credentials are about 2 KB."""

TIMEOUT = urllib3.Timeout(connect=1.0, read=4.0)


class ServiceError(StorageError):
    """A service was asked for credentials, and gave none."""

    def __init__(self, reason: str, *, status: int = 0) -> None:
        """Keep the reason, and the HTTP status where there was one."""
        super().__init__(reason)
        self.status = status


def direct() -> urllib3.PoolManager:
    """Return a client for addresses of this machine and its network, which no proxy serves."""
    return urllib3.PoolManager(retries=urllib3.Retry(total=False, redirect=0))


def ask(
    http: urllib3.PoolManager,
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: str | None = None,
) -> str:
    """Return the body of a short answer; raises ServiceError for anything else."""
    try:
        response = http.urlopen(
            method,
            url,
            headers=dict(headers or {}),
            body=body,
            timeout=TIMEOUT,
            preload_content=False,
            redirect=False,
        )
        try:
            text = response.read(MOST_BYTES).decode(errors="replace")
        finally:
            response.close()
    except urllib3.exceptions.TimeoutError as error:
        raise ServiceError("no answer in time") from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise ServiceError("no answer") from error
    if response.status != 200:
        raise ServiceError(f"it answered {response.status}{_reason(text)}", status=response.status)
    return text


def credentials_of_json(text: str) -> Credentials:
    """Return the credentials in the answer of a container's or a machine's service."""
    try:
        answer = json.loads(text)
        if answer.get("Code", "Success") != "Success":
            raise ServiceError(f"it answered {str(answer['Code'])[:80]}")
        expiration = answer.get("Expiration")
        return _credentials(
            answer["AccessKeyId"], answer["SecretAccessKey"], answer.get("Token"), expiration
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ServiceError("its answer holds no credentials") from error


def credentials_of_xml(text: str) -> Credentials:
    """Return the credentials in the answer of STS."""
    try:
        fields = {
            element.tag.rpartition("}")[2]: element.text
            for element in ET.fromstring(text).iter()  # noqa: S314 -- expat expands no external entities, and the answer is short
        }
        return _credentials(
            fields["AccessKeyId"],
            fields["SecretAccessKey"],
            fields["SessionToken"],
            fields["Expiration"],
        )
    except (ET.ParseError, ValueError, KeyError, TypeError) as error:
        raise ServiceError("its answer holds no credentials") from error


def _credentials(key: Any, secret: Any, token: Any, expiration: Any) -> Credentials:
    if not all(isinstance(text, str) and text for text in (key, secret)):
        raise ValueError("keys that are not texts")
    ends = datetime.fromisoformat(expiration) if expiration else None
    if ends is not None and ends.tzinfo is None:
        ends = ends.replace(tzinfo=UTC)
    return Credentials(key, secret, token or None, ends)


def _reason(text: str) -> str:
    """Return the error code in an answer of STS or a metadata service, for people."""
    found = re.search(r"<Code>(\w{1,80})</Code>|\"[Cc]ode\"\s*:\s*\"(\w{1,80})\"", text)
    return f" {next(filter(None, found.groups()))}" if found else ""
