"""A multilayer perceptron on flattened images."""

from flax import linen as nn
from jaxtyping import Array, Float

from repcon_jax.errors import ArgumentError, check_range
from repcon_jax.models.architecture import Architecture, Layer
from repcon_jax.models.kernels import Images, gelu
from repcon_jax.models.layers import ComputeType, Linear
from repcon_jax.models.model import Model, from_linen
from repcon_jax.models.normalisation import Normalisation, Normalise, check_batch_norm_parts
from repcon_jax.models.registries import ENCODERS


class Mlp(nn.Module):
    """Layers of linear map, normalisation and exact GELU; the embedding is the last layer's output."""

    widths: tuple[int, ...]
    normalisation: Normalisation
    batch_norm_parts: int
    dtype: str

    @nn.compact
    def __call__(self, images: Images, train: bool) -> tuple[Float[Array, "batch size"], dict[str, Array]]:
        x, features = images.reshape(images.shape[0], -1), {}
        for i, width in enumerate(self.widths, 1):
            x = Linear(width, dtype=self.dtype, name=f"linear{i}")(x)
            x = Normalise(self.normalisation, self.dtype, self.batch_norm_parts, name=f"norm{i}")(x, train)
            x = features[f"layer{i}"] = gelu(x)
        return x, features | {"embedding": x}


@ENCODERS.register("mlp")
def mlp(
    *,
    widths: tuple[int, ...] = (512, 512),
    normalisation: Normalisation = "none",
    batch_norm_parts: int = 1,
    dtype: ComputeType = "float32",
) -> Model:
    """Flattened images through layers of linear map, normalisation and exact GELU.

    Kernels and biases are U(+-1/sqrt(inputs)), as in torch.nn.Linear.

    Args:
        widths: sizes of the layers; the last is the embedding's.
        normalisation: layer before every GELU; a vector has no pixels, so ``instance`` is not possible.
        batch_norm_parts: equal parts of the batch, each with batch norm statistics of its own; 1 is the whole batch.
        dtype: type of the computation; parameters and embeddings are float32.
    Raises:
        ArgumentError: there is no layer, or a width or the number of parts is not positive.
    """
    if not widths:
        raise ArgumentError("widths", "is () but must name at least one layer's width")
    for width in widths:
        check_range("widths", width, 1)
    check_batch_norm_parts(batch_norm_parts, normalisation)
    module = Mlp(tuple(widths), normalisation, batch_norm_parts, dtype)
    return from_linen(module, _architecture(len(widths), normalisation))


def _architecture(depth: int, normalisation: Normalisation) -> Architecture:
    numbers = range(1, depth + 1)
    units = [None, *(f"linear{i}" for i in numbers)]
    layers = (Layer(f"linear{i}", units[i - 1], units[i], f"norm{i}", normalisation, gelu) for i in numbers)
    return Architecture(tuple(layers), embedding=units[-1], blocks=tuple(f"layer{i}" for i in numbers))
