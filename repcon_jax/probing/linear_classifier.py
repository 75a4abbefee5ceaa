"""A linear classifier as a tree of two arrays: ``{"kernel": [features, classes], "bias": [classes]}``."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.typing import Key, Params


def init_linear_classifier(key: Key, num_features: int, num_classes: int) -> Params:
    """Kernel and bias uniform on (-b, b), b = 1 / sqrt(num_features): the default of PyTorch's linear layer."""
    kernel_key, bias_key = jax.random.split(key)
    bound = num_features**-0.5
    return {
        "kernel": jax.random.uniform(kernel_key, (num_features, num_classes), minval=-bound, maxval=bound),
        "bias": jax.random.uniform(bias_key, (num_classes,), minval=-bound, maxval=bound),
    }


def linear_logits(classifier: Params, features: Float[Array, "examples features"]) -> Float[Array, "examples classes"]:
    """features @ kernel + bias, in full float32 on every platform."""
    return jnp.dot(features, classifier["kernel"], precision=jax.lax.Precision.HIGHEST) + classifier["bias"]
