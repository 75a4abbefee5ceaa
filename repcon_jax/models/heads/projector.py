"""The projector of Random Teachers and DINO: an MLP and a bottleneck of unit features against unit prototypes.

Source: arXiv 2302.12091, Section 3 and Appendix B; Caron et al., arXiv 2104.14294.
"""

from flax import linen as nn
from jaxtyping import Array, Float

from repcon_jax.errors import ArgumentError, check_range
from repcon_jax.models.architecture import INPUTS, Architecture, Layer
from repcon_jax.models.kernels import gelu
from repcon_jax.models.layers import ComputeType, Linear, l2_normalise
from repcon_jax.models.model import Model, from_linen
from repcon_jax.models.registries import HEADS


class Half(nn.Module):
    """One half of the bottleneck: a linear layer, if it has a size, then the features' normalisation, if on.

    In full float32 precision on every platform: the divergence of student from teacher starts at 1e-4 to 1e-3, which
    the shortened products that GPUs and TPUs use by default would blur.
    """

    size: int | None
    use_bias: bool
    weight_normalisation: bool
    feature_normalisation: bool

    @nn.compact
    def __call__(self, x: Float[Array, "batch size"]) -> Float[Array, "batch features"]:
        if self.size is not None:
            normalise = self.weight_normalisation
            x = Linear(self.size, "normal", self.use_bias, normalise, precision="highest", name="linear")(x)
        return l2_normalise(x) if self.feature_normalisation else x


class Projector(nn.Module):
    """Hidden layers with exact GELU, then the two halves of the bottleneck."""

    hidden_sizes: tuple[int, ...]
    dtype: str
    bottleneck: Half
    output: Half

    @nn.compact
    def __call__(
        self, embedding: Float[Array, "batch size"], train: bool
    ) -> tuple[Float[Array, "batch outputs"], dict[str, Array]]:
        x, features = embedding, {}
        for i, size in enumerate(self.hidden_sizes, 1):
            x = Linear(size, "normal", dtype=self.dtype, name=f"hidden{i}")(x)
            x = features[f"hidden{i}"] = gelu(x)
        bottleneck = self.bottleneck(x.astype("float32"))
        logits = self.output(bottleneck)
        return logits, features | {"bottleneck": bottleneck, "logits": logits}


@HEADS.register("projector")
def projector(
    *,
    hidden_sizes: tuple[int, ...] = (2048, 2048),
    bottleneck_size: int | None = 256,
    bottleneck_bias: bool = True,
    bottleneck_weight_normalisation: bool = False,
    feature_normalisation: bool = True,
    output_size: int | None = 65536,
    output_bias: bool = False,
    weight_normalisation: bool = True,
    output_feature_normalisation: bool = False,
    dtype: ComputeType = "float32",
) -> Model:
    """Logits ``z W / |W|`` with ``z = h / |h|`` and ``h`` a linear map of an MLP of the embedding.

    Kernels are drawn from N(0, 0.02^2) and biases are zero. The defaults are the paper's text; the released code of
    December 2022 and later equals ``weight_normalisation=False``. Appendix B's single linear layer followed by feature
    normalisation is ``bottleneck_size=N, output_size=None``.

    Args:
        hidden_sizes: sizes of the hidden layers, each followed by an exact GELU.
        bottleneck_size: outputs of the bottleneck's first linear layer; None leaves the layer out.
        bottleneck_bias: whether that layer has a bias.
        bottleneck_weight_normalisation: whether that layer's weight has one unit vector per output.
        feature_normalisation: whether features are divided by their norm between the two layers.
        output_size: outputs of the bottleneck's second linear layer; None leaves the layer out.
        output_bias: whether that layer has a bias.
        weight_normalisation: whether that layer's weight has one unit vector per output, without gain.
        output_feature_normalisation: whether the logits are divided by their norm.
        dtype: type of the hidden layers' computation; the bottleneck is computed in float32.
    Raises:
        ArgumentError: a size is not positive, or both linear layers are left out.
    """
    for size in hidden_sizes:
        check_range("hidden_sizes", size, 1)
    if bottleneck_size is None and output_size is None:
        raise ArgumentError("output_size", "and bottleneck_size are both None but one of them must be a size")
    for argument, size in (("bottleneck_size", bottleneck_size), ("output_size", output_size)):
        if size is not None:
            check_range(argument, size, 1)
    bottleneck = Half(bottleneck_size, bottleneck_bias, bottleneck_weight_normalisation, feature_normalisation)
    output = Half(output_size, output_bias, weight_normalisation, output_feature_normalisation)
    module = Projector(tuple(hidden_sizes), dtype, bottleneck, output)
    return from_linen(module, _architecture(len(hidden_sizes), bottleneck, output))


def _architecture(depth: int, bottleneck: Half, output: Half) -> Architecture:
    """A group for each layer but the last: a division by the norm commutes with permuting what is divided."""
    layers, blocks, units = [], [f"hidden{i}" for i in range(1, depth + 1)], INPUTS
    for hidden in blocks:
        layers.append(Layer(hidden, units, hidden, activation=gelu))
        units = hidden
    halves = [(name, half) for name, half in (("bottleneck", bottleneck), ("output", output)) if half.size is not None]
    for name, half in halves:
        path, is_last = f"{name}/linear", name == halves[-1][0]
        divided = name == "output" and bottleneck.feature_normalisation
        writes = None if is_last else path
        layers.append(Layer(path, units, writes, unit_inputs=divided, unit_kernel=half.weight_normalisation))
        units = path
    return Architecture(tuple(layers), last_layers=(layers[-1].path,), blocks=(*blocks, "bottleneck"))
