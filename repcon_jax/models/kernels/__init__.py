"""How layers are computed where the compiler needs help; the README here says when each is taken and what it gains."""

from repcon_jax.models.kernels.convolution import ConvolutionName, choose_convolution
from repcon_jax.models.kernels.elementwise import gelu, materialised
from repcon_jax.models.kernels.patches import Images, Maps
from repcon_jax.models.kernels.pooling import max_pool
from repcon_jax.models.kernels.products import linear_map

__all__ = [
    "ConvolutionName",
    "Images",
    "Maps",
    "choose_convolution",
    "gelu",
    "linear_map",
    "materialised",
    "max_pool",
]
