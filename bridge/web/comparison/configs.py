"""What differs between the configurations of several sessions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bridge.model import Config
from bridge.web.session_view import SessionView


@dataclass(frozen=True, slots=True)
class ConfigRow:
    """A key of a configuration, and its value by session; a session that has not reported it is left out."""

    name: str
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ConfigComparison:
    """Keys whose values differ, or that some sessions lack, and keys that are the same in all."""

    different: tuple[ConfigRow, ...]
    equal: tuple[ConfigRow, ...]


def compare_configs(sessions: Sequence[SessionView]) -> ConfigComparison:
    """Return the keys of all configurations by name; what the bridge knows of a run comes first."""
    configs = {session.id: config_values(session) for session in sessions}
    names = dict.fromkeys(name for values in configs.values() for name in values)
    rows = [
        ConfigRow(name, {one: values[name] for one, values in configs.items() if name in values})
        for name in names
    ]
    different = tuple(row for row in rows if _differs(row, len(configs)))
    return ConfigComparison(different, tuple(row for row in rows if row not in different))


def config_values(session: SessionView) -> dict[str, object]:
    """Return how a run was configured, by key: as the protocol has it, and then as its loop has put it."""
    own = session.client.run_config
    known = {name: value for name, value in _known(session.config) if name not in own}
    return {**known, **{name: own[name] for name in sorted(own)}}


def _known(config: Config) -> Iterator[tuple[str, object]]:
    values = {
        "model": config.model_name,
        "dataset": config.dataset_name,
        "epochs": config.total_epochs,
        "batches_per_epoch": config.batches_per_epoch,
        "batch_size": config.batch_size,
        "classes": len(config.class_names),
    }
    return ((name, value) for name, value in values.items() if value)


def _differs(row: ConfigRow, sessions: int) -> bool:
    values = list(row.values.values())
    return len(values) < sessions or any(not _is_same(values[0], other) for other in values[1:])


def _is_same(one: object, other: object) -> bool:
    """Return whether two values are equal: a number is not a truth value, and NaN is like itself."""
    if isinstance(one, bool) != isinstance(other, bool):
        return False
    return one == other or (one != one and other != other)  # noqa: PLR0124 -- NaN alone
