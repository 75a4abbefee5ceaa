"""What a probe is, and the registry that finds the files of ``repcon_jax/probing/probes/``."""

from collections.abc import Callable
from typing import Any

from jaxtyping import Array, Float

from repcon_jax.options.registry import Registry

Details = dict[str, Any]
Probe = Callable[..., tuple[Float[Array, ""], Details]]
"""``probe(train_features, train_labels, test_features, test_labels, num_classes, key) -> (accuracy, details)``.

Features are float32 [examples, features], labels int32 [examples] in 0 .. num_classes - 1; the accuracy is a
float32 scalar in [0, 1], the details are named scalars such as the regularisation that was chosen.
"""

PROBES = Registry("probe", "repcon_jax.probing.probes")
