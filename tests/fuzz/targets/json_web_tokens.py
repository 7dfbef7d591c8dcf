"""JSON Web Tokens: one that a stranger sends, and one that is signed, whatever is in it."""

import base64
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bridge.access.issuer import Issuer
from bridge.access.json_web_tokens import check_shown, expiry_of, is_jwt, read_unverified, verify
from bridge.access.jwks import VerificationKey
from bridge.access.rules import Rule, identity_of, read_rules
from bridge.errors import BridgeError

KEY = Ed25519PrivateKey.generate()
VERIFIES = VerificationKey("", ("EdDSA",), KEY.public_key())
ISSUER = Issuer("https://issuer.example.org", "trainbridge")
RULES = """
claims:
- name: "{sub}"
  match: {kubernetes.io.namespace: team-*}
  roles: [ingest]
  sessions: "{kubernetes.io.namespace}."
- name: "{groups}"
  match: {groups: ml-*}
  roles: [view]
"""


def _rules() -> tuple[Rule, ...]:
    with TemporaryDirectory() as folder:
        path = Path(folder, "rules.yaml")
        path.write_text(RULES)
        return read_rules(path).claims


CLAIMS_RULES = _rules()


def run(data: bytes) -> None:
    """Take a token as it is, and one of a header and claims, a line each, with a good signature."""
    _take(data.decode("latin-1"))
    header, _, claims = data.partition(b"\n")
    signed = b".".join(map(_encoded, (header, claims)))
    _take(b".".join((signed, _encoded(KEY.sign(signed)))).decode())


def _take(token: str) -> None:
    is_jwt(token)
    try:
        check_shown(read_unverified(token), ISSUER)
    except BridgeError as error:
        str(error).encode("utf-8", "surrogatepass")
    try:
        claims = verify(token, VERIFIES, ISSUER)
        assert expiry_of(claims) > 0
        identity_of(CLAIMS_RULES, claims)
    except BridgeError as error:
        str(error).encode()


def _encoded(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")
