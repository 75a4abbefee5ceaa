"""Whether examples have the same nearest neighbours in two representations."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from repcon_jax.errors import check_range
from repcon_jax.probing.pairwise import product
from repcon_jax.probing.similarity import SIMILARITIES, Similarity
from repcon_jax.probing.standardisation import normalise_features
from repcon_jax.records.scores import Score


@SIMILARITIES.register("mutual_knn")
def build_mutual_knn(*, neighbours: int = 10, chunk_size: int = 256) -> Similarity:
    """The share of nearest neighbours that two representations have in common, see ``mutual_knn``.

    Args:
        neighbours: of every example, k; at least one more example is needed.
        chunk_size: examples whose neighbours are sought at once.
    Raises:
        ArgumentError: a number is not positive.
    """
    check_range("neighbours", neighbours, 1)
    check_range("chunk_size", chunk_size, 1)
    score = Score("mutual neighbours", "fraction", about=f"the share of the {neighbours} nearest that are common")
    return Similarity(
        lambda first, second, key: mutual_knn(first, second, neighbours, chunk_size), score, neighbours + 1
    )


@partial(jax.jit, static_argnames=("neighbours", "chunk_size"))
def mutual_knn(
    first: Float[Array, "examples size"],
    second: Float[Array, "examples other"],
    neighbours: int = 10,
    chunk_size: int = 256,
) -> Float[Array, ""]:
    """The mean share of nearest neighbours in common, in [0, 1]; unrelated features have about k / (examples - 1).

        mean_i |S(x_i) & S(y_i)| / k,   S: the k other examples of largest cosine

    Of equally near examples the first ones count.

    Args:
        first, second: features of the same examples, of any two sizes; finite, for NaN has neighbours too.
        neighbours: k, less than the number of examples.
        chunk_size: examples whose neighbours are sought at once; memory is chunk_size * examples * 8 bytes.

    Source: Huh et al., The Platonic Representation Hypothesis (arXiv 2405.07987), appendix A.

    >>> x = jnp.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
    >>> float(mutual_knn(x, 3 * x, neighbours=1))
    1.0
    """
    both = [normalise_features(features, features, "l2")[0] for features in (first, second)]
    places = jnp.arange(len(first))

    def nearest(features: Array, place: Int[Array, ""]) -> Int[Array, " neighbours"]:
        cosines = product(features, features[place][:, None])[:, 0]
        return jax.lax.top_k(jnp.where(places == place, -jnp.inf, cosines), neighbours)[1]

    def shared(place: Int[Array, ""]) -> Int[Array, ""]:
        own, other = (nearest(features, place) for features in both)
        return jnp.sum(own[:, None] == other)

    return jnp.mean(jax.lax.map(shared, places, batch_size=chunk_size)) / neighbours
