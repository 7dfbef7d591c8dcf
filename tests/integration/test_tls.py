"""TLS on the gRPC server, with real certificates and a real bridge."""

import socket
import ssl
import subprocess
import sys

import pytest
from cryptography import x509
from support.bridges import running_bridge
from support.certificates import Authority
from support.waiting import until_true

from bridge.client import TrainingSession


@pytest.fixture
def authority(tmp_path):
    """Return an authority of the test's own."""
    return Authority(tmp_path / "certificates")


def flags(files, authority=None):
    """Return the flags of a bridge with these files."""
    given = ["--tls-cert-file", str(files.certificate), "--tls-key-file", str(files.key)]
    return (*given, *(("--tls-client-ca-file", str(authority.file)) if authority else ()))


def delivered(address, *, seconds=60, **credentials) -> int:
    """Send one batch; return how many messages were not delivered within so many seconds."""
    session = TrainingSession(address, session_id="run", **credentials)
    session.log_batch(0.5, epoch=0, batch=0)
    return session.close(seconds)


def shown_name(address) -> str:
    """Return whose certificate the bridge shows at the moment."""
    host, _, port = address.rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection((host, int(port)), timeout=60) as plain,
        context.wrap_socket(plain) as secure,
    ):
        found = x509.load_der_x509_certificate(secure.getpeercert(binary_form=True))
    return found.subject.rfc4514_string()


def test_a_session_over_tls(tmp_path, authority):
    """The SDK knows the bridge by its certificate; in plain text nothing gets in."""
    with running_bridge(tmp_path / "state", *flags(authority.issue("bridge"))) as bridge:
        assert delivered(f"grpcs://{bridge.grpc}", ca_file=str(authority.file)) == 0
        assert bridge.total("training_batches_total") == 1
        assert delivered(f"grpc://{bridge.grpc}", seconds=2) > 0


def test_only_clients_that_somebody_vouches_for(tmp_path, authority):
    """With an authority for clients, one without a certificate, or with a stranger's, is not let in."""
    stranger = Authority(tmp_path / "stranger", "stranger")
    with running_bridge(tmp_path / "state", *flags(authority.issue("bridge"), authority)) as bridge:
        for issuer in (stranger, None):
            shown = {}
            if issuer is not None:
                files = issuer.issue("trainer")
                shown = {"cert_file": str(files.certificate), "key_file": str(files.key)}
            address = f"grpcs://{bridge.grpc}"
            assert delivered(address, seconds=2, ca_file=str(authority.file), **shown) > 0
        files = authority.issue("trainer")
        shown = {"cert_file": str(files.certificate), "key_file": str(files.key)}
        assert delivered(f"grpcs://{bridge.grpc}", ca_file=str(authority.file), **shown) == 0
        assert bridge.total("training_batches_total") == 1


def test_a_renewed_certificate_is_taken_without_a_restart(tmp_path, authority):
    """The next handshake shows it; an invalid renewal changes nothing."""
    files = authority.issue("first", into="bridge")
    with running_bridge(tmp_path / "state", *flags(files)) as bridge:
        assert shown_name(bridge.grpc) == "CN=first"
        authority.issue("second", into="bridge")
        until_true(lambda: shown_name(bridge.grpc) == "CN=second")

        files.certificate.write_text("no certificate")
        assert shown_name(bridge.grpc) == "CN=second"
        lines = bridge.log.read_text().splitlines()
        [line] = [each for each in lines if "the certificate stays" in each]
        assert "warning" in line.lower()
        assert delivered(f"grpcs://{bridge.grpc}", ca_file=str(authority.file)) == 0


def test_files_that_do_not_belong_together_are_a_clear_error(tmp_path, authority):
    """The bridge says which files, and does not start."""
    one, other = authority.issue("one"), authority.issue("other")
    command = [
        *(sys.executable, "-m", "bridge", "serve", "--state", str(tmp_path / "state")),
        *("--grpc-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0"),
        *("--tls-cert-file", str(one.certificate), "--tls-key-file", str(other.key)),
    ]

    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode == 1
    assert "tls_cert_file" in ended.stderr
    assert "Traceback" not in ended.stderr
