"""Densities in given ratios."""

from repcon_jax.errors import check_range
from repcon_jax.lottery.allocation import DISTRIBUTIONS, PrunableLeaf
from repcon_jax.lottery.counting import exact, share
from repcon_jax.options.patterns import first_matches


@DISTRIBUTIONS.register("by_layer")
def by_layer(
    layers: dict[str, PrunableLeaf], kept: int, *, targets: tuple[tuple[str, float], ...] = ()
) -> dict[str, int]:
    """Densities in proportion to targets, at most 1.

    Only the targets' ratios matter, since the overall count is given: it is the density of the round. Where that is
    the density which the targets come to together, they are the layers' densities.

    Args:
        layers: by path.
        kept: overall count.
        targets: pairs of (regular expression, target in (0, 1]); the first expression found in a layer's path decides
            and every prunable layer must be covered.
    Raises:
        ArgumentError: a target is not in (0, 1].
        ConfigError: a layer is not covered, or an expression decides for no layer.
    """
    for _, target in targets:
        check_range("targets", target, 0, 1, open_low=True)
    matches = first_matches([pattern for pattern, _ in targets], layers, "distribution.targets", "('.*', 1.0)")
    weights = {name: exact(targets[matches[name]][1]) * layer.total for name, layer in layers.items()}
    return share(kept, weights, {name: layer.kept for name, layer in layers.items()})
