"""The shapes and types in the package's signatures are checked while the tests run."""

import jax.numpy as jnp
import jaxtyping
import pytest

from repcon_jax.losses import accuracy


def test_a_wrong_shape_is_caught_by_the_annotation():
    with pytest.raises(jaxtyping.TypeCheckError):
        accuracy(jnp.zeros((3, 2)), jnp.zeros((4,), jnp.int32))
