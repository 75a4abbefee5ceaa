"""Centred kernel alignment without the bias of few examples, as an average over minibatches."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.errors import check_range
from repcon_jax.probing.pairwise import centred, product
from repcon_jax.probing.similarity import SIMILARITIES, Similarity
from repcon_jax.records.scores import Score
from repcon_jax.typing import Key

_FEWEST_EXAMPLES = 4


@SIMILARITIES.register("minibatch_cka")
def build_minibatch_cka(*, batch_size: int = 256, epochs: int = 10) -> Similarity:
    """Linear CKA from unbiased estimates on minibatches, see ``minibatch_cka``.

    Args:
        batch_size: examples of a minibatch; where there are no more, all examples are one.
        epochs: how often the examples are divided anew.
    Raises:
        ArgumentError: the batch has fewer than four examples, or there is no epoch.
    """
    check_range("batch_size", batch_size, _FEWEST_EXAMPLES)
    check_range("epochs", epochs, 1)
    score = Score("minibatch CKA", about="linear CKA without the bias of few examples")
    return Similarity(
        lambda first, second, key: minibatch_cka(first, second, key, batch_size, epochs), score, _FEWEST_EXAMPLES
    )


@partial(jax.jit, static_argnames=("batch_size", "epochs"))
def minibatch_cka(
    first: Float[Array, "examples size"],
    second: Float[Array, "examples other"],
    key: Key,
    batch_size: int = 256,
    epochs: int = 10,
) -> Float[Array, ""]:
    """Linear CKA from averages of the unbiased HSIC over minibatches.

        CKA = mean_b HSIC_1(K_b, L_b) / sqrt(mean_b HSIC_1(K_b, K_b) mean_b HSIC_1(L_b, L_b))

    where K_b and L_b are the Gram matrices of minibatch b. Each average estimates that of all examples without bias,
    so that unrelated features score about 0, and possibly a little less, however few the examples. Examples beyond the
    last whole minibatch of an epoch are left out of that epoch.

    Args:
        first, second: features of the same examples, four at least, of any two sizes; NaN where one is constant.
        key: of the order of the examples.
        batch_size: examples of a minibatch.
        epochs: how often they are divided anew; once where all fit into a minibatch.

    Source: Nguyen et al., Do Wide and Deep Networks Learn the Same Things? (arXiv 2010.15327), equation 3; they divide
    ten times into minibatches of 256.
    """
    # HSIC does not depend on the origin, but its rounding does.
    first, second = centred(first), centred(second)
    size = min(batch_size, len(first))
    batches = len(first) // size
    keys = jax.random.split(key, epochs if batches > 1 else 1)
    orders = jax.vmap(lambda one: jax.random.permutation(one, len(first))[: batches * size])(keys)

    def estimates(rows: Array) -> Float[Array, "3"]:
        grams = [product(features[rows], features[rows].T) for features in (first, second)]
        return jnp.stack([unbiased_hsic(grams[i], grams[j]) for i, j in ((0, 1), (0, 0), (1, 1))])

    cross, first_own, second_own = jax.lax.map(estimates, orders.reshape(-1, size)).mean(0)
    # The product of both would overflow for features of 1e5 and vanish for those of 1e-6.
    return cross / jnp.sqrt(first_own) / jnp.sqrt(second_own)


def unbiased_hsic(
    first: Float[Array, "examples examples"], second: Float[Array, "examples examples"]
) -> Float[Array, ""]:
    """The unbiased estimate of the Hilbert-Schmidt independence criterion; its mean over subsets is that of the whole.

        HSIC_1(K, L) = (tr(K~ L~) + 1^T K~ 1 1^T L~ 1 / ((n - 1)(n - 2)) - 2 1^T K~ L~ 1 / (n - 2)) / (n (n - 3))

    where K~ and L~ are K and L with zeros on the diagonal.

    Args:
        first, second: symmetric kernel matrices K and L of the same n examples, four at least.

    Source: Song et al., Feature Selection via Dependence Maximization (JMLR 13, 2012), the estimator HSIC_1.
    """
    count = len(first)
    is_diagonal = jnp.eye(count, dtype=bool)
    first, second = jnp.where(is_diagonal, 0, first), jnp.where(is_diagonal, 0, second)
    first_sums, second_sums = first.sum(0), second.sum(0)
    pairs = jnp.sum(first * second)
    all_four = first_sums.sum() * second_sums.sum() / ((count - 1) * (count - 2))
    triples = 2 * jnp.sum(first_sums * second_sums) / (count - 2)
    return (pairs + all_four - triples) / (count * (count - 3))
