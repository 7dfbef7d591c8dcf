"""Tokens, certificates and other values that travel in headers."""

import logging

import pytest
from support.certificates import Authority

from bridge.client.credentials import TOKEN_LIMIT, is_header_value
from bridge.client.settings import destination

SECRET = "s3cret"


@pytest.mark.parametrize(
    "text", [SECRET, f"{SECRET}\n", f" {SECRET}\r\n", f"\t{SECRET}\0".strip("\0")]
)
def test_white_space_around_a_token_is_not_part_of_it(text, tmp_path):
    """A file ends with a line break, and so does what a shell reads from one."""
    file = tmp_path / "token"
    file.write_text(text)

    for found in (
        destination("", token=text, environment={}),
        destination("", environment={"TRAINBRIDGE_TOKEN": text}),
        destination("", environment={"TRAINBRIDGE_TOKEN_FILE": str(file)}),
    ):
        assert found.metadata == (("authorization", f"Bearer {SECRET}"),)
        assert SECRET not in repr(found)
        assert SECRET not in str(found)


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        ("\nx", "a line break"),
        ("é", "not printable ASCII"),
        ("\0", "not printable ASCII"),
        ("\x7f", "not"),
    ],
)
def test_a_token_that_no_header_can_carry(end, kind, tmp_path):
    """It is refused at construction, by its source and without being shown; gRPC would fail every call."""
    text = f"{SECRET}{end}"
    file = tmp_path / "token"
    file.write_text(text)

    for options, source in (
        ({"token": text, "environment": {}}, "the argument token"),
        ({"environment": {"TRAINBRIDGE_TOKEN": text}}, "TRAINBRIDGE_TOKEN"),
        ({"environment": {"TRAINBRIDGE_TOKEN_FILE": str(file)}}, "TRAINBRIDGE_TOKEN_FILE"),
    ):
        with pytest.raises(ValueError, match=r"^token: ") as refusal:
            destination("", **options)
        assert source in str(refusal.value)
        assert f"{kind}" in str(refusal.value)
        assert "position 6" in str(refusal.value)
        assert SECRET not in str(refusal.value)


def test_a_token_that_headers_have_no_room_for():
    """Calls with more than 8 KiB of headers are refused by gRPC at random, with 16 KiB all of them."""
    assert destination("", token="x" * TOKEN_LIMIT, environment={}).metadata
    with pytest.raises(ValueError, match=r"TRAINBRIDGE_TOKEN.* 7001 characters") as refusal:
        destination("", environment={"TRAINBRIDGE_TOKEN": SECRET + "x" * (TOKEN_LIMIT - 5)})
    assert SECRET not in str(refusal.value)


def test_files_of_tokens(tmp_path):
    """An empty one is not a token; one that an editor of Windows wrote is."""
    file = tmp_path / "token"
    environment = {"TRAINBRIDGE_TOKEN_FILE": str(file)}
    with pytest.raises(FileNotFoundError, match="TRAINBRIDGE_TOKEN_FILE"):
        destination("", environment=environment)
    file.write_text("\n")
    with pytest.raises(ValueError, match="is empty"):
        destination("", environment=environment)
    file.write_bytes(b"\xff\xfea\0")
    with pytest.raises(ValueError, match="is not text"):
        destination("", environment=environment)
    file.write_bytes(b"\xef\xbb\xbf" + SECRET.encode())
    assert destination("", environment=environment).token.value == SECRET


def test_an_empty_variable_is_not_a_token():
    """So it is in most shells and manifests."""
    for value in ("", " \n"):
        assert destination("", environment={"TRAINBRIDGE_TOKEN": value}).metadata == ()


@pytest.mark.parametrize(
    "value", ["abc", "00-é", f"00-{'0' * 32}-{'0' * 16}-01\nx", f"00-{'g' * 32}-x-01"]
)
def test_a_trace_that_no_header_can_carry_is_ignored(value, caplog):
    """It costs itself, not the run, and is logged."""
    with caplog.at_level(logging.WARNING, "trainbridge"):
        found = destination("", environment={"TRACEPARENT": value})

    assert found.metadata == ()
    assert "TRACEPARENT" in caplog.text


def test_a_trace_goes_with_every_call():
    """As it was when the session was constructed."""
    trace = f"00-{'1' * 32}-{'2' * 16}-01"

    assert destination("", environment={"TRACEPARENT": f"{trace}\n"}).metadata == (
        ("traceparent", trace),
    )


@pytest.mark.parametrize(
    ("text", "is_one"), [("a b", True), ("", True), (" a", False), ("é", False), ("a\n", False)]
)
def test_header_values(text, is_one):
    """Printable ASCII, without white space around it."""
    assert is_header_value(text) is is_one


def test_files_that_are_not_certificates(tmp_path):
    """They are refused by their names and sources, where gRPC would only fail at every attempt."""
    authority, stranger = Authority(tmp_path / "a"), Authority(tmp_path / "b")
    mine, other = authority.issue("client"), stranger.issue("client")
    garbage = tmp_path / "garbage"
    garbage.write_text("garbage")

    def refusal(**files):
        with pytest.raises(ValueError, match=r"_file") as raised:
            destination("", environment={}, **{name: str(path) for name, path in files.items()})
        return str(raised.value)

    assert "holds no certificates in PEM format" in refusal(ca_file=garbage)
    assert "give key_file too (TRAINBRIDGE_KEY_FILE)" in refusal(cert_file=mine.certificate)
    assert "give cert_file too" in refusal(key_file=mine.key)
    assert "do not belong together" in refusal(cert_file=mine.certificate, key_file=other.key)
    assert "are not a certificate" in refusal(cert_file=garbage, key_file=mine.key)


def test_certificates_mean_tls(tmp_path):
    """An authority or a certificate of one's own is of no use without; an explicit scheme decides."""
    authority = Authority(tmp_path)
    mine = authority.issue("client")
    pair = {"cert_file": str(mine.certificate), "key_file": str(mine.key)}

    assert destination("there:1", ca_file=str(authority.file), environment={}).secure
    assert destination("there:1", environment={}, **pair).secure
    assert not destination("grpc://there:1", environment={}, **pair).secure
    assert not destination("there:1", environment={}).secure
