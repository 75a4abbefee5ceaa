"""Paths between parameter trees, as functions of a coordinate t in [0, 1]."""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.errors import TreeError
from repcon_jax.trees import check_same_shapes, distance, norm
from repcon_jax.typing import Params, PyTree, Scalar

Coordinate = Float[Array, ""]
Weights = Float[Array, " points"]
Curve = Literal["bezier", "polygonal"]


@functools.partial(jax.tree_util.register_dataclass, data_fields=["points"], meta_fields=["rule", "affine"])
@dataclasses.dataclass(frozen=True)
class Path:
    """A function t -> sum_i w_i(t) points[i], and a pytree: it may be an argument of jit, and t may be traced.

    At t = 0 the weights are exactly 1, 0, ..., 0 and at t = 1 exactly 0, ..., 0, 1, so the ends are those given,
    bit for bit as long as the points are finite (but for the sign of a zero). Where all points are equal, so is, bit
    for bit, every point of an affine path: a network has no barrier to itself.

    Args:
        points: tuple of trees of one structure, from start to end.
        rule: (points, t) -> weights [points].
        affine: whether the weights sum to 1 for every t, up to rounding.

    >>> linear_path({"w": jnp.array([0.0, 8.0])}, {"w": jnp.array([4.0, 0.0])})(0.25)["w"].tolist()
    [1.0, 6.0]
    """

    points: PyTree
    rule: Callable[[PyTree, Coordinate], Weights]
    affine: bool = True

    def weights(self, t: Scalar) -> Weights:
        """The points' weights w(t), [points]."""
        return self.rule(self.points, jnp.asarray(t, float))

    def __call__(self, t: Scalar) -> PyTree:
        """The tree at coordinate t, with the dtypes of the first point."""
        weights = self.weights(t)
        excess = 0.0 if self.affine else jnp.sum(weights) - 1

        def mix(*leaves: Array) -> Array:
            wide = [jnp.asarray(leaf, jnp.promote_types(jnp.result_type(leaf), weights.dtype)) for leaf in leaves]
            # As an offset from the heaviest point: (1 - t) x + t x is not always x in floating point.
            heaviest = jax.lax.select_n(jax.lax.argmax(weights, 0, jnp.int32), *wide)
            offset = sum(w * (leaf - heaviest) for w, leaf in zip(weights, wide, strict=True))
            return (heaviest + (offset + excess * heaviest)).astype(jnp.result_type(leaves[0]))

        return jax.tree.map(mix, *self.points)


def linear_path(start: PyTree, end: PyTree) -> Path:
    """The straight line (1 - t) start + t end.

    Args:
        start, end: trees of one structure.
    Raises:
        TreeError: their structures or shapes differ.

    Source: Goodfellow et al., arXiv 1412.6544, the linear path experiment.
    """
    return _path(_linear, (start, end))


def spherical_path(start: PyTree, end: PyTree) -> Path:
    """The great circle between two trees taken as vectors, with the norm interpolated linearly.

        r(t) (sin((1 - t) omega) start / |start| + sin(t omega) end / |end|) / sin(omega)

    where r(t) = (1 - t) |start| + t |end| is the norm at t and omega the angle between the ends. As omega goes to 0
    this becomes the straight line, smoothly; it is written with sin(x) / x, so nothing is divided by zero.

    Args:
        start, end: trees of one structure, neither zero nor opposite to each other. Where they are traced the
            latter two go unseen, and the result is NaN or a matter of rounding.
    Raises:
        TreeError: their structures or shapes differ, one is zero, or they are opposite, so that no great circle is
            the shortest.

    Source: Shoemake, Animating Rotation with Quaternion Curves (SIGGRAPH 1985), spherical linear interpolation.
    """
    path = _path(_spherical, (start, end), affine=False)
    _check_directions(start, end)
    return path


def piecewise_path(points: Sequence[PyTree]) -> Path:
    """The polygon through all points in turn, each segment over the same length of t.

    At an inner point the derivative is that of the segment behind it.

    Args:
        points: at least two trees of one structure; point i lies at t = i / (points - 1).
    Raises:
        TreeError: structures or shapes differ, or there are fewer than two points.
    """
    return _path(_piecewise, points)


def bezier_path(points: Sequence[PyTree]) -> Path:
    """The Bezier curve sum_i binomial(n, i) (1 - t)^(n - i) t^i points[i] of degree n = points - 1.

    Args:
        points: at least two trees of one structure; the curve passes through the first and the last only.
    Raises:
        TreeError: structures or shapes differ, or there are fewer than two points.

    Source: Garipov et al., arXiv 1802.10026, section 3.2 (degree 2).
    """
    return _path(_bezier, points)


def initial_bends(start: Params, end: Params, num_bends: int) -> Params:
    """Bends at equal distances on the straight line, from which the training of a curve starts.

    Args:
        start, end: trees of one structure.
        num_bends: at least 1.
    Returns:
        One tree whose leaves are [num_bends, ...].

    >>> initial_bends({"w": jnp.zeros(1)}, {"w": jnp.full(1, 4.0)}, 3)["w"].ravel().tolist()
    [1.0, 2.0, 3.0]
    """
    return jax.vmap(linear_path(start, end))(jnp.arange(1, num_bends + 1) / (num_bends + 1))


def curve(kind: Curve, start: Params, end: Params, bends: Params) -> Path:
    """The curve phi(t) between two networks whose inner control points are trained.

    Training minimises E_{t ~ U(0, 1)} loss(phi(t)) over the bends; see the objective ``curve``.

    Args:
        kind: ``bezier`` or ``polygonal``.
        start, end: the networks, trees of one structure.
        bends: the inner points, a tree with leaves [bends, ...].
    Raises:
        TreeError: structures or shapes differ.

    Source: Garipov et al., arXiv 1802.10026, section 3.1, equation 2, and section 3.2.
    """
    num_bends = jax.tree.leaves(bends)[0].shape[0]
    inner = [jax.tree.map(lambda leaf, i=i: leaf[i], bends) for i in range(num_bends)]
    return {"bezier": bezier_path, "polygonal": piecewise_path}[kind]((start, *inner, end))


def _linear(points: PyTree, t: Coordinate) -> Weights:
    del points
    return jnp.stack([1 - t, t])


def _spherical(points: PyTree, t: Coordinate) -> Weights:
    (start, end), angle = _lengths_and_angle(*points)
    # sin(x omega) / sin(omega) = x sinc(x omega) / sinc(omega), smooth at omega = 0; jnp.sinc has pi in its argument.
    turns, linear = angle / jnp.pi, jnp.stack([1 - t, t])
    arc = linear * jnp.sinc(linear * turns) / jnp.sinc(turns)
    weights = ((1 - t) * start + t * end) * arc / jnp.stack([start, end])
    # Quotients round, on some devices even x / x; as a constant the correction leaves the derivative as it is.
    is_end = (t == 0) | (t == 1)
    return weights + jax.lax.stop_gradient(jnp.where(is_end, linear - weights, 0))


def _piecewise(points: PyTree, t: Coordinate) -> Weights:
    segments = len(points) - 1
    position = t * segments
    segment = jnp.clip(jnp.floor(position), 0, segments - 1)
    within = position - jax.lax.stop_gradient(segment)
    index = jnp.arange(segments + 1)
    return jnp.where(index == segment, 1 - within, jnp.where(index == segment + 1, within, 0))


def _bezier(points: PyTree, t: Coordinate) -> Weights:
    degree = len(points) - 1
    return jnp.stack([math.comb(degree, i) * (1 - t) ** (degree - i) * t**i for i in range(degree + 1)])


def _lengths_and_angle(start: PyTree, end: PyTree) -> tuple[tuple[Coordinate, Coordinate], Coordinate]:
    lengths = norm(start), norm(end)
    first, second = (
        jax.tree.map(lambda leaf, length=length: leaf / length, tree)
        for tree, length in zip((start, end), lengths, strict=True)
    )
    # The arc cosine of their inner product would lose half the digits of a small angle.
    total = jax.tree.map(jnp.add, first, second)
    return lengths, 2 * jnp.arctan2(distance(first, second), norm(total))


def _check_directions(start: PyTree, end: PyTree) -> None:
    lengths, angle = _lengths_and_angle(start, end)
    if isinstance(angle, jax.core.Tracer):
        return
    for i, length in enumerate(lengths):
        if length == 0:
            raise TreeError(f"'point {i}' is zero, which has no direction to turn from; take the path 'linear'.")
    if angle > math.pi - 1e-3:
        raise TreeError(
            "'point 0' and 'point 1' are opposite to each other, so every great circle joins them; take the path "
            "'linear' or a 'piecewise' one through a point of your choice."
        )


def _path(rule: Callable[[PyTree, Coordinate], Weights], points: Sequence[PyTree], *, affine: bool = True) -> Path:
    if len(points) < 2:
        raise TreeError(f"a path is given by {len(points)} points but needs at least 2; give its start and its end.")
    check_same_shapes({f"point {i}": point for i, point in enumerate(points)})
    return Path(tuple(points), rule, affine)


def _between_two(kind: str, build: Callable[[PyTree, PyTree], Path]) -> Callable[[Sequence[PyTree]], Path]:
    def checked(points: Sequence[PyTree]) -> Path:
        if len(points) != 2:
            raise TreeError(
                f"a path of kind {kind!r} is given by {len(points)} points but needs exactly 2; "
                "take 'piecewise' or 'bezier' for more."
            )
        return build(*points)

    return checked


PATHS: dict[str, Callable[[Sequence[PyTree]], Path]] = {
    "linear": _between_two("linear", linear_path),
    "spherical": _between_two("spherical", spherical_path),
    "piecewise": piecewise_path,
    "bezier": bezier_path,
}
