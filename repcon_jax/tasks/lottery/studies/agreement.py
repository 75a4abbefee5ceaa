"""How alike the tickets of different seeds are."""

import itertools
import math
from typing import Any

from repcon_jax.errors import ConfigError
from repcon_jax.lottery.masks import counts, intersection, mask_agreement, sign_agreement
from repcon_jax.lottery.prunable import prunable
from repcon_jax.records.results import spread
from repcon_jax.tasks.lottery.bench import LotteryBench
from repcon_jax.tasks.lottery.chains import end_of
from repcon_jax.tasks.lottery.studies import STUDIES, Study
from repcon_jax.tasks.lottery.tickets import Ticket
from repcon_jax.trees import named_leaves
from repcon_jax.typing import PyTree


@STUDIES.register("agreement")
def agreement() -> Study:
    """Over pairs of seeds: intersection over union of the masks, and the share of equal signs where both keep.

    Beside the masks' agreement stands the one that random masks of the same layerwise densities have on average, up to
    the ratio of expectations: sum_l d_l e_l n_l / sum_l (d_l + e_l - d_l e_l) n_l for densities d_l and e_l of a
    layer with n_l weights. Signs are those of the start and those at the end of the round. Only what may be pruned
    counts.
    """

    def measure(bench: LotteryBench, name: str, tickets: list[Ticket]) -> list[dict[str, Any]]:
        del name
        return [ticket.labels | _agreement(bench, ticket) for ticket in tickets]

    def check(bench: LotteryBench) -> None:
        if len(bench.states) < 2:
            raise ConfigError("studies has 'agreement' but there is one seed; set --config.training.num_seeds=2.")

    return Study("agreement", measure, check)


def _agreement(bench: LotteryBench, ticket: Ticket) -> dict[str, Any]:
    mask = next(iter(ticket.masks.values()))
    prunable_leaves = named_leaves(prunable(bench.config.prunable, mask, bench.experiment.model))
    chosen = {seed: _leaves(mask, prunable_leaves) for seed, mask in ticket.masks.items()}
    start = {seed: _leaves(network.params, prunable_leaves) for seed, network in ticket.starts.items()}
    end = {seed: _leaves(network.params, prunable_leaves) for seed, network in end_of(ticket).items()}
    pairs = list(itertools.combinations(chosen, 2))
    both = {(a, b): intersection(chosen[a], chosen[b]) for a, b in pairs}
    by_pair = {
        "masks": [mask_agreement(chosen[a], chosen[b]) for a, b in pairs],
        "masks_by_chance": [chance_agreement(chosen[a], chosen[b]) for a, b in pairs],
        "signs_at_start": [sign_agreement(start[a], start[b], both[a, b]) for a, b in pairs],
        "signs_at_end": [sign_agreement(end[a], end[b], both[a, b]) for a, b in pairs],
    }
    # Where two masks share nothing, no signs are compared.
    finite = {name: [value for value in values if math.isfinite(value)] for name, values in by_pair.items()}
    return {name: spread(values) if values else None for name, values in finite.items()}


def chance_agreement(first: PyTree, second: PyTree) -> float:
    """The intersection over union of random masks with the layerwise densities of two masks.

    >>> import numpy as np
    >>> half = {"w": np.array([True, False])}
    >>> round(chance_agreement(half, half), 3)
    0.333
    """
    both = either = 0.0
    for (a, total), (b, _) in zip(counts(first).values(), counts(second).values(), strict=True):
        expected = a * b / total if total else 0.0
        both, either = both + expected, either + a + b - expected
    return both / either if either else 1.0


def _leaves(tree: PyTree, prunable_leaves: dict[str, bool]) -> dict[str, Any]:
    return {name: leaf for name, leaf in named_leaves(tree).items() if prunable_leaves[name]}
