"""A network as a value: what computes, its parameters, and the pixels that it expects."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from repcon_jax.models.model import Model
from repcon_jax.models.pixels import AnyArray, Pixels
from repcon_jax.trees import check_same_shapes, named_leaves
from repcon_jax.typing import ModelState, Params, PyTree


@struct.dataclass
class Network:
    """A model with its parameters, ready to be called with images in [0, 1]; a pytree of the last two.

    Args:
        params, model_state: arrays, or what a tree map made of them.
        model: computes outputs from normalised images.
        pixels: what it expects of images; None where they are normalised already.

    >>> from repcon_jax.models import create_encoder
    >>> encoder, images = create_encoder("mlp", widths=(8, 4)), jnp.ones((2, 4, 4, 1))
    >>> network = Network(*encoder.init(jax.random.key(0), images), encoder, Pixels((0.5,), (0.25,)))
    >>> network.apply(images)[0].shape
    (2, 4)
    """

    params: Params
    model_state: ModelState
    model: Model = struct.field(pytree_node=False)
    pixels: Pixels | None = struct.field(pytree_node=False, default=None)

    def apply(self, images: AnyArray, train: bool = False, intermediates: bool = False) -> tuple[Any, ...]:
        """What the model computes, see ``Model``: ``(output, model_state)``, and the features by name where asked.

        Args:
            images: [batch, height, width, channels], uint8 pixels or floats in [0, 1].
            train: whether batch norm takes the batch's statistics.
            intermediates: whether the outputs of all blocks are returned too.
        """
        images = jnp.asarray(images) if self.pixels is None else self.pixels(images)
        return self.model.apply(self.params, self.model_state, images, train, intermediates)

    @property
    def encoder(self) -> "Network":
        """The network without its head."""
        return Network(self.params["encoder"], self.model_state["encoder"], self.model.part("encoder"), self.pixels)


def fit(
    params: Params, model_state: ModelState, shapes: tuple[Params, ModelState], name: str
) -> tuple[Params, ModelState]:
    """Restored trees in the structure of a model, since a checkpoint keeps no empty subtrees.

    Args:
        params, model_state: nested dicts of arrays.
        shapes: of the model's params and model state.
        name: of what was restored, for the message.
    Raises:
        TreeError: they are not those of the model; the first differing path is named.
    """
    fitted = []
    for shape, tree in zip(shapes, (params, model_state), strict=True):
        check_same_shapes({f"the model of {name}": shape, name: tree})
        fitted.append(jax.tree.unflatten(jax.tree.structure(shape), map(jnp.asarray, jax.tree.leaves(tree))))
    return fitted[0], fitted[1]


def grafted(fresh: Network, restored: Network) -> Network:
    """A network restored, with the fresh one's arrays for every part that is missing or of another shape.

    Args:
        fresh: of the model that is trained, with the parts ``encoder`` and ``head``.
        restored: of a checkpoint, of whatever architecture.
    """
    params, state = (fitting(getattr(fresh, part), getattr(restored, part)) for part in ("params", "model_state"))
    return fresh.replace(params=params, model_state=state)


def fitting(fresh: PyTree, restored: PyTree) -> PyTree:
    """The parts of one restored tree, with the fresh ones for every part that is missing or of another shape."""
    return {part: _fitting(new, restored.get(part, {})) for part, new in fresh.items()}


def _fitting(new: PyTree, old: PyTree) -> PyTree:
    shapes = [{name: leaf.shape for name, leaf in named_leaves(tree).items()} for tree in (new, old)]
    if shapes[0] != shapes[1]:
        return new
    return jax.tree.unflatten(jax.tree.structure(new), map(jnp.asarray, jax.tree.leaves(old)))
