"""No head at all, for networks that end with their embedding."""

from flax import linen as nn
from jaxtyping import Array, Float

from repcon_jax.models.model import Model, from_linen
from repcon_jax.models.registries import HEADS


class IdentityHead(nn.Module):
    """Gives what it is given."""

    @nn.compact
    def __call__(
        self, embedding: Float[Array, "batch size"], train: bool
    ) -> tuple[Float[Array, "batch size"], dict[str, Array]]:
        return embedding, {"logits": embedding}


@HEADS.register("identity")
def identity() -> Model:
    """Logits that are the embedding; it has no parameters, and declares no layers, since it has none."""
    return from_linen(IdentityHead())
