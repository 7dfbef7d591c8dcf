"""Credentials come from every identity that docs/images.md promises, in that order, and are renewed."""

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import pytest
from minio.credentials.credentials import Credentials
from support.services import Answer, serving
from support.waiting import until_true

from bridge.errors import StorageError
from bridge.storage.s3 import identity, metadata, sources
from bridge.storage.s3.identity import Identity, first_of
from bridge.storage.s3.transport import Transport

SECRETS = ("container-secret", "sts-secret", "machine-secret", "web-token", "pod-token")


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch, tmp_path):
    """No identity of the machine that runs the tests is found."""
    import os  # noqa: PLC0415

    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def found(access_key="", secret_key=""):
    """Return the credentials that a store would sign with now."""
    return first_of(
        sources.sources_of(access_key, secret_key, region="eu-west-1", http=Transport(""))
    )


def later(**after):
    """Return a time as AWS writes it."""
    return (datetime.now(UTC) + timedelta(**after)).strftime("%Y-%m-%dT%H:%M:%SZ")


def role_json(name, **after):
    """Return what a metadata service says."""
    return json.dumps(
        {
            "Code": "Success",
            "AccessKeyId": name,
            "SecretAccessKey": f"{name}-secret",
            "Token": f"{name}-token",
            "Expiration": later(**(after or {"hours": 6})),
        }
    )


STS = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>sts</AccessKeyId>
<SecretAccessKey>sts-secret</SecretAccessKey><SessionToken>sts-token</SessionToken>
<Expiration>{}</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""


def test_settings_win_and_take_the_session_token_of_their_own_variables(monkeypatch):
    """Temporary keys in the variables of AWS work; their token does not go with other keys."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "temporary")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "its-token")

    assert found("temporary", "s").session_token == "its-token"
    assert found("other", "s").session_token is None


def test_a_web_identity_asks_sts(monkeypatch, tmp_path):
    """IAM roles for service accounts: the token is read anew, and goes into the body, not into an address."""
    file = tmp_path / "token"
    file.write_text("web-token\n")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(file))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/images")
    with serving(lambda _: Answer(200, STS.format(later(hours=1)))) as service:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", service.url)
        credentials = found()

    (asked,) = service.asked
    assert (credentials.access_key, credentials.session_token) == ("sts", "sts-token")
    assert "web-token" not in asked.path
    fields = parse_qs(asked.body.decode())
    assert fields["WebIdentityToken"] == ["web-token"]
    assert fields["RoleArn"] == ["arn:aws:iam::1:role/images"]


def test_sts_is_asked_in_the_region():
    """As AWS's own SDKs do; in China under another domain."""
    assert sources._sts({}, "eu-west-1") == "https://sts.eu-west-1.amazonaws.com"
    assert sources._sts({}, "cn-north-1") == "https://sts.cn-north-1.amazonaws.com.cn"


def test_shared_files(monkeypatch, tmp_path):
    """The credentials file, a profile of it, and a profile of the configuration file."""
    file = tmp_path / "credentials"
    file.write_text(
        "[default]\naws_access_key_id = a\naws_secret_access_key = s\n"
        "[lab]\naws_access_key_id = b\naws_secret_access_key = s\naws_session_token = t\n"
    )
    config = tmp_path / "config"
    config.write_text("[profile site]\naws_access_key_id = c\naws_secret_access_key = s\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))

    assert found().access_key == "a"
    monkeypatch.setenv("AWS_PROFILE", "lab")
    assert (found().access_key, found().session_token) == ("b", "t")
    monkeypatch.setenv("AWS_PROFILE", "site")
    assert found().access_key == "c"
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(
        StorageError, match=r"credentials \(no aws_access_key_id .* in \[nobody\]\)"
    ):
        found()
    file.write_text("no section = 1\n")
    with pytest.raises(StorageError, match="that can be read"):
        found()


@pytest.mark.parametrize("how", ["file", "variable"])
def test_eks_pod_identity(monkeypatch, tmp_path, how):
    """A full address, with a token that is read from its file each time."""
    with serving(lambda _: Answer(200, role_json("container"))) as service:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{service.url}/v1/credentials")
        if how == "file":
            file = tmp_path / "token"
            file.write_text("pod-token\n")
            monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(file))
        else:
            monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "pod-token")
        credentials = found()

    (asked,) = service.asked
    assert (asked.path, asked.headers["authorization"]) == ("/v1/credentials", "pod-token")
    assert (credentials.access_key, credentials.session_token) == ("container", "container-token")


def test_the_address_of_eks_pod_identity_is_allowed():
    """What AWS sets in a pod; another address over plain HTTP would give the token away."""
    address = "http://169.254.170.23/v1/credentials"

    assert sources._allowed(address) == address
    assert sources._allowed("http://[fd00:ec2::23]/v1/credentials")
    for url in ("http://example.org/v1", "http://169.254.1.1/", "ftp://127.0.0.1/"):
        with pytest.raises(StorageError, match="only https, this machine and 169"):
            sources._allowed(url)


def test_an_ecs_task(monkeypatch):
    """A relative address at the agent's own host."""
    with serving(lambda _: Answer(200, role_json("container"))) as service:
        monkeypatch.setattr(sources, "CONTAINER_HOST", service.url)
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/1")

        assert found().access_key == "container"
    assert service.asked[0].path == "/v2/credentials/1"


def machine_service(asked):
    """Answer as EC2's instance metadata service does when version 2 is required."""
    if asked.path == "/latest/api/token":
        return Answer(200 if asked.method == "PUT" else 405, "imds-token")
    if asked.headers.get("x-aws-ec2-metadata-token") != "imds-token":
        return Answer(401)
    return Answer(200, "trainer-role\n" if asked.path.endswith("/") else role_json("machine"))


def test_a_machine_with_a_role(monkeypatch):
    """Version 2 of the metadata service; a proxy is not for it."""
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with serving(machine_service) as service:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", service.url)

        assert found().access_key == "machine"
    assert service.asked[-1].path == "/latest/meta-data/iam/security-credentials/trainer-role"


def test_the_order_is_that_of_the_sdks_of_aws(monkeypatch, tmp_path):
    """Settings, web identity, files, container, machine."""
    (tmp_path / "token").write_text("web-token")
    (tmp_path / "files").write_text("[default]\naws_access_key_id=file\naws_secret_access_key=s\n")
    with (
        serving(lambda _: Answer(200, STS.format(later(hours=1)))) as sts,
        serving(lambda _: Answer(200, role_json("container"))) as agent,
        serving(machine_service) as imds,
    ):
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
        monkeypatch.setenv("AWS_ROLE_ARN", "arn")
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "files"))
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", agent.url)
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.url)
        monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
        order = [found("set", "s").access_key, found().access_key]
        for name in (
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_SHARED_CREDENTIALS_FILE",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        ):
            monkeypatch.delenv(name)
            order.append(found().access_key)

    assert order == ["set", "sts", "file", "container", "machine"]


def test_none_at_all_names_every_place():
    """So that nobody has to guess where it looked."""
    with pytest.raises(StorageError) as caught:
        found()

    said = str(caught.value)
    for place in (
        "no credentials found: looked at --s3-access-key and AWS_ACCESS_KEY_ID (not set)",
        "AWS_WEB_IDENTITY_TOKEN_FILE is not set",
        "~/.aws/credentials (no such file)",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "the machine's role (AWS_EC2_METADATA_DISABLED is set)",
        "give --s3-access-key and --s3-secret-key, or one of the identities of docs/images.md",
    ):
        assert place in said


@pytest.mark.parametrize(
    "answer",
    [
        Answer(500, "<html>"),
        Answer(200, "<html>a page"),
        Answer(200, "[1]"),
        Answer(200, '{"Code": "Failed"}'),
        Answer(200, '{"AccessKeyId": 1, "SecretAccessKey": 2}'),
        Answer(200, '{"AccessKeyId": "a", "SecretAccessKey": "b", "Expiration": "soon"}'),
        Answer(302, "", {"Location": "http://127.0.0.1:9/"}),
    ],
)
def test_nonsense_of_a_service_is_said(monkeypatch, answer):
    """An identity that is configured and fails is not passed over in silence."""
    with serving(lambda _: answer) as service:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", service.url)
        with pytest.raises(
            StorageError, match=f"no credentials from the container's service at {service.url}"
        ):
            found()


def test_sts_refusals_are_said_without_the_token(monkeypatch, tmp_path):
    """With the role, the address, STS's code, and what to check."""
    (tmp_path / "token").write_text("web-token")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/x")
    body = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>web-token</Message></Error></ErrorResponse>"
    with serving(lambda _: Answer(403, body)) as service:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", service.url)
        with pytest.raises(StorageError, match="it answered 403 AccessDenied: check that the role"):
            found()
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "gone"))
    with pytest.raises(StorageError, match=r"gone, which cannot be read \(No such file"):
        found()


def credentials(name, **after):
    """Return temporary credentials."""
    ends = datetime.now(UTC) + timedelta(**after) if after else None
    return Credentials(name, "secret", "token", ends)


def test_credentials_are_renewed_before_they_expire():
    """While the old ones still hold, and not on every request."""
    given = iter([credentials("first", minutes=4), credentials("second", hours=1)])
    now = [0.0]
    renewing = Identity([lambda: next(given)], clock=lambda: now[0])

    assert renewing.retrieve().access_key == "first"
    now[0] += identity.RETRY_SECONDS
    assert renewing.retrieve().access_key == "second"
    now[0] += 60
    assert renewing.retrieve().access_key == "second"


def test_a_renewal_that_fails_keeps_what_is_still_valid():
    """A metadata service that is away for a moment costs nothing; expired credentials are never used."""
    sources_ = [lambda: credentials("first", minutes=4)]
    now = [0.0]
    renewing = Identity(sources_, clock=lambda: now[0])
    renewing.retrieve()

    def fail():
        raise StorageError("away")

    sources_[0] = fail
    now[0] += identity.RETRY_SECONDS
    assert renewing.retrieve().access_key == "first"
    renewing._credentials = credentials("first", minutes=-1)
    with pytest.raises(StorageError, match="away"):
        renewing.retrieve()


def test_keys_in_a_file_are_read_again():
    """Whoever replaces expired keys need not restart the bridge."""
    keys = ["old"]
    now = [0.0]
    reading = Identity([lambda: credentials(keys[0])], clock=lambda: now[0])
    assert reading.retrieve().access_key == "old"
    keys[0] = "new"

    now[0] += identity.READ_AGAIN_SECONDS + 1
    assert reading.retrieve().access_key == "new"


def test_a_service_that_hangs_is_waited_for_once_and_not_long(monkeypatch):
    """Other requests do not queue up behind it; when it answers, they go on."""
    monkeypatch.setattr(identity, "LOOKUP_SECONDS", 0.2)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "")
    waiting = [True]

    def hang():
        until_true(lambda: not waiting[0])
        return credentials("late", hours=1)

    hanging = Identity([hang])
    for _ in range(3):
        with pytest.raises(StorageError, match="no answer within"):
            hanging.retrieve()
    waiting[0] = False
    hanging._lookup.join()

    assert hanging.retrieve().access_key == "late"


def test_an_answer_without_end_is_cut_off():
    """Credentials are short; the rest is not read."""
    body = b" " * (metadata.MOST_BYTES * 4)
    with serving(lambda _: Answer(200, body)) as service:
        assert len(metadata.ask(metadata.direct(), service.url)) == metadata.MOST_BYTES
