"""Adds our callback to the trainers of four frameworks, as each is imported: nothing is imported for it."""

import functools
import importlib
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

log = logging.getLogger("trainbridge")

INTEGRATIONS = "bridge.client.integrations"


@dataclass(frozen=True, slots=True)
class Hook:
    """One method of a framework that is wrapped."""

    module: str
    """In which the class is defined."""
    owner: str
    method: str
    integration: str
    """Our module with the callback."""
    add: Callable[[ModuleType, Any, tuple[Any, ...], dict[str, Any]], None]
    """Adds our callback to an object, after the method, or to the arguments before it."""
    is_before: bool = False


def _add_to_lightning(ours: ModuleType, trainer: Any, _args: Any, _kwargs: Any) -> None:
    if not any(_is_ours(each) for each in (*trainer.callbacks, *trainer.loggers)):
        trainer.callbacks.append(ours.TrainbridgeCallback())


def _add_to_transformers(ours: ModuleType, trainer: Any, _args: Any, _kwargs: Any) -> None:
    if not any(_is_ours(each) for each in trainer.callback_handler.callbacks):
        trainer.add_callback(ours.TrainbridgeCallback())


def _add_to_accelerate(ours: ModuleType, accelerator: Any, args: Any, kwargs: Any) -> None:
    if any(_is_ours(each) for each in accelerator.trackers):
        return
    tracker = ours.TrainbridgeTracker()
    start = getattr(tracker, "start", None)
    if start is not None:
        start()
    config = kwargs.get("config", args[1] if len(args) > 1 else None)
    if config:
        tracker.store_init_configuration(config)
    accelerator.trackers.append(tracker)


def _add_to_keras(ours: ModuleType, _model: Any, args: tuple[Any, ...], kwargs: Any) -> None:
    if len(args) > KERAS_CALLBACKS:
        return  # given by place, where nothing is exchanged
    given = kwargs.get("callbacks")
    callbacks = getattr(given, "callbacks", given) or []
    callbacks = list(callbacks) if isinstance(callbacks, Sequence) else [callbacks]
    if any(_is_ours(each) for each in callbacks):
        return
    if hasattr(given, "append") and hasattr(given, "callbacks"):  # a CallbackList
        given.append(ours.TrainbridgeCallback())
    else:
        kwargs["callbacks"] = [*callbacks, ours.TrainbridgeCallback()]


KERAS_CALLBACKS = 5
"""The place of `callbacks` among the arguments of `fit`: x, y, batch_size, epochs and verbose come before."""

HOOKS = (
    *(
        Hook(
            f"{package}.trainer.trainer",
            "Trainer",
            "__init__",
            f"{INTEGRATIONS}.lightning",
            _add_to_lightning,
        )
        for package in ("lightning.pytorch", "pytorch_lightning")
    ),
    Hook(
        "transformers.trainer",
        "Trainer",
        "__init__",
        f"{INTEGRATIONS}.transformers",
        _add_to_transformers,
    ),
    Hook(
        "accelerate.accelerator",
        "Accelerator",
        "init_trackers",
        f"{INTEGRATIONS}.accelerate",
        _add_to_accelerate,
    ),
    *(
        Hook(
            f"keras.src.backend.{backend}.trainer",
            f"{name}Trainer",
            "fit",
            f"{INTEGRATIONS}.keras",
            _add_to_keras,
            is_before=True,
        )
        for backend, name in (("torch", "Torch"), ("jax", "JAX"), ("tensorflow", "TensorFlow"))
    ),
)


def watch() -> None:
    """Wrap what is there, and the rest as it is imported; doing it again changes nothing."""
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    for hook in HOOKS:
        if hook.module in sys.modules:
            wrap(hook, sys.modules[hook.module])
    sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds nothing itself; what the others find of HOOKS is wrapped once it has been executed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return what another finder has found, with a loader that wraps."""
        hooks = [hook for hook in HOOKS if hook.module == fullname]
        if not hooks:
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    _execute_then_wrap(spec.loader, hooks)
                return spec
        return None


def _execute_then_wrap(loader: Loader, hooks: list[Hook]) -> None:
    """Have a loader wrap what it has executed; one that takes no attribute is left alone."""
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        execute(module)
        for hook in hooks:
            wrap(hook, module)

    try:
        loader.exec_module = exec_module  # type: ignore[method-assign]
    except AttributeError:
        log.info("%s is loaded in a way that cannot be watched", hooks[0].module)


def wrap(hook: Hook, module: ModuleType) -> None:
    """Wrap a method, so that our callback is there; where the class has changed, nothing happens."""
    owner = getattr(module, hook.owner, None)
    method = getattr(owner, hook.method, None)
    if owner is None or method is None or hasattr(method, "__trainbridge__"):
        log.info("%s has no %s.%s to watch", hook.module, hook.owner, hook.method)
        return

    @functools.wraps(method)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        if hook.is_before:
            _add(hook, self, args, kwargs)
        result = method(self, *args, **kwargs)
        if not hook.is_before:
            _add(hook, self, args, kwargs)
        return result

    wrapped.__trainbridge__ = True  # type: ignore[attr-defined]
    setattr(owner, hook.method, wrapped)


def _add(hook: Hook, owner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Add our callback, or say why there is none: a program that runs without us must run with us."""
    try:
        hook.add(importlib.import_module(hook.integration), owner, args, kwargs)
    except Exception as error:  # noqa: BLE001 -- a version of the framework that we do not know, say
        log.warning(
            "this %s is not reported (%s: %s): add the callback of %s to it yourself, or see --no-autodetect of"
            " `trainbridge run`",
            hook.owner,
            type(error).__name__,
            error,
            hook.integration,
        )


def _is_ours(thing: Any) -> bool:
    """Return whether a callback, logger or tracker is one of ours, or derived from one."""
    return any(kind.__module__.startswith(INTEGRATIONS) for kind in type(thing).__mro__)
