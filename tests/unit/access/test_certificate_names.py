"""Client certificates: whom their names admit."""

import pytest

from bridge.access import Authentication, Credentials, Identity, Role
from bridge.access.certificate_names import AnyCertificate, CertificateNames
from bridge.access.rules import read_rules
from bridge.access.watched_file import WatchedFile
from bridge.errors import UnauthenticatedError
from bridge.telemetry import Telemetry

RULES = """
certificates:
- {name: prometheus, match: prometheus.example.org, roles: [metrics]}
- {name: team-a, match: "spiffe://example.org/ns/team-a/*", roles: [ingest], sessions: team-a.}
"""
TRAINER = ("spiffe://example.org/ns/team-a/sa/trainer", "trainer")


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Return a rules file, of which a change is seen at once."""
    monkeypatch.setattr("bridge.access.watched_file.LOOK_SECONDS", 0.0)
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    return path


def names(file, *, beside_tokens=False):
    """Return what identifies by the rules of a file."""
    return CertificateNames(WatchedFile(file, read_rules, Telemetry()), beside_tokens=beside_tokens)


async def test_any_name_of_a_certificate_may_match(file):
    """Names are tried in turn, each with every rule."""
    trainer = await names(file).identify(Credentials(certificate_names=TRAINER))
    assert (trainer.name, trainer.sessions, trainer.roles) == ("team-a", "team-a.", {Role.INGEST})
    swapped = await names(file).identify(Credentials(certificate_names=TRAINER[::-1]))
    assert swapped.name == "team-a"


@pytest.mark.parametrize("shown", [(), ("trainer",), ("Prometheus.example.org",), ("",)])
async def test_a_certificate_without_a_rule_admits_nobody(file, shown):
    """That it was verified is not enough, where rules say who may come in."""
    door = Authentication((names(file),))
    with pytest.raises(UnauthenticatedError):
        await door.identify(Credentials(certificate_names=shown))


async def test_a_token_that_is_shown_counts(file):
    """Where tokens are asked for, a token that is unknown is not made good by a certificate."""
    shown = Credentials("tb_wrong", TRAINER)
    assert await names(file, beside_tokens=True).identify(shown) is None
    assert (await names(file).identify(shown)).name == "team-a"


async def test_a_change_of_the_rules_reaches_who_is_in(file):
    """Who no longer has the same rights is to come in anew; others stay."""
    both = names(file)
    trainer = await both.identify(Credentials(certificate_names=TRAINER))
    scraper = await both.identify(Credentials(certificate_names=("prometheus.example.org",)))
    file.write_text(RULES.replace("sessions: team-a.", "sessions: team-b."))
    assert not both.is_current(trainer)
    assert both.is_current(scraper)
    assert not both.is_current(Identity("prometheus", frozenset({Role.METRICS})))


async def test_without_rules_a_certificate_reports_sessions():
    """As it does where nothing but the authority is set: whatever is in it, and under its name."""
    door = AnyCertificate()
    for shown, name in (
        (TRAINER, TRAINER[0]),
        ((), "a client certificate"),
        (("a\nb",), "ab"),
        (("x" * 1000,), "x" * 100),
    ):
        identity = await door.identify(Credentials("any", shown))
        assert (identity.name, identity.roles, identity.sessions) == (name, {Role.INGEST}, "")
        assert door.is_current(identity)
    assert not door.is_current(Identity("x", frozenset({Role.INGEST})))
