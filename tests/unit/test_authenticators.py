"""What each door asks for, by the settings."""

import pytest
from support.issuer import running_issuer

from bridge.access import Credentials
from bridge.access.tokens import hash_of_token
from bridge.authenticators import ISSUER, doors, issuer_connections
from bridge.config.settings import Settings
from bridge.connections import check_all
from bridge.errors import SettingError, UnauthenticatedError
from bridge.telemetry import Telemetry

FILES = {
    "tokens_file": f"tokens: [{{name: alice, sha256: {hash_of_token('tb_alice')}, roles: [view, ingest]}}]",
    "access_rules_file": "certificates: [{name: trainers, match: trainer, roles: [ingest]}]\n"
    "claims: [{name: '{sub}', match: {sub: 'system:*'}, roles: [ingest]}]",
    "tls_cert_file": "",
    "tls_key_file": "",
    "tls_client_ca_file": "",
    "http_tls_cert_file": "",
    "http_tls_key_file": "",
    "http_tls_client_ca_file": "",
}
GRPC_TLS = ("tls_cert_file", "tls_key_file", "tls_client_ca_file")
HTTP_TLS = tuple(f"http_{name}" for name in GRPC_TLS)
RULES = "access_rules_file"

ALICE = Credentials("tb_alice", ("trainer",))
TRAINER = Credentials("", ("trainer",))
STRANGER = Credentials("", ("stranger",))
WRONG = Credentials("tb_wrong", ("trainer",))
NOTHING = Credentials()


@pytest.fixture
def doors_of(tmp_path):
    """Return the doors of a bridge with some of the files."""

    def build(*names, **settings):
        for name in names:
            (tmp_path / name).write_text(FILES[name])
            settings[name] = str(tmp_path / name)
        return doors(Settings(**settings), Telemetry())

    return build


async def names_at(door):
    """Return who each of the credentials is, None: refused."""
    found = {}
    for shown in (ALICE, TRAINER, STRANGER, WRONG, NOTHING):
        try:
            found[shown] = (await door.identify(shown)).name
        except UnauthenticatedError:
            found[shown] = None
    return [*found.values()]


async def test_without_any_both_doors_are_open(doors_of):
    """Which an address that others reach does not get without a word."""
    both = doors_of()
    assert not both.grpc.is_required
    assert not both.http.is_required


async def test_tokens_are_for_both_doors(doors_of):
    """A certificate that gRPC asks for does not do instead of a token."""
    for both in (doors_of("tokens_file"), doors_of("tokens_file", *GRPC_TLS)):
        assert await names_at(both.grpc) == ["alice", None, None, None, None]
        assert await names_at(both.http) == ["alice", None, None, None, None]


async def test_certificates_alone_admit_over_grpc(doors_of):
    """Without rules all of the authority's, with rules those that they are about; HTTP asks for none."""
    both = doors_of(*GRPC_TLS)
    assert None not in await names_at(both.grpc)
    assert not both.http.is_required
    both = doors_of(*GRPC_TLS, RULES)
    assert await names_at(both.grpc) == ["trainers", "trainers", None, "trainers", None]


async def test_rules_admit_over_http_too(doors_of):
    """Where an authority is set for HTTP; a token that is shown counts."""
    both = doors_of(*HTTP_TLS, RULES)
    assert await names_at(both.http) == ["trainers", "trainers", None, "trainers", None]
    both = doors_of(*HTTP_TLS, RULES, "tokens_file")
    assert await names_at(both.http) == ["alice", "trainers", None, None, None]


@pytest.mark.parametrize("also", [(), ("tokens_file",)])
async def test_rules_for_certificates_count_once_they_are_written(
    doors_of, tmp_path, monkeypatch, also
):
    """Also where the file had none at the start: whoever adds one to keep others out need not start the bridge again."""
    monkeypatch.setattr("bridge.access.watched_file.LOOK_SECONDS", 0.0)
    monkeypatch.setitem(FILES, RULES, "certificates: []\n" if also else FILES[RULES])
    found = doors_of(*GRPC_TLS, *HTTP_TLS, RULES, *also)
    rule = "certificates: [{name: others, match: stranger, roles: [ingest]}]\n"
    (tmp_path / RULES).write_text(rule)
    alice = "alice" if also else None
    for door in (found.grpc, found.http):
        assert await names_at(door) == [alice, None, "others", None, None]


def test_rules_that_admit_no_certificate_are_refused_over_grpc(doors_of, monkeypatch):
    """Where nothing else admits anybody: they would otherwise be taken for a wish that all may come in."""
    monkeypatch.setitem(FILES, RULES, "certificates: []\n")
    with pytest.raises(SettingError, match="leave access_rules_file out"):
        doors_of(*GRPC_TLS, RULES)


async def test_a_door_that_nobody_could_pass_is_refused(doors_of):
    """An authority for HTTP without a rule admits nobody, unless anybody may come in or there are tokens."""
    with pytest.raises(SettingError, match="access_rules_file"):
        doors_of(*HTTP_TLS)
    assert not doors_of(*HTTP_TLS, allow_anonymous=True).http.is_required
    assert doors_of(*HTTP_TLS, "tokens_file").http.is_required


async def test_tokens_of_an_issuer_are_for_both_doors(doors_of, tmp_path):
    """Beside those of the file; each says whose it is, and what the bridge sees of the issuer is heard of."""
    with running_issuer() as issuer:
        both = doors_of(RULES, "tokens_file", oidc_issuer=issuer.url)
        shown = Credentials(issuer.token())
        for door in (both.grpc, both.http):
            assert (await door.identify(shown)).name == "system:serviceaccount:team-a:trainer"
            assert (await door.identify(ALICE)).name == "alice"
            with pytest.raises(UnauthenticatedError, match="made out to others"):
                await door.identify(Credentials(issuer.token(aud="vault")))
            with pytest.raises(UnauthenticatedError, match="does not know the token"):
                await door.identify(WRONG)


async def test_the_issuer_is_a_connection_like_others(doors_of, tmp_path):
    """It is checked at the start and in the background, and again when its use shows something else."""
    assert issuer_connections(Settings()) == ()
    heard = []
    telemetry = Telemetry()
    telemetry.on_connection_used = lambda *said: heard.append(said)
    (tmp_path / RULES).write_text(FILES[RULES])
    with running_issuer() as issuer:
        settings = Settings(oidc_issuer=issuer.url, access_rules_file=tmp_path / RULES)
        [check] = await check_all(issuer_connections(settings), timeout_seconds=60)
        assert (check.name, check.result) == (ISSUER, "ok")
        issuer.answers["/keys"] = (503, {}, b"")
        [check] = await check_all(issuer_connections(settings), timeout_seconds=60)
        assert "503" in check.result
        with pytest.raises(UnauthenticatedError, match="not reached"):
            await doors(settings, telemetry).grpc.identify(Credentials(issuer.token()))
        issuer.answers.clear()
        await doors(settings, telemetry).grpc.identify(Credentials(issuer.token()))
    assert heard == [(ISSUER, False), (ISSUER, True)]
