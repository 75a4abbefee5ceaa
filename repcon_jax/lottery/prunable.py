"""Which parameters may be pruned, by ordered rules on their paths."""

import re

from repcon_jax.errors import ArgumentError, did_you_mean
from repcon_jax.models import Model
from repcon_jax.options.patterns import first_matches
from repcon_jax.trees import map_named, named_leaves
from repcon_jax.typing import Params, PyTree

Rules = tuple[tuple[str, str], ...]

_KERNELS: Rules = ((r"(^|/)kernel$", "prune"), (".*", "keep"))
NAMED_RULES = ("kernels", "kernels_but_output", "everything")


def prunable(rules: str | Rules, params: Params, model: Model | None = None) -> PyTree:
    """For every leaf a Python bool: whether its entries may be pruned.

    Args:
        rules: pairs of (regular expression, ``"prune"`` or ``"keep"``), of which the first whose expression is found
            in a parameter's path decides, or the name of such rules. ``"kernels"`` prunes the kernels of encoder and
            head, and keeps biases, the scales and shifts of normalisations and a transformer's embeddings;
            ``"kernels_but_output"`` also keeps the head's last layer; ``"everything"`` prunes every leaf, as the
            released code of Random Teachers (arXiv 2302.12091) does.
        params: parameters or their shapes.
        model: whose they are, which ``"kernels_but_output"`` asks for its last layers.
    Raises:
        ArgumentError: no rules have that name, a rule has another action, there is nothing to prune, or the last layer
            is asked for and not declared.
        ConfigError: a rule is malformed or decides for no parameter, or a parameter is covered by none.

    >>> prunable("kernels", {"dense": {"bias": 1, "kernel": 2}})
    {'dense': {'bias': False, 'kernel': True}}
    """
    names = list(named_leaves(params))
    pairs = _named_rules(rules, model) if isinstance(rules, str) else rules
    for _, action in pairs:
        if action not in ("prune", "keep"):
            raise ArgumentError("rules", f"have the action {action!r} but it must be 'prune' or 'keep'")
    matches = first_matches([pattern for pattern, _ in pairs], names, "rules", "('.*', 'keep')")
    pruned = {name: pairs[index][1] == "prune" for name, index in matches.items()}
    if not any(pruned.values()):
        raise ArgumentError(
            "rules",
            f"keep all {len(names)} parameters but at least one must be prunable",
            "add a rule such as ('kernel$', 'prune')",
        )
    return map_named(lambda name, _: pruned[name], params)


def _named_rules(name: str, model: Model | None) -> Rules:
    if name not in NAMED_RULES:
        raise ArgumentError("rules", f"are {name!r}, which does not exist", did_you_mean(name, NAMED_RULES))
    if name == "everything":
        return ((".*", "prune"),)
    last = _last_layers(model) if name == "kernels_but_output" else ()
    return (*((f"^{re.escape(path)}/", "keep") for path in last), *_KERNELS)


def _last_layers(model: Model | None) -> tuple[str, ...]:
    if model is None or model.architecture is None or not model.architecture.last_layers:
        raise ArgumentError(
            "rules",
            "are 'kernels_but_output' but the model declares no last layer",
            "give rules that name it, such as (('^last/', 'keep'), ('kernel$', 'prune'), ('.*', 'keep'))",
        )
    return model.architecture.last_layers
