"""Fewer features than there were, with the same optimum for everything linear that is penalised by its norm."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


@jax.jit
def reduce_to_span(
    train: Float[Array, "train features"], test: Float[Array, "test features"]
) -> tuple[Float[Array, "train reduced"], Float[Array, "test reduced"]]:
    """Coordinates in the span of the training examples, where these are fewer than the features.

        train^T = Q R,   train -> R^T = train Q,   test -> test Q,   Q orthonormal [features, examples]

    A kernel W that minimises any loss of ``train @ W`` plus a penalty that grows with ||W|| lies in that span, W = Q V,
    with ||W|| = ||V||: fitting V to the coordinates gives the same logits, on test examples too.

    Args:
        train: [train, features].
        test: [test, features].
    Returns:
        Both with min(train, features) features; unchanged where there are no fewer examples than features.

    Source: the representer theorem, Schoelkopf et al., A Generalized Representer Theorem (2001), theorem 1.
    """
    if train.shape[0] >= train.shape[1]:
        return train, test
    basis, triangular = jnp.linalg.qr(train.T)
    return triangular.T, jnp.matmul(test, basis, precision=jax.lax.Precision.HIGHEST)
