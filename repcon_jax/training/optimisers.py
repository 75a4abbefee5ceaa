"""Optimisers with per-parameter rules; the updates are PyTorch's, so that published recipes carry over."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

from repcon_jax.errors import ArgumentError, check_range, did_you_mean
from repcon_jax.options.patterns import first_matches
from repcon_jax.options.schema import check_type, parse_call
from repcon_jax.training.durations import Clock
from repcon_jax.training.partition import Paths, split
from repcon_jax.training.schedules import Schedule, ScheduleValue, parse_schedule, refusing
from repcon_jax.trees import map_named, named_leaves
from repcon_jax.typing import Params, PyTree, Scalar

# What a rule says of a parameter that never trains.
ALWAYS = "always"
_RULE_TYPES = {"learning_rate": float, "weight_decay": float | str, "frozen": str}


@dataclasses.dataclass(frozen=True)
class OptimiserConfig:
    """What to minimise with.

    Args:
        name: ``sgd`` (momentum, coupled decay), ``adam`` (coupled decay) or ``adamw`` (decoupled decay).
        learning_rate: number or schedule text, see ``training.schedules``.
        weight_decay: number or schedule text.
        momentum: of SGD; 0 for none.
        nesterov: whether SGD looks ahead.
        beta1, beta2, epsilon: of Adam and AdamW.
        clip_norm: global gradient norm above which gradients are scaled down; 0 for never.
        rules: pairs of (regular expression, settings); the first expression that is found in a parameter's
            path decides, every parameter must be covered and every expression but a last ``.*`` must decide.
            Settings are ``"default"`` or a call ``"set(learning_rate=0.1, weight_decay=0.0, frozen='1 epochs')"``
            with ``learning_rate`` a factor on the schedule, ``weight_decay`` a replacement and ``frozen`` how long
            the parameter stands still (the optimiser's averages of its gradients run meanwhile); ``frozen='always'``
            takes it out of training: it has no gradient, no optimiser state and no place in later checkpoints.
    """

    name: Literal["sgd", "adam", "adamw"] = "adamw"
    learning_rate: ScheduleValue = 1e-3
    weight_decay: ScheduleValue = 0.0
    momentum: Scalar = 0.9
    nesterov: bool = False
    beta1: Scalar = 0.9
    beta2: Scalar = 0.999
    epsilon: Scalar = 1e-8
    clip_norm: Scalar = 0.0
    rules: tuple[tuple[str, str], ...] = ((".*", "default"),)

    def __post_init__(self) -> None:
        """Checks ranges."""
        for name in ("learning_rate", "weight_decay"):
            if isinstance(getattr(self, name), (int, float)):
                check_range(name, getattr(self, name), 0)
        for name in ("momentum", "beta1", "beta2"):
            check_range(name, getattr(self, name), 0, 1, open_high=True)
        check_range("epsilon", self.epsilon, 0, open_low=True)
        check_range("clip_norm", self.clip_norm, 0)


def build_optimiser(
    config: OptimiserConfig, clock: Clock, params: Params, scalars: Mapping[str, ScheduleValue] | None = None
) -> optax.GradientTransformation:
    """The optimiser of a run.

    Args:
        config: what to build.
        clock: turns durations into steps.
        params: parameters or their shapes, to check that the rules cover each of them.
        scalars: fields of the config in which a member of a population differs, with its values, which may be traced.
    Returns:
        An optax transformation of the trained parameters, whose updates are to be added to them.
    Raises:
        ArgumentError: a rule is malformed, matches nothing, or a parameter is covered by none.
    """
    settings = [_parse_rule(settings) for _, settings in config.rules]
    labels = assign_rules([pattern for pattern, _ in config.rules], params)
    labels, _ = split(labels, frozen_paths(config, params))
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)} | dict(scalars or {})
    groups = {label: _group(values, clock, settings[int(label)]) for label in sorted(set(jax.tree.leaves(labels)))}
    return optax.chain(*_clip(values["clip_norm"]), optax.partition(groups, labels))


def frozen_paths(config: OptimiserConfig, params: Params) -> Paths:
    """The paths of the parameters that never train.

    Args:
        config: whose rules say so.
        params: parameters or their shapes.
    Raises:
        ArgumentError: a rule is malformed, or nothing is left to train.
    """
    always = {str(i) for i, (_, rule) in enumerate(config.rules) if _parse_rule(rule).get("frozen") == ALWAYS}
    if not always:
        return frozenset()
    labels = named_leaves(assign_rules([pattern for pattern, _ in config.rules], params))
    paths = frozenset(path for path, label in labels.items() if label in always)
    if len(paths) == len(labels):
        raise ArgumentError("rules", "freeze every parameter, which leaves nothing to train")
    return paths


def assign_rules(patterns: list[str], params: Params) -> PyTree:
    """For every parameter the index, as text, of the first pattern found in its path.

    Raises:
        ArgumentError: a parameter is covered by no pattern, or a pattern decides for no parameter.

    >>> assign_rules(["bias$", ".*"], {"dense": {"bias": 1, "kernel": 2}})
    {'dense': {'bias': '0', 'kernel': '1'}}
    """
    with refusing("rules"):
        matches = first_matches(patterns, named_leaves(params), "rules", "('.*', 'default')")
    return map_named(lambda name, _: str(matches[name]), params)


def _parse_rule(text: str) -> dict[str, Any]:
    with refusing("rules"):
        name, settings = parse_call(text, "rules")
    if name not in ("default", "set"):
        raise ArgumentError("rules", f"has the setting {text!r} but it must be 'default' or 'set(...)'")
    for key, value in settings.items():
        if key not in _RULE_TYPES:
            raise ArgumentError("rules", f"sets {key!r}, which does not exist", did_you_mean(key, _RULE_TYPES))
        with refusing(f"rules: {key}"):
            check_type(f"rules: {key}", value, _RULE_TYPES[key])
    check_range("rules: learning_rate", settings.get("learning_rate", 1.0), 0)
    return settings


def _group(values: Mapping[str, Any], clock: Clock, settings: Mapping[str, Any]) -> optax.GradientTransformation:
    factor = float(settings.get("learning_rate", 1.0))
    frozen = clock.steps(settings.get("frozen", "0 steps"), "rules: frozen")
    base = parse_schedule(values["learning_rate"], clock, "learning_rate", 0)
    rate: Schedule = lambda step: jnp.where(step < frozen, 0.0, factor * base(step))  # noqa: E731
    decay = settings.get("weight_decay", values["weight_decay"])
    decay = parse_schedule(decay, clock, "weight_decay", 0)
    adam = optax.scale_by_adam(values["beta1"], values["beta2"], values["epsilon"])
    # A traced momentum or norm of 0 needs its state and arithmetic all the same: structure cannot depend on values.
    has_momentum = isinstance(values["momentum"], jax.Array) or values["momentum"] > 0
    momentum = optax.trace(values["momentum"], values["nesterov"]) if has_momentum else optax.identity()
    parts = {
        "sgd": (optax.add_decayed_weights(decay), momentum),
        "adam": (optax.add_decayed_weights(decay), adam),
        "adamw": (adam, optax.add_decayed_weights(decay)),
    }[values["name"]]
    return optax.chain(*parts, optax.scale_by_learning_rate(rate))


def _clip(norm: Scalar) -> list[optax.GradientTransformation]:
    if isinstance(norm, jax.Array):
        return [optax.clip_by_global_norm(jnp.where(norm > 0, norm, jnp.inf))]
    return [optax.clip_by_global_norm(norm)] if norm > 0 else []
