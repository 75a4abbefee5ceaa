"""Which parameters may be pruned, by ordered rules on their paths."""

from collections.abc import Callable, Iterable
from typing import Any

from repcon_jax.errors import ConfigError, did_you_mean
from repcon_jax.options.patterns import first_matches
from repcon_jax.trees import map_named, named_leaves
from repcon_jax.typing import Params, PyTree

Rules = tuple[tuple[str, str], ...]

_FIELD = "lottery.prunable"
_KERNELS: Rules = ((r"(^|/)kernel$", "prune"), (".*", "keep"))
# The module of the last layer, whichever of them the head has.
LAST_LAYERS = ("head/output/", "head/bottleneck/")


def prunable(rules: str | Rules, params: Params) -> PyTree:
    """For every leaf a Python bool: whether its entries may be pruned.

    Args:
        rules: pairs of (regular expression, ``"prune"`` or ``"keep"``), of which the first whose expression is found
            in a parameter's path decides, or the name of such rules. ``"kernels"`` prunes the kernels of encoder and
            head, and keeps biases, the scales and shifts of normalisations and a transformer's embeddings;
            ``"kernels_but_output"`` also keeps the head's last layer; ``"everything"`` prunes every leaf, as the
            released code of Random Teachers (arXiv 2302.12091) does.
        params: parameters or their shapes.
    Raises:
        ConfigError: no rules have that name, a rule is malformed or decides for no parameter, a parameter is covered
            by none, or there is nothing to prune.

    >>> prunable("kernels", {"dense": {"bias": 1, "kernel": 2}})
    {'dense': {'bias': False, 'kernel': True}}
    """
    names = list(named_leaves(params))
    pairs = _named_rules(rules, names) if isinstance(rules, str) else rules
    for _, action in pairs:
        if action not in ("prune", "keep"):
            raise ConfigError(f"{_FIELD} has the action {action!r} but it must be 'prune' or 'keep'; correct it.")
    matches = first_matches([pattern for pattern, _ in pairs], names, f"{_FIELD} rules", "('.*', 'keep')")
    may = {name: pairs[index][1] == "prune" for name, index in matches.items()}
    if not any(may.values()):
        raise ConfigError(
            f"{_FIELD} rules keep all {len(names)} parameters but at least one must be prunable; add a rule such as "
            "('kernel$', 'prune')."
        )
    return map_named(lambda name, _: may[name], params)


def _named_rules(name: str, paths: Iterable[str]) -> Rules:
    if name not in NAMED_RULES:
        raise ConfigError(f"{_FIELD} is {name!r}, which does not exist; {did_you_mean(name, NAMED_RULES)}.")
    return NAMED_RULES[name](list(paths))


def _kernels_but_output(paths: list[str]) -> Rules:
    for layer in LAST_LAYERS:
        if any(path.startswith(layer) for path in paths):
            return ((f"^{layer}", "keep"), *_KERNELS)
    raise ConfigError(
        f"{_FIELD} is 'kernels_but_output' but no parameter lies in {' or '.join(LAST_LAYERS)}; give rules that name "
        "the last layer, such as (('^last/', 'keep'), ('kernel$', 'prune'), ('.*', 'keep'))."
    )


NAMED_RULES: dict[str, Callable[[list[str]], Any]] = {
    "kernels": lambda paths: _KERNELS,
    "kernels_but_output": _kernels_but_output,
    "everything": lambda paths: ((".*", "prune"),),
}
