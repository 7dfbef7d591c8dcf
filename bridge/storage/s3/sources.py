"""The places where credentials may be, in the order in which AWS's own SDKs look."""

import configparser
import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

import urllib3
from minio.credentials.credentials import Credentials
from minio.credentials.providers import AWSConfigProvider

from bridge.errors import StorageError
from bridge.storage.s3.identity import Source
from bridge.storage.s3.metadata import (
    ServiceError,
    ask,
    credentials_of_json,
    credentials_of_xml,
    direct,
)

CONTAINER_HOST = "http://169.254.170.2"
CONTAINER_ADDRESSES = ("169.254.170.2", "169.254.170.23", "fd00:ec2::23")
"""Of Amazon ECS and of EKS Pod Identity: a token goes to these, to this machine, or over TLS."""

MACHINE = "http://169.254.169.254"
ROLES = "/latest/meta-data/iam/security-credentials/"


def sources_of(
    access_key: str, secret_key: str, *, region: str, http: urllib3.PoolManager
) -> list[Source]:
    """Return where to look: the settings alone, where they have keys. `http` reaches STS."""
    if access_key:
        return [lambda: _of_settings(access_key, secret_key)]
    return [
        lambda: variables(os.environ),
        lambda: web_identity(os.environ, region, http),
        lambda: shared_files(os.environ),
        lambda: container(os.environ),
        lambda: machine(os.environ),
    ]


def _of_settings(access_key: str, secret_key: str) -> Credentials:
    """Return keys with the session token that belongs to them, which the variables of AWS give."""
    is_from_variables = os.environ.get("AWS_ACCESS_KEY_ID") == access_key
    token = os.environ.get("AWS_SESSION_TOKEN") if is_from_variables else None
    return Credentials(access_key, secret_key, token or None)


def variables(environ: Mapping[str, str]) -> Credentials | str:
    """Return the keys in the variables of AWS, which the settings take up where a bridge reads them."""
    key, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if not key or not secret:
        return "--s3-access-key and AWS_ACCESS_KEY_ID (not set)"
    return Credentials(key, secret, environ.get("AWS_SESSION_TOKEN") or None)


def web_identity(
    environ: Mapping[str, str], region: str, http: urllib3.PoolManager
) -> Credentials | str:
    """Return what STS gives for the token of a service account (IAM roles for service accounts on EKS)."""
    file, role = environ.get("AWS_WEB_IDENTITY_TOKEN_FILE"), environ.get("AWS_ROLE_ARN")
    if not file or not role:
        missing = "AWS_ROLE_ARN" if file else "AWS_WEB_IDENTITY_TOKEN_FILE"
        return f"a web identity ({missing} is not set)"
    fields = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": role,
        "RoleSessionName": environ.get("AWS_ROLE_SESSION_NAME") or "trainbridge",
        "WebIdentityToken": _token_in(file, "AWS_WEB_IDENTITY_TOKEN_FILE"),
    }
    url = _sts(environ, region)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    try:
        answer = ask(http, url, method="POST", headers=headers, body=urlencode(fields))
        return credentials_of_xml(answer)
    except ServiceError as error:
        raise StorageError(
            f"no credentials for the role {role} from STS at {url}: {error}: check that the role trusts"
            f" the token in {file} (AWS_WEB_IDENTITY_TOKEN_FILE), and AWS_ROLE_ARN"
        ) from error


def _sts(environ: Mapping[str, str], region: str) -> str:
    given = environ.get("AWS_ENDPOINT_URL_STS") or environ.get("AWS_ENDPOINT_URL")
    suffix = ".cn" if region.startswith("cn-") else ""
    return given or f"https://sts.{region}.amazonaws.com{suffix}"


def shared_files(environ: Mapping[str, str]) -> Credentials | str:
    """Return the keys of a profile in AWS's credentials file or configuration file."""
    profile = environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE") or "default"
    credentials = environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials"
    config = environ.get("AWS_CONFIG_FILE") or "~/.aws/config"
    section = profile if profile == "default" else f"profile {profile}"
    reasons = []
    for file, name in ((credentials, profile), (config, section)):
        path = Path(file).expanduser()
        try:
            return AWSConfigProvider(str(path), name).retrieve()
        except (ValueError, configparser.Error, OSError):
            reasons.append(f"{file} {_without_keys(path, name)}")
    return ", ".join(reasons)


def _without_keys(path: Path, section: str) -> str:
    if not path.is_file():
        return "(no such file)"
    return f"(no aws_access_key_id with aws_secret_access_key that can be read in [{section}])"


def container(environ: Mapping[str, str]) -> Credentials | str:
    """Return what the agent of a container gives: of Amazon ECS, or of EKS Pod Identity."""
    relative = environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
    full = environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    if not relative and not full:
        return "a container's identity (AWS_CONTAINER_CREDENTIALS_FULL_URI and _RELATIVE_URI are not set)"
    url = f"{CONTAINER_HOST}/{relative.lstrip('/')}" if relative else _allowed(full or "")
    token = environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
    if file := environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
        token = _token_in(file, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
    headers = {"Authorization": token.strip()} if token.strip() else {}
    try:
        return credentials_of_json(ask(direct(), url, headers=headers))
    except ServiceError as error:
        variable = "AWS_CONTAINER_CREDENTIALS_" + ("RELATIVE_URI" if relative else "FULL_URI")
        raise StorageError(
            f"no credentials from the container's service at {url} ({variable}): {error}:"
            " check that a role is associated with the service account or task"
        ) from error


def _allowed(url: str) -> str:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https" or host in ("localhost", *CONTAINER_ADDRESSES):
        return url
    try:
        is_here = parts.scheme == "http" and ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_here = False
    if not is_here:
        raise StorageError(
            f"AWS_CONTAINER_CREDENTIALS_FULL_URI is {url}: only https, this machine and"
            f" {', '.join(CONTAINER_ADDRESSES)} may be asked for credentials"
        )
    return url


def machine(environ: Mapping[str, str]) -> Credentials | str:
    """Return the credentials of the role of a machine (EC2's instance metadata service, version 2)."""
    if environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return "the machine's role (AWS_EC2_METADATA_DISABLED is set)"
    base = (environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or MACHINE).rstrip("/")
    http = direct()
    try:
        lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": "21600"}
        token = ask(http, f"{base}/latest/api/token", method="PUT", headers=lifetime)
        headers = {"X-aws-ec2-metadata-token": token.strip()}
        roles = ask(http, f"{base}{ROLES}", headers=headers).split()
        if not roles:
            return f"the machine's role at {base} (it has none)"
        return credentials_of_json(ask(http, f"{base}{ROLES}{quote(roles[0])}", headers=headers))
    except ServiceError as error:
        reason = "it has none" if error.status == 404 else str(error)
        return f"the machine's role at {base} ({reason})"


def _token_in(file: str, variable: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text"
        raise StorageError(f"{variable} is {file}, which cannot be read ({reason})") from error
