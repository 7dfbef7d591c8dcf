"""JSON Web Tokens: which are good, whom they admit, and what is said of those that are not."""

import base64
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from support.waiting import until

from bridge.access import Authentication, Credentials, Role, jwt_parts
from bridge.access import json_web_tokens as module
from bridge.access.credentials import LONGEST_TOKEN
from bridge.access.issuer import Issuer
from bridge.access.issuer_keys import FRESH_SECONDS, PAUSE_SECONDS, IssuerKeys
from bridge.access.json_web_tokens import JsonWebTokens
from bridge.access.jwt_parts import LEEWAY_SECONDS
from bridge.access.rules import read_rules
from bridge.access.watched_file import WatchedFile
from bridge.errors import UnauthenticatedError
from bridge.telemetry import Telemetry

RULES = """
claims:
- {name: "{sub}", match: {sub: "system:serviceaccount:team-*:trainer"}, roles: [ingest], sessions: "{kubernetes.io.namespace}."}
- {name: "{email}", match: {groups: ml}, roles: [control]}
"""


class Clock:
    """Seconds since 1970 at the start of a test, and as many more as it says."""

    def __init__(self):
        self.began = time.time()
        self.more = 0.0

    def __call__(self):
        return self.began + self.more


@pytest.fixture
def clock():
    """Return a clock that a test may set."""
    return Clock()


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Return a rules file, of which a change is seen at once."""
    monkeypatch.setattr("bridge.access.watched_file.LOOK_SECONDS", 0.0)
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    return path


@pytest.fixture
def tokens(issuer, file, clock):
    """Return what identifies by the tokens of the issuer."""
    known = Issuer(issuer.url, "trainbridge")
    telemetry = Telemetry()
    rules = WatchedFile(file, read_rules, telemetry)
    return JsonWebTokens(known, IssuerKeys(known, telemetry), rules, clock=clock)


async def refusal(tokens, token):
    """Return why a token is refused; the reason holds no part of it."""
    with pytest.raises(UnauthenticatedError) as caught:
        await tokens.identify(Credentials(token))
    assert not any(part and part in str(caught.value) for part in token.split(".") if len(part) > 8)
    return str(caught.value)


async def test_a_token_admits_whom_a_rule_names(tokens, issuer):
    """Its claims give name, roles and prefix; what it is made out to may be one of several."""
    trainer = await tokens.identify(Credentials(issuer.token(aud=["vault", "trainbridge"])))
    assert trainer.name == "system:serviceaccount:team-a:trainer"
    assert (trainer.sessions, trainer.roles) == ("team-a.", {Role.INGEST})
    person = await tokens.identify(
        Credentials(issuer.token(sub="1", email="ada@example.org", groups=["x", "ml"]))
    )
    assert (person.name, person.sessions) == ("ada@example.org", "")
    assert Role.CONTROL in person.roles


@pytest.mark.parametrize("algorithm", ["RS256", "PS512", "RS384"])
async def test_rsa_verifies_what_its_key_is_good_for(tokens, issuer, algorithm):
    """A key that names no algorithm is good for each of its family."""
    issuer.rotate("rsa", kind="RSA")
    assert await tokens.identify(Credentials(issuer.token(algorithm=algorithm)))


async def test_other_tokens_are_left_to_others(tokens, issuer):
    """Tokens of the file, and what is too long to be looked at, ask nothing of the issuer."""
    for token in ("", "tb_abc", "a.b.c", "ey", "ey.", "eyx" * LONGEST_TOKEN + "..", "ey" + "." * 9):
        assert await tokens.identify(Credentials(token)) is None
    assert not issuer.requests


NOW = int(time.time())

BAD = {
    "has expired": {"exp": NOW - 60},
    "not good yet": {"nbf": NOW + 7_200},
    "lacks the claim exp": {"exp": None},
    "the audience 'trainbridge'": {"aud": "vault"},
    "with the audience 'trainbridge'": {"aud": None},
    "is of the issuer 'https://elsewhere.example.org'": {"iss": "https://elsewhere.example.org"},
    "is of the issuer ''": {"iss": None},
    "no rule of this bridge admits 'system:serviceaccount:x:y'": {
        "sub": "system:serviceaccount:x:y"
    },
    "the claim kubernetes.io.namespace is missing": {"kubernetes.io": None},
    "signed with a key that": {"headers": {"kid": "other"}},
    "can be read": {"exp": "soon"},
}


@pytest.mark.parametrize("expected", BAD)
async def test_a_token_that_is_not_good_says_why(tokens, issuer, expected):
    """And where to get a good one, or whom to ask."""
    assert expected in await refusal(tokens, issuer.token(**BAD[expected]))


async def test_clocks_may_differ_a_little(tokens, issuer, monkeypatch):
    """By so much, either way, is not held against a token."""
    monkeypatch.setattr(jwt_parts, "LEEWAY_SECONDS", 1_000)
    now = int(time.time())
    token = issuer.token(exp=now - 500, nbf=now + 500)
    assert await tokens.identify(Credentials(token))


async def test_only_a_signature_of_the_issuer_will_do(tokens, issuer):
    """Not one of another key, none at all, one with the public key as a secret, and not a claim changed afterwards."""
    other = ec.generate_private_key(ec.SECP256R1())
    assert "does not have the signature" in await refusal(tokens, issuer.token(key=other))
    public = (
        issuer.keys["first"]
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    header, payload, signature = issuer.token().split(".")
    for algorithm in ("none", "None", "HS256", "ES256K", "", None, 5, ["ES256"]):
        forged = part({"alg": algorithm, "typ": "JWT", "kid": "first"})
        assert "not signed with a key pair" in await refusal(tokens, f"{forged}.{payload}.")
    claims = jwt.decode(issuer.token(), options={"verify_signature": False})
    signed = jwt.api_jws.PyJWS()
    signed._algorithms["HS256"].prepare_key = lambda key: (
        key
    )  # as a library that is less careful would
    secret = signed.encode(json.dumps(claims).encode(), public, "HS256", headers={"kid": "first"})
    assert "not signed with a key pair" in await refusal(tokens, secret)
    changed = part({**claims, "sub": "system:serviceaccount:team-b:trainer"})
    assert "does not have the signature" in await refusal(tokens, f"{header}.{changed}.{signature}")
    embedded = part(
        {"alg": "ES256", "kid": "mine", "jwk": issuer.public("first"), "jku": issuer.url}
    )
    assert "signed with a key that" in await refusal(tokens, f"{embedded}.{payload}.{signature}")


def part(content):
    """Return an object as a part of a token."""
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


HOSTILE = (
    b"[" * 9_000,
    b'{"a":' * 1_100,
    b'{"alg":"ES256","exp":1e999}',
    b'{"alg":"ES256","exp":' + b"9" * 5_000 + b"}",
    b"[]",
    b"null",
    b"\xff\xfe",
    b'{"alg":"ES256","kid":{"a":1},"crit":["x"],"b64":false}',
    b"",
)


@pytest.mark.parametrize("content", HOSTILE, ids=range(len(HOSTILE)))
async def test_a_token_that_means_harm_is_only_refused(tokens, issuer, content):
    """Whatever stands in its parts, signed or not, and the issuer is not asked for anything."""
    hostile = base64.urlsafe_b64encode(content).rstrip(b"=").decode()
    header = part({"alg": "ES256", "kid": "first"})
    assert await refusal(tokens, f"{header}.{hostile}.AAAA")
    if hostile.startswith("ey"):
        assert await refusal(tokens, f"{hostile}.{hostile}.AAAA")
    assert not issuer.requests
    signed = jwt.api_jws.PyJWS().encode(
        content, issuer.keys["first"], "ES256", headers={"kid": "first"}
    )
    assert await refusal(tokens, signed)


async def test_numbers_out_of_range_admit_nobody(tokens, issuer):
    """Neither does a time that no calendar has, though the issuer has signed it."""
    for exp in (float("inf"), float("nan"), 10**400, -1, True, [1], {}):
        claims = {"iss": issuer.url, "aud": "trainbridge", "sub": "a", "exp": exp}
        signed = jwt.api_jws.PyJWS().encode(
            json.dumps(claims).encode(), issuer.keys["first"], "ES256", headers={"kid": "first"}
        )
        assert await refusal(tokens, signed)


async def test_a_page_of_images_is_verified_once(tokens, issuer, clock, monkeypatch):
    """A token that was good a moment ago is; after a minute it is looked at again, and it ends when it says."""
    verified = []
    monkeypatch.setattr(module, "verify", lambda *a: verified.append(a) or jwt_parts.verify(*a))
    token = issuer.token()
    for _ in range(60):
        await tokens.identify(Credentials(token))
    assert len(verified) == 1
    clock.more = 61.0
    await tokens.identify(Credentials(token))
    assert len(verified) == 2


async def test_a_verified_token_ends_when_it_says(tokens, issuer, clock, monkeypatch):
    """That it was verified a moment ago makes it no better."""
    monkeypatch.setattr(module, "VERIFIED_SECONDS", 1e9)
    token = issuer.token(exp=int(clock.began) + 1_000)
    identity = await tokens.identify(Credentials(token))
    clock.more = 1_000 + LEEWAY_SECONDS - 2
    assert await tokens.identify(Credentials(token)) == identity
    monkeypatch.setattr(module, "verify", lambda *_: pytest.fail("is looked at again"))
    clock.more = 1_000 + LEEWAY_SECONDS + 1
    with pytest.raises(pytest.fail.Exception):
        await tokens.identify(Credentials(token))


async def test_a_stream_is_renewed_before_it_ends(tokens, issuer, clock):
    """Once its token has expired it is asked to come in anew, and only then, a minute later, ended."""
    exp = int(time.time()) + 1_000
    identity = await tokens.identify(Credentials(issuer.token(exp=exp)))
    assert identity.renew_at == exp + LEEWAY_SECONDS
    assert identity.expires_at == identity.renew_at + module.STREAM_SECONDS
    door = Authentication((tokens,), clock=lambda: identity.expires_at - 1)
    assert door.is_current(identity)
    assert not Authentication((tokens,), clock=lambda: identity.expires_at).is_current(identity)


async def test_a_change_of_the_rules_reaches_who_is_in(tokens, issuer, file):
    """A token whose rule is gone, or says something else, is good no longer; others stay."""
    trainer = await tokens.identify(Credentials(issuer.token()))
    person = await tokens.identify(Credentials(issuer.token(email="a@b", groups="ml", sub="1")))
    assert tokens.is_current(trainer)
    file.write_text(RULES.replace("team-*", "team-b"))
    assert not tokens.is_current(trainer)
    assert tokens.is_current(person)
    file.write_text("claims: [")
    assert tokens.is_current(person)
    assert "no rule" in await refusal(tokens, issuer.token())
    file.write_text(RULES.replace("team-*", "team-a"))
    assert tokens.is_current(trainer)


async def test_a_key_that_was_withdrawn_ends_what_came_in_by_it(tokens, issuer):
    """Whoever has stolen it can make tokens that never expire, and the streams of these end with the key all the same."""
    forged = await tokens.identify(Credentials(issuer.token(exp=10**10)))
    assert tokens.is_current(forged)
    issuer.rotate("second")
    tokens._keys._fetched_at -= FRESH_SECONDS + 1
    tokens._keys._attempted_at -= PAUSE_SECONDS + 1
    await until(lambda: not tokens.is_current(forged))
    renewed = await tokens.identify(Credentials(issuer.token()))
    assert tokens.is_current(renewed)


async def test_a_key_that_is_still_published_is_good(tokens, issuer):
    """A rotation that keeps the former key for its tokens ends nothing."""
    trainer = await tokens.identify(Credentials(issuer.token()))
    before = tokens._keys._keys
    issuer.rotate("second", keep=True)
    tokens._keys._attempted_at -= PAUSE_SECONDS + 1
    await tokens.identify(Credentials(issuer.token()))
    assert tokens._keys._keys is not before
    assert tokens.is_current(trainer)


async def test_what_is_remembered_is_bounded(tokens, issuer, monkeypatch):
    """In number and in size; who was let in by what is forgotten stays until it expires."""
    monkeypatch.setattr(module, "MAX_VERIFIED", 3)
    shown = [issuer.token(jti=str(number)) for number in range(5)]
    identities = [await tokens.identify(Credentials(token)) for token in shown]
    assert len(tokens._verified) == 3
    assert tokens._characters == sum(map(len, shown[2:]))
    assert tokens.is_current(identities[0])
    monkeypatch.setattr(module, "MAX_VERIFIED_CHARACTERS", len(shown[0]) + 1)
    await tokens.identify(Credentials(issuer.token()))
    assert len(tokens._verified) == 1
    await tokens.identify(Credentials(shown[0]))
    assert tokens._characters == len(shown[0])


async def test_nothing_of_a_token_is_shown(tokens, issuer):
    """Neither it nor what it is known by stands where an identity is printed."""
    token = issuer.token()
    identity = await tokens.identify(Credentials(token))
    assert identity.key
    assert identity.key not in repr(identity)
    assert not any(secret in repr(identity) for secret in token.split("."))
