"""A small plain convolutional network: a VGG with one convolution per stage."""

from repcon_jax.errors import check_range
from repcon_jax.models.convolution import ConvolutionName
from repcon_jax.models.encoders.vgg import Vgg
from repcon_jax.models.layers import ComputeType, scale_width
from repcon_jax.models.model import Model, from_linen
from repcon_jax.models.normalisation import Normalisation
from repcon_jax.models.registries import ENCODERS


@ENCODERS.register("convnet")
def convnet(
    *,
    normalisation: Normalisation = "none",
    width: float = 1.0,
    num_stages: int = 4,
    dtype: ComputeType = "float32",
    convolution: ConvolutionName = "auto",
) -> Model:
    """Stages of 3x3 convolution, normalisation, ReLU and 2x2 max pool with 64, 128, 256, ... channels, then flattened.

    Args:
        normalisation: layer after every convolution.
        width: factor on every layer's channels, positive.
        num_stages: number of stages, at least 1; every stage halves the image.
        dtype: type of the computation; parameters and embeddings are float32.
        convolution: how to compute convolutions; ``auto`` chooses by platform.
    Raises:
        ConfigError: the width or the number of stages is out of range.
    """
    check_range("encoder.num_stages", num_stages, 1)
    channels = tuple(scale_width(64 * 2**i, width) for i in range(num_stages))
    return from_linen(Vgg(channels, (1,) * num_stages, normalisation, dtype, convolution))
