"""A small plain convolutional network: a VGG with one convolution per stage."""

from repcon_jax.errors import check_range
from repcon_jax.models.encoders.vgg import Vgg, architecture
from repcon_jax.models.kernels import ConvolutionName
from repcon_jax.models.layers import ComputeType, scale_width
from repcon_jax.models.model import Model, from_linen
from repcon_jax.models.normalisation import Normalisation, check_batch_norm_parts
from repcon_jax.models.registries import ENCODERS


@ENCODERS.register("convnet")
def convnet(
    *,
    normalisation: Normalisation = "none",
    batch_norm_parts: int = 1,
    width: float = 1.0,
    num_stages: int = 4,
    dtype: ComputeType = "float32",
    convolution: ConvolutionName = "auto",
    rematerialise: bool = False,
) -> Model:
    """Stages of 3x3 convolution, normalisation, ReLU and 2x2 max pool with 64, 128, 256, ... channels, then flattened.

    Args:
        normalisation: layer after every convolution.
        batch_norm_parts: equal parts of the batch, each with batch norm statistics of its own; 1 is the whole batch.
        width: factor on every layer's channels, positive.
        num_stages: number of stages, at least 1; every stage halves the image.
        dtype: type of the computation; parameters and embeddings are float32.
        convolution: how to compute convolutions; ``auto`` chooses by platform.
        rematerialise: whether each stage is computed again in the backward pass, which saves memory and costs time.
    Raises:
        ArgumentError: the width, the number of stages or of parts is out of range.
    """
    check_range("num_stages", num_stages, 1)
    check_batch_norm_parts(batch_norm_parts, normalisation)
    channels = tuple(scale_width(64 * 2**i, width) for i in range(num_stages))
    options = (normalisation, batch_norm_parts, dtype, convolution, rematerialise)
    depths = (1,) * num_stages
    return from_linen(Vgg(channels, depths, *options), architecture(depths, normalisation))
