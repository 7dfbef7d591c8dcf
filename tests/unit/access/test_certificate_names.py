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


async def test_a_name_that_makes_no_prefix_ends_what_came_in_with_it(file):
    """A rule that changes so that a name no longer fits it refuses, and raises nothing where streams are watched."""
    both = names(file)
    trainer = await both.identify(Credentials(certificate_names=TRAINER))
    file.write_text(RULES.replace("sessions: team-a.", 'sessions: "{name}."'))
    assert not both.is_current(trainer)
    with pytest.raises(UnauthenticatedError, match="makes no prefix"):
        await both.identify(Credentials(certificate_names=TRAINER))


async def test_what_is_remembered_is_bounded(file, monkeypatch):
    """However many certificates an authority hands out."""
    monkeypatch.setattr("bridge.access.certificate_names.MAX_ANSWERS", 3)
    both = names(file)
    for number in range(10):
        await both.identify(Credentials(certificate_names=(f"n{number}",)))
        assert len(both._answers[1]) <= 4
    assert (await both.identify(Credentials(certificate_names=TRAINER))).name == "team-a"


async def test_many_rules_cost_little(file, monkeypatch):
    """A certificate is compared with them once, and each pattern is compiled when the file is read."""
    rows = "".join(
        f"- {{name: n, match: 'n{number}*x', roles: [view]}}\n" for number in range(1_000)
    )
    file.write_text("certificates:\n" + rows)
    both = names(file)
    monkeypatch.delattr("bridge.access.patterns.translate")
    shown = Credentials(certificate_names=tuple(f"n{number}" for number in range(50)))
    assert await both.identify(shown) is None
    monkeypatch.delattr("bridge.access.certificate_names.identity_of")
    assert await both.identify(shown) is None


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
