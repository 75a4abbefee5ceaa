"""Planes in parameter space: between two coordinates and the networks that lie on a plane, both ways."""

from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from repcon_jax.errors import ArgumentError, TreeError, did_you_mean
from repcon_jax.trees import check_same_shapes, combine, dot
from repcon_jax.typing import Params, PyTree

Origin = Literal["first", "mean", "minimum_norm"]
Basis = Literal["raw", "orthonormal", "orthonormal_rms"]
Extent = tuple[float, float, float, float]

# Networks closer than this, relative to their norm, differ by little but the rounding of their float32 entries.
ROUNDING = 4 * float(np.finfo(np.float32).eps)


class Plane(NamedTuple):
    """A plane of networks, as data: an argument of jit, and of vmap with ``in_axes=None``.

    The network at coordinates c is ``base + p_1 first_axis + p_2 second_axis`` with ``p = (c - anchors[0]) @ basis``.
    Networks that are close to each other keep their digits, since only differences from ``base`` are ever projected.

    Attributes:
        base: the first anchor, or the centre.
        first_axis, second_axis: orthonormal trees of float32 along the plane.
        basis: rows are the two basis vectors in these axes, [2, 2].
        inverse: takes inner products with these axes to coordinates, [2, 2].
        anchors: the coordinates of the three points, one in each row, [3, 2].
    """

    base: Params
    first_axis: PyTree
    second_axis: PyTree
    basis: Float[Array, "2 2"]
    inverse: Float[Array, "2 2"]
    anchors: Float[Array, "3 2"]


def plane_through(
    first: Params, second: Params, third: Params, *, origin: Origin = "first", basis: Basis = "raw"
) -> Plane:
    """The plane through three networks.

    With u = second - first and v = third - first, the network at coordinates (x, y) is origin + x b_1 + y b_2.

    Args:
        first, second, third: trees of one structure, not on one line; not traced, as sums are in float64 on the host.
        origin: the network at (0, 0). ``"first"``; ``"mean"`` of the three; ``"minimum_norm"``, the point of the
            plane that is nearest to all parameters zero.
        basis: ``"raw"`` is b_1 = u, b_2 = v. ``"orthonormal"`` is Gram-Schmidt of u and v in this order, so that a
            coordinate is a Euclidean distance. ``"orthonormal_rms"`` scales these to a root-mean-square entry of 1,
            which is a Euclidean length of sqrt(number of parameters), so that a coordinate is the RMS change per
            parameter.
    Raises:
        TreeError: the trees differ in structure or shape, or lie on one line to within float32 rounding.
        ArgumentError: an unknown origin or basis.

    >>> corner, right, top = ({"w": jnp.array(point)} for point in ([1.0, 1.0], [3.0, 1.0], [1.0, 5.0]))
    >>> plane = plane_through(corner, right, top, basis="orthonormal")
    >>> plane.anchors.tolist()
    [[0.0, 0.0], [2.0, 0.0], [0.0, 4.0]]
    >>> map_to_tree(plane, jnp.array([1.0, 2.0]))["w"].tolist()
    [2.0, 3.0]
    """
    _check_choice("origin", origin, Origin)
    check_same_shapes({"first": first, "second": second, "third": third})
    base, *others = map(_on_host, (first, second, third))
    spans = [[leaf - start for leaf, start in zip(leaves, base, strict=True)] for leaves in others]
    rounding = ROUNDING * max(_host_norm(leaves) for leaves in (base, *others))
    axes, frame = _gram_schmidt(spans, rounding, "the three networks", "networks that are not on one line")
    offset = {
        "first": np.zeros(2),
        "mean": frame.sum(axis=0) / 3,
        "minimum_norm": np.array([-_host_dot(axis, base) for axis in axes]),
    }[origin]
    return _assemble(first, axes, frame, offset, basis)


def plane_along(centre: Params, first_direction: PyTree, second_direction: PyTree, *, basis: Basis = "raw") -> Plane:
    """The plane through a network along two directions, with the network at coordinates (0, 0).

    Args:
        centre: the network.
        first_direction, second_direction: u and v, trees of the same structure, neither zero nor parallel.
        basis: as in ``plane_through``; the anchors are centre, centre + u and centre + v.
    Raises:
        TreeError: the trees differ in structure or shape, or the directions are parallel to within float32 rounding.
        ArgumentError: an unknown basis.
    """
    check_same_shapes({"centre": centre, "first_direction": first_direction, "second_direction": second_direction})
    spans = [_on_host(first_direction), _on_host(second_direction)]
    axes, frame = _gram_schmidt(spans, 0.0, "the centre and its two directions", "directions that are not parallel")
    return _assemble(centre, axes, frame, np.zeros(2), basis)


def map_to_tree(plane: Plane, coordinates: Float[Array, "2"]) -> Params:
    """The network at some coordinates, ``[2]``; affine, and at an anchor's coordinates that anchor to rounding."""
    position = _exact(coordinates - plane.anchors[0], plane.basis)
    step = combine([plane.first_axis, plane.second_axis], position)
    return jax.tree.map(lambda base, change: (base + change).astype(base.dtype), plane.base, step)


def project(plane: Plane, tree: Params) -> Float[Array, "2"]:
    """The coordinates of the point of the plane that is nearest to a tree: argmin_c ||tree - map_to_tree(c)||."""
    return plane.anchors[0] + _exact(_products(plane, _from_base(plane, tree)), plane.inverse)


def residual(plane: Plane, tree: Params) -> PyTree:
    """The part of a tree off the plane, tree - map_to_tree(project(tree)), in float32 and orthogonal to the plane."""
    difference = _from_base(plane, tree)
    position = _exact(_exact(_products(plane, difference), plane.inverse), plane.basis)
    return combine([difference, plane.first_axis, plane.second_axis], [1.0, -position[0], -position[1]])


def grid(extent: Extent, resolution: tuple[int, int]) -> Float[Array, "points 2"]:
    """Coordinates of a regular grid with both ends, row by row from the lowest: values.reshape(n_y, n_x) is an image.

    Args:
        extent: (x_min, x_max, y_min, y_max).
        resolution: (n_x, n_y), each at least 1.
    Returns:
        [n_y * n_x, 2].

    >>> grid((0.0, 1.0, 2.0, 4.0), (2, 2)).tolist()
    [[0.0, 2.0], [1.0, 2.0], [0.0, 4.0], [1.0, 4.0]]
    """
    x, y = jnp.linspace(*extent[:2], resolution[0]), jnp.linspace(*extent[2:], resolution[1])
    return jnp.stack([jnp.tile(x, len(y)), jnp.repeat(y, len(x))], axis=-1)


def extent_around(coordinates: Float[Array, "points 2"], margin: float = 0.25, aspect: float | None = None) -> Extent:
    """The extent (x_min, x_max, y_min, y_max) of some points with a margin.

    Args:
        coordinates: [points, 2], such as ``plane.anchors``.
        margin: added on each side, as a fraction of the points' own width or height; points without width or without
            height are given that of the other axis, and a single point 1.
        aspect: width / height to which the shorter side is widened about its middle, or None.

    >>> extent_around(jnp.array([[0.0, 0.0], [4.0, 2.0]]))
    (-1.0, 5.0, -0.5, 2.5)
    >>> extent_around(jnp.array([[0.0, 0.0], [4.0, 2.0]]), margin=0.0, aspect=1.0)
    (0.0, 4.0, -1.0, 3.0)
    """
    low, high = (np.asarray(reduce(coordinates, axis=0), float) for reduce in (np.min, np.max))
    spread = np.where(high > low, high - low, np.max(high - low) or 1.0)
    width, height = (1 + 2 * margin) * spread
    if aspect is not None:
        width, height = max(width, aspect * height), max(height, width / aspect)
    x, y = (low + high) / 2
    return (float(x - width / 2), float(x + width / 2), float(y - height / 2), float(y + height / 2))


def _assemble(base: Params, axes: list[list[np.ndarray]], frame: np.ndarray, offset: np.ndarray, basis: Basis) -> Plane:
    _check_choice("basis", basis, Basis)
    rounded = [[leaf.astype(np.float32) for leaf in axis] for axis in axes]
    # The axes as rounded are not quite orthonormal; their own Gram matrix makes ``project`` the inverse of the map.
    gram = np.array([[_host_dot(a, b) for b in rounded] for a in rounded])
    length = np.sqrt(sum(leaf.size for leaf in rounded[0])) if basis == "orthonormal_rms" else 1.0
    rows, ends = (frame, np.eye(2)) if basis == "raw" else (length * np.eye(2), frame / length)
    inverse = np.linalg.inv(rows)
    anchors = np.concatenate([np.zeros((1, 2)), ends]) - offset @ inverse
    structure = jax.tree.structure(base)
    first_axis, second_axis = (jax.tree.unflatten(structure, map(jnp.asarray, axis)) for axis in rounded)
    arrays = (rows, np.linalg.inv(gram) @ inverse, anchors)
    return Plane(base, first_axis, second_axis, *(jnp.asarray(array, jnp.float32) for array in arrays))


def _gram_schmidt(
    spans: list[list[np.ndarray]], rounding: float, what: str, fix: str
) -> tuple[list[list[np.ndarray]], np.ndarray]:
    """Orthonormal axes along two spans, and the spans in these axes as the rows of a triangular matrix."""
    first, second = spans
    length = _host_norm(first)
    _check_span(length, rounding, what, fix)
    first_axis = [leaf / length for leaf in first]
    along = _host_dot(first_axis, second)
    across = [leaf - along * axis for leaf, axis in zip(second, first_axis, strict=True)]
    height = _host_norm(across)
    _check_span(height, max(rounding, ROUNDING * _host_norm(second)), what, fix)
    return [first_axis, [leaf / height for leaf in across]], np.array([[length, 0.0], [along, height]])


def _check_span(length: float, rounding: float, what: str, fix: str) -> None:
    # Written so that NaN fails.
    if not rounding < length < np.inf:
        raise TreeError(
            f"{what} span no plane: an extent is {length:.3g} where float32 rounding alone makes {rounding:.3g}; "
            f"take {fix}."
        )


def _check_choice(argument: str, value: str, allowed: Any) -> None:
    if value not in get_args(allowed):
        raise ArgumentError(argument, f"is {value!r}", did_you_mean(value, get_args(allowed)))


def _on_host(tree: PyTree) -> list[np.ndarray]:
    return [np.asarray(leaf).astype(np.float64) for leaf in jax.tree.leaves(tree)]


def _host_dot(first: list[np.ndarray], second: list[np.ndarray]) -> float:
    return float(sum(np.vdot(a.astype(np.float64), b.astype(np.float64)) for a, b in zip(first, second, strict=True)))


def _host_norm(leaves: list[np.ndarray]) -> float:
    return float(np.sqrt(_host_dot(leaves, leaves)))


def _from_base(plane: Plane, tree: Params) -> PyTree:
    return jax.tree.map(lambda leaf, base: leaf.astype(jnp.float32) - base.astype(jnp.float32), tree, plane.base)


def _products(plane: Plane, difference: PyTree) -> Float[Array, "2"]:
    return jnp.stack([dot(plane.first_axis, difference), dot(plane.second_axis, difference)])


def _exact(vector: Float[Array, "2"], matrix: Float[Array, "2 2"]) -> Float[Array, "2"]:
    # A GPU would take TensorFloat-32, of 10 bits, for a product by default.
    return jnp.dot(vector, matrix, precision=jax.lax.Precision.HIGHEST)
