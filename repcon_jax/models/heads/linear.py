"""The linear classifier."""

from typing import Literal

from flax import linen as nn
from jaxtyping import Array, Float

from repcon_jax.errors import ArgumentError, check_range
from repcon_jax.models.architecture import INPUTS, Architecture, Layer
from repcon_jax.models.layers import Linear
from repcon_jax.models.model import Model, from_linen
from repcon_jax.models.registries import HEADS


class LinearHead(nn.Module):
    """One linear layer in float32."""

    num_classes: int
    use_bias: bool
    initialisation: Literal["uniform", "zeros"]

    @nn.compact
    def __call__(
        self, embedding: Float[Array, "batch size"], train: bool
    ) -> tuple[Float[Array, "batch classes"], dict[str, Array]]:
        logits = Linear(self.num_classes, self.initialisation, self.use_bias, name="output")(embedding)
        return logits, {"logits": logits}


@HEADS.register("linear")
def linear(
    *, num_classes: int | None = None, bias: bool = True, initialisation: Literal["default", "zeros"] = "default"
) -> Model:
    """Logits ``embedding W + b``.

    Args:
        num_classes: number of logits; in a run None stands for the number of classes of its data.
        bias: whether there is a bias.
        initialisation: ``default`` is PyTorch's U(+-1/sqrt(inputs)) for kernel and bias; ``zeros`` starts at the
            uniform prediction.
    Raises:
        ArgumentError: there is no class.
    """
    if num_classes is None:
        raise ArgumentError("num_classes", "is None but must be a number of classes", "give it, such as num_classes=10")
    check_range("num_classes", num_classes, 1)
    module = LinearHead(num_classes, bias, "uniform" if initialisation == "default" else "zeros")
    return from_linen(module, Architecture((Layer("output", INPUTS, None),), last_layers=("output",)))
