"""Why an object store did not do as asked: one sentence with the cause, and with the way out."""

import re
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import urllib3
from minio.error import InvalidResponseError, S3Error, ServerError
from urllib3 import exceptions

from bridge.storage.s3.transport import proxy_of

RIGHTS = {
    "store": "s3:PutObject",
    "read": "s3:GetObject",
    "list": "s3:ListBucket",
    "delete": "s3:DeleteObject",
}
"""The permission that each action needs, as AWS names it."""

SKEW_SECONDS = 300
"""Clocks that differ by more have signatures refused, by some stores under the name of another error."""

LONGEST_MESSAGE = 200

REGION = re.compile(r"<Region>([a-z0-9-]{1,40})</Region>|expecting '([a-z0-9-]{1,40})'")

KEYS = (
    "--s3-access-key and --s3-secret-key, or the identity that is used instead (docs/images.md, S3)"
)
RETRIED = "it is tried again by itself, at a slower pace"

CAUSES = {
    "NoSuchBucket": "there is no such bucket: create it, or correct --images-store or --s3-endpoint",
    "InvalidBucketName": "this cannot be the name of a bucket: correct --images-store",
    "InvalidAccessKeyId": f"the access key is not known there: correct {KEYS}",
    "SignatureDoesNotMatch": f"the secret key does not go with the access key: correct {KEYS}",
    "ExpiredToken": f"the credentials have expired: renew {KEYS}",
    "InvalidToken": "the session token is not valid: give the AWS_SESSION_TOKEN that goes with "
    "AWS_ACCESS_KEY_ID, and none where the key is a permanent one",
    "SlowDown": f"the store asks for fewer requests: {RETRIED}",
    "InternalError": f"the store has an internal error: {RETRIED}; if it stays, see the store's own log",
    "RequestTimeout": f"the upload was too slow for the store: {RETRIED}; if it stays, look at the line to it",
    "StoreFull": "the store is full, or the account's quota is used up: make room there, or raise the quota",
    "BadDigest": "what arrived is not what was sent: look for a proxy that changes requests",
    "MethodNotAllowed": "it does not allow this request: --s3-endpoint must be the address of its S3 API",
    "VirtualStyle": "it wants the bucket in the host name: give --no-s3-path-style",
    "InvalidObjectState": "the object is archived: a lifecycle rule has moved it to a storage class that "
    "cannot be read at once",
}

SAME_AS = {
    "NotSignedUp": "InvalidAccessKeyId",
    "InvalidClientTokenId": "InvalidAccessKeyId",
    "InvalidSecurity": "InvalidAccessKeyId",
    "ExpiredTokenException": "ExpiredToken",
    "TokenRefreshRequired": "ExpiredToken",
    "InvalidTokenId": "InvalidToken",
    "ServiceUnavailable": "SlowDown",
    "ThrottlingException": "SlowDown",
    "RequestLimitExceeded": "SlowDown",
    "TooManyRequests": "SlowDown",
    "SlowDownRead": "SlowDown",
    "SlowDownWrite": "SlowDown",
    "QuotaExceeded": "StoreFull",
    "InsufficientStorage": "StoreFull",
    "XMinioStorageFull": "StoreFull",
    "XMinioAdminBucketQuotaExceeded": "StoreFull",
    "StorageQuotaExceeded": "StoreFull",
    "NotEnoughSpace": "StoreFull",
    "XAmzContentSHA256Mismatch": "BadDigest",
    "InvalidDigest": "BadDigest",
    "SecondLevelDomainForbidden": "VirtualStyle",
}

DENIED = {"AccessDenied", "AllAccessDisabled", "AccountProblem", "UnauthorizedAccess", "Forbidden"}

WRONG_REGION = {
    "AuthorizationHeaderMalformed",
    "AuthorizationQueryParametersError",
    "PermanentRedirect",
    "TemporaryRedirect",
    "Redirect",
    "IllegalLocationConstraintException",
    "InvalidLocationConstraint",
    "InvalidRegion",
}

BY_STATUS = {
    401: "AccessDenied",
    403: "AccessDenied",
    405: "MethodNotAllowed",
    429: "SlowDown",
    500: "InternalError",
    503: "SlowDown",
    507: "StoreFull",
}


@dataclass(frozen=True, slots=True)
class Target:
    """What requests go to, as its operator has set it; holds no secret."""

    bucket: str
    endpoint: str
    region: str
    path_style: bool
    ca_file: str = ""

    def __str__(self) -> str:
        """Return bucket and endpoint."""
        return f"bucket {self.bucket} at {self.endpoint}"


def explain(error: Exception, target: Target, action: str) -> str:
    """Return why an action, one of RIGHTS, failed; without keys, tokens or signatures."""
    return f"cannot {action} images in {target}: {_cause(error, target, action)}"


def _cause(error: Exception, target: Target, action: str) -> str:
    match error:
        case S3Error():
            cause = _answered(error, target, action)
        case ServerError():
            cause = _by_status(error.status_code, target, action)
        case InvalidResponseError():
            cause = _no_s3(error._code, error._content_type or "", target)
        case exceptions.HTTPError():
            cause = _unreachable(error, target)
        case ValueError() if "bucket" in str(error).lower():  # the client library checks its name
            cause = CAUSES["InvalidBucketName"]
        case _:
            cause = _no_s3(200, "", target)
    return cause


def _answered(error: S3Error, target: Target, action: str) -> str:
    code = error.code or ""
    code = SAME_AS.get(code, code)
    skew = _skew_seconds(error.response)
    if code == "RequestTimeTooSkewed" or (
        skew > SKEW_SECONDS and error.response.status in (400, 403)
    ):
        by = f" by {skew:.0f} s" if skew > SKEW_SECONDS else ""
        return f"the clocks of this machine and of the store differ{by}: set this machine's clock (NTP)"
    if code in WRONG_REGION and (region := _region(error)) != target.region:
        right = (
            f"which is in {region}: give --s3-region {region}" if region else "correct --s3-region"
        )
        return f"requests are signed for the region {target.region}, but not for that of the bucket: {right}"
    if code in DENIED:
        return _denied(target, action)
    if code in CAUSES:
        return CAUSES[code]
    return f"it answered {error.code or error.response.status}{_words(error.message)}"


def _denied(target: Target, action: str) -> str:
    return (
        f"access denied: let the account have {RIGHTS[action]} there"
        f" (the policy of the account, and that of {target.bucket})"
    )


def _by_status(status: int, target: Target, action: str) -> str:
    code = BY_STATUS.get(status, "")
    if code == "AccessDenied":
        return _denied(target, action)
    return CAUSES.get(code) or f"it answered {_phrase(status)}: {RETRIED}"


def _no_s3(status: int, content_type: str, target: Target) -> str:
    """Explain an answer that no S3 API gives, such as a page."""
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return f"{proxy_of(target.endpoint)} wants a user name and a password: put them into its variable"
    if status == 429 or status >= 500:
        return f"it answered {_phrase(status)}: the store or a proxy before it is down; {RETRIED}"
    what = f"{_phrase(status)} as {content_type.partition(';')[0] or 'something other than XML'}"
    if 300 <= status < 400:
        what = f"{_phrase(status)}, a redirection to another address"
    proxy = proxy_of(target.endpoint)
    through = f", or {proxy} answers for it" if proxy else ""
    return f"what answers there is not an S3 API ({what}): correct --s3-endpoint{through}"


def _unreachable(error: Exception, target: Target) -> str:
    """Explain a connection that did not come about, or that broke."""
    cause: BaseException = getattr(error, "reason", None) or error
    proxy = proxy_of(target.endpoint)
    if isinstance(cause, exceptions.ProxyError):
        cause = cause.original_error
        return f"{proxy} does not let us through ({_in_short(cause)}): correct it, or name the host in no_proxy"
    through = f" (through {proxy}: correct it, or name the host in no_proxy)" if proxy else ""
    return f"{_network(cause, target)}{through}"


def _in_short(cause: BaseException) -> str:
    """Return why a proxy failed; the hints about the store's own address are not for it."""
    if isinstance(cause, exceptions.NameResolutionError):
        return "its host name is not known"
    if isinstance(cause, exceptions.SSLError):
        return "TLS failed behind it"
    if status := re.search(r"Tunnel connection failed: (\d{3})", str(cause)):
        return f"it answered {_phrase(int(status[1]))}"
    if "refused" in str(cause):
        return "the connection was refused"
    return "no answer" if isinstance(cause, exceptions.TimeoutError) else "the connection broke"


def _network(cause: BaseException, target: Target) -> str:
    style = (
        ""
        if target.path_style
        else ", or give --s3-path-style if the store has no host name for each bucket"
    )
    text = str(cause)
    if isinstance(cause, exceptions.SSLError):
        return _tls(text, target, style)
    if isinstance(cause, exceptions.NameResolutionError):
        return f"no answer: its host name is not known (DNS): correct --s3-endpoint{style}"
    return f"no answer: {_broken(cause, text)}"


def _broken(cause: BaseException, text: str) -> str:
    if "refused" in text:
        return (
            "the connection was refused: start the store, or correct host and port of --s3-endpoint"
        )
    if isinstance(cause, exceptions.ConnectTimeoutError):
        return "connecting timed out: correct --s3-endpoint, or let a firewall or NetworkPolicy pass it"
    if isinstance(cause, exceptions.TimeoutError):
        return f"it took too long: {RETRIED}; if it stays, see the store's own log"
    if "BadStatusLine" in text or "HTTP/0" in text:
        return "it does not speak HTTP: --s3-endpoint must name the port of its S3 API"
    return f"the connection broke: {RETRIED}; if it stays, check port and scheme (http, https) of --s3-endpoint"


def _tls(text: str, target: Target, style: str) -> str:
    if "WRONG_VERSION" in text or "HTTP_REQUEST" in text or "record layer" in text:
        return "it does not speak TLS on that port: give --s3-endpoint with http://, or the port for https"
    if "expired" in text:
        return "its certificate has expired: renew it there"
    if "doesn't match" in text or "Hostname mismatch" in text or "IP address mismatch" in text:
        return f"its certificate is for another host name: correct --s3-endpoint{style}"
    trusted = (
        f"none of the authorities in {target.ca_file}" if target.ca_file else "no known authority"
    )
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return (
            f"{trusted} has signed its certificate: give --s3-ca-file with the authority that has"
        )
    return "TLS failed: check that --s3-endpoint names the port for https, and --s3-ca-file"


def _skew_seconds(response: urllib3.BaseHTTPResponse) -> float:
    try:
        theirs = parsedate_to_datetime(response.headers.get("date", ""))
        return abs(time.time() - theirs.timestamp())
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _region(error: S3Error) -> str:
    """Return the region that the store has named, or ""."""
    body = (error.response.data or b"")[:4096].decode(errors="replace")
    found = REGION.search(body) or REGION.search(error.message or "")
    named = next(filter(None, found.groups()), "") if found else ""
    header = error.response.headers.get("x-amz-bucket-region") or ""
    return named or (header if re.fullmatch(r"[a-z0-9-]{1,40}", header) else "")


def _words(message: str | None) -> str:
    text = " ".join((message or "").split())[:LONGEST_MESSAGE]
    return f" ({text})" if text else ""


def _phrase(status: int) -> str:
    return f"{status} {HTTPStatus(status).phrase}" if status in set(HTTPStatus) else str(status)
