"""Colour arithmetic on float images in [0, 1]."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def luminance(images: Float[Array, "b h w c"]) -> Float[Array, "b h w 1"]:
    """0.2989 R + 0.587 G + 0.114 B (ITU-R 601, as torchvision and PIL); the channel itself where there is one."""
    if images.shape[-1] == 1:
        return images
    red, green, blue = (images[..., i : i + 1] for i in range(3))
    return 0.2989 * red + 0.587 * green + 0.114 * blue


def shift_hue(images: Float[Array, "b h w 3"], turns: Float[Array, "b 1 1"]) -> Float[Array, "b h w 3"]:
    """Turns the hue in HSV space by ``turns`` of a full circle, leaving saturation and value.

    With V the largest channel, C the largest minus the smallest and the hue H in [0, 6), channel n of the result is
    V - C max(0, min(k, 4 - k, 1)) with k = (n + H) mod 6 and n = 5, 3, 1 for red, green and blue.

    Source: A. R. Smith, Color gamut transform pairs, SIGGRAPH 1978.
    """
    red, green, blue = (images[..., i] for i in range(3))
    value, smallest = images.max(-1), images.min(-1)
    chroma = value - smallest
    safe = jnp.where(chroma > 0, chroma, 1.0)
    hue = jnp.where(
        value == red,
        (green - blue) / safe,
        jnp.where(value == green, 2.0 + (blue - red) / safe, 4.0 + (red - green) / safe),
    )
    hue = hue + 6.0 * turns
    # x - 6 floor(x / 6) is x mod 6; XLA's remainder is several times slower on the CPU.
    k = [x - 6.0 * jnp.floor(x / 6.0) for x in (5.0 + hue, 3.0 + hue, 1.0 + hue)]
    return jnp.stack([value - chroma * jnp.clip(jnp.minimum(x, 4.0 - x), 0.0, 1.0) for x in k], axis=-1)
