"""Planes against least squares in float64, and the maps against each other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError

from repcon_jax.errors import ArgumentError, TreeError
from repcon_jax.landscape.planes import extent_around, grid, map_to_tree, plane_along, plane_through, project, residual
from repcon_jax.trees import combine, distance, norm

ORIGINS = ("first", "mean", "minimum_norm")
BASES = ("raw", "orthonormal", "orthonormal_rms")
EVERY_KIND = [(origin, basis) for origin in ORIGINS for basis in BASES]
POINTS = jnp.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.3, -0.8], [-2.0, 1.5]])


def random_tree(seed, scale=1.0):
    random = np.random.default_rng(seed)
    shapes = {"conv": (3, 3, 8, 16), "dense": (40, 30), "bias": (30,)}
    return {name: jnp.asarray(scale * random.normal(size=shape), jnp.float32) for name, shape in shapes.items()}


def far_apart():
    return tuple(random_tree(seed) for seed in range(3))


def close_together():
    teacher = random_tree(0, scale=10.0)
    return teacher, *(combine([teacher, random_tree(seed)], [1.0, 1e-2]) for seed in (1, 2))


def flat(tree):
    return np.concatenate([np.asarray(leaf, np.float64).ravel() for leaf in jax.tree.leaves(tree)])


def exact_plane(trees, origin, basis):
    """The origin and the two basis vectors as float64 vectors."""
    first, second, third = (flat(tree) for tree in trees)
    raw = np.stack([second - first, third - first], axis=1)
    orthonormal = np.linalg.qr(raw)[0]
    orthonormal *= np.sign(np.sum(orthonormal * raw, axis=0))
    vectors = {"raw": raw, "orthonormal": orthonormal, "orthonormal_rms": np.sqrt(first.size) * orthonormal}[basis]
    nearest = first - raw @ np.linalg.lstsq(raw, first, rcond=None)[0]
    return {"first": first, "mean": (first + second + third) / 3, "minimum_norm": nearest}[origin], vectors


@pytest.mark.parametrize("make", [far_apart, close_together])
@pytest.mark.parametrize(("origin", "basis"), EVERY_KIND)
def test_the_maps_agree_with_least_squares_in_float64(make, origin, basis):
    trees = make()
    plane = plane_through(*trees, origin=origin, basis=basis)
    start, vectors = exact_plane(trees, origin, basis)
    size = np.linalg.norm(flat(trees[0]))
    # Coordinates this large are the distance of the origin from the anchors, and are rounded in proportion.
    largest = max(1.0, float(jnp.abs(plane.anchors).max()))
    along = np.array([[0.0, 0.0], [0.4, -0.7]]) * size / np.linalg.norm(vectors, axis=0)
    for coordinates in along:
        actual = map_to_tree(plane, jnp.asarray(coordinates, jnp.float32))
        assert np.linalg.norm(flat(actual) - start - vectors @ coordinates) < 2e-6 * size
    stranger = combine([trees[1], random_tree(7)], [1.0, 0.1])
    exact = np.linalg.lstsq(vectors, flat(stranger) - start, rcond=None)[0]
    np.testing.assert_allclose(project(plane, stranger), exact, atol=2e-6 * largest)
    off = flat(stranger) - start - vectors @ exact
    assert np.linalg.norm(flat(residual(plane, stranger)) - off) < 1e-5 * np.linalg.norm(off)


@pytest.mark.parametrize("make", [far_apart, close_together])
@pytest.mark.parametrize(("origin", "basis"), EVERY_KIND)
def test_anchors_come_back(make, origin, basis):
    trees = make()
    plane = plane_through(*trees, origin=origin, basis=basis)
    for tree, coordinates in zip(trees, plane.anchors, strict=True):
        assert float(distance(map_to_tree(plane, coordinates), tree)) < 2e-7 * float(norm(tree))
        spread = float(jnp.abs(plane.anchors).max())
        np.testing.assert_allclose(project(plane, tree), coordinates, atol=1e-6 * spread)
        # Against the distances between the anchors, not their norm: the plane keeps what tells close networks apart.
        assert float(norm(residual(plane, tree))) < 1e-6 * float(distance(trees[0], trees[1]))


def test_the_first_network_is_exactly_at_the_origin_and_raw_coordinates_count_differences():
    trees = close_together()
    plane = plane_through(*trees)
    np.testing.assert_array_equal(plane.anchors, [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    jax.tree.map(np.testing.assert_array_equal, map_to_tree(plane, jnp.zeros(2)), trees[0])
    jax.tree.map(np.testing.assert_array_equal, project(plane, trees[0]), jnp.zeros(2))


@pytest.mark.parametrize(("origin", "basis"), EVERY_KIND)
def test_projecting_inverts_the_map_under_jit_and_vmap(origin, basis):
    plane = plane_through(*far_apart(), origin=origin, basis=basis)
    points = POINTS * jnp.max(jnp.abs(plane.anchors))
    trees = jax.jit(jax.vmap(map_to_tree, in_axes=(None, 0)))(plane, points)
    back = jax.jit(jax.vmap(project, in_axes=(None, 0)))(plane, trees)
    np.testing.assert_allclose(back, points, atol=1e-5 * float(jnp.abs(points).max()))


@pytest.mark.parametrize("make", [far_apart, close_together])
def test_orthonormal_coordinates_keep_distances_and_angles_and_rms_ones_are_changes_per_parameter(make):
    trees = make()
    plane = plane_through(*trees, origin="mean", basis="orthonormal")
    sides = np.stack([flat(tree) - flat(trees[0]) for tree in trees])
    corners = np.asarray(plane.anchors - plane.anchors[0])
    np.testing.assert_allclose(corners @ corners.T, sides @ sides.T, rtol=1e-5, atol=1e-6 * np.max(sides @ sides.T))
    scaled = plane_through(*trees, origin="mean", basis="orthonormal_rms")
    change = flat(map_to_tree(scaled, jnp.array([0.0, 3.0]))) - flat(map_to_tree(scaled, jnp.zeros(2)))
    np.testing.assert_allclose(np.sqrt(np.mean(np.square(change))), 3.0, rtol=1e-5)


@pytest.mark.parametrize("make", [far_apart, close_together])
def test_no_point_of_the_plane_has_a_smaller_norm_than_its_origin_of_minimum_norm(make):
    trees = make()
    plane = plane_through(*trees, origin="minimum_norm", basis="orthonormal")
    smallest = np.linalg.norm(flat(map_to_tree(plane, jnp.zeros(2))))
    for point in [*np.asarray(5.0 * POINTS[1:]), *np.asarray(plane.anchors)]:
        actual = np.linalg.norm(flat(map_to_tree(plane, jnp.asarray(point))))
        np.testing.assert_allclose(actual, np.hypot(smallest, np.linalg.norm(point)), rtol=1e-5)


def test_a_residual_is_orthogonal_to_the_plane_and_does_not_move_the_projection():
    plane = plane_through(*far_apart())
    stranger = random_tree(9)
    off = flat(residual(plane, stranger))
    for axis in (plane.first_axis, plane.second_axis):
        assert abs(flat(axis) @ off) < 1e-5 * np.linalg.norm(off)
    moved = combine([stranger, residual(plane, stranger)], [1.0, -0.5])
    np.testing.assert_allclose(project(plane, moved), project(plane, stranger), atol=1e-5)


@pytest.mark.parametrize("basis", BASES)
def test_a_plane_along_two_directions_holds_the_centre_and_both_ends(basis):
    centre, first, second = far_apart()
    plane = plane_along(centre, first, second, basis=basis)
    np.testing.assert_array_equal(plane.anchors[0], [0.0, 0.0])
    for direction, coordinates in zip((first, second), plane.anchors[1:], strict=True):
        end = combine([centre, direction], [1.0, 1.0])
        assert float(distance(map_to_tree(plane, coordinates), end)) < 1e-6 * float(norm(end))


def test_half_precision_networks_keep_their_type_and_are_projected_in_float32():
    trees = [jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), tree) for tree in far_apart()]
    plane = plane_through(*trees)
    assert map_to_tree(plane, jnp.ones(2))["bias"].dtype == jnp.bfloat16
    assert project(plane, trees[1]).dtype == jnp.float32
    np.testing.assert_allclose(project(plane, trees[1]), [1.0, 0.0], atol=1e-6)


def test_networks_on_one_line_are_refused():
    first, second, _ = far_apart()
    middle = combine([first, second], [0.3, 0.7])
    for trees in [(first, second, middle), (first, first, second), (first, second, second), (first, middle, second)]:
        with pytest.raises(
            TreeError, match=r"the three networks span no plane.*take networks that are not on one line"
        ):
            plane_through(*trees)
    with pytest.raises(TreeError, match="nan"):
        plane_through(first, second, jax.tree.map(lambda leaf: leaf * jnp.nan, first))
    for directions in [(first, first), (first, jax.tree.map(jnp.zeros_like, first)), (combine([first], [0.0]), first)]:
        with pytest.raises(TreeError, match="take directions that are not parallel"):
            plane_along(second, *directions)


def test_foreign_networks_and_unknown_choices_are_refused():
    first, second, third = far_apart()
    with pytest.raises(TreeError, match="'third' has shape"):
        plane_through(first, second, {**third, "bias": jnp.zeros(3)})
    with pytest.raises(TreeError, match="'second' has nothing at"):
        plane_through(first, None, third)
    with pytest.raises(TreeError, match="'first_direction' has nothing"):
        plane_along(first, {"bias": second["bias"]}, third)
    # The annotation catches it first while the tests run.
    with pytest.raises((ArgumentError, TypeCheckError)):
        plane_through(first, second, third, origin="middle")
    with pytest.raises((ArgumentError, TypeCheckError)):
        plane_along(first, second, third, basis="rms")


def test_a_grid_has_its_ends_and_its_rows_are_an_image():
    points = grid((-1.0, 1.0, 0.0, 3.0), (5, 4)).reshape(4, 5, 2)
    np.testing.assert_allclose(points[2, :, 0], np.linspace(-1, 1, 5))
    np.testing.assert_allclose(points[:, 3, 1], np.linspace(0, 3, 4))


def test_an_extent_holds_its_points_has_its_aspect_and_is_never_empty():
    points = jnp.array([[0.0, 1.0], [4.0, 1.0], [2.0, 1.5]])
    np.testing.assert_allclose(extent_around(points, margin=0.5), (-2.0, 6.0, 0.75, 1.75))
    left, right, bottom, top = extent_around(points, margin=0.5, aspect=2.0)
    np.testing.assert_allclose([(right - left) / (top - bottom), bottom, top], [2.0, -0.75, 3.25])
    np.testing.assert_allclose(extent_around(points[:2], margin=0.0), (0.0, 4.0, -1.0, 3.0))
    np.testing.assert_allclose(extent_around(points[:1], margin=0.0), (-0.5, 0.5, 0.5, 1.5))
