"""The average of networks."""

from collections.abc import Sequence

from repcon_jax.errors import ArgumentError
from repcon_jax.merging.method import MERGING_METHODS, Merge, check_mergeable
from repcon_jax.models import Network
from repcon_jax.trees import combine


@MERGING_METHODS.register("average")
def average(*, weights: tuple[float, ...] = ()) -> Merge:
    """sum_i w_i theta_i / sum_i w_i, parameters and batch norm statistics alike.

    An average of networks with batch normalisation needs its statistics measured anew, see
    ``repcon_jax.models.recalibration``; a study does so.

    Args:
        weights: one a network; () takes all the same.
    Raises:
        ArgumentError: the weights sum to zero, or they are not as many as the networks.

    Source: Wortsman et al., Model soups (arXiv 2203.05482), section 2, for the uniform soup.
    """
    if weights and sum(weights) == 0:
        raise ArgumentError("weights", f"is {weights!r}, which sums to zero", "give weights with another sum")

    def merge(networks: Sequence[Network]) -> Network:
        check_mergeable(networks)
        if weights and len(weights) != len(networks):
            raise ArgumentError("weights", f"has {len(weights)} entries for {len(networks)} networks", "give one each")
        given = weights or (1.0,) * len(networks)
        shares = [weight / sum(given) for weight in given]
        params, state = (
            combine([getattr(network, part) for network in networks], shares) for part in ("params", "model_state")
        )
        return networks[0].replace(params=params, model_state=state)

    return merge
