"""Checkpoints on disk: Orbax stores the tree, a digest beside it tells a truncated or foreign one at once."""

import dataclasses
import hashlib
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from repcon_jax.errors import CheckpointError, did_you_mean
from repcon_jax.models import Network
from repcon_jax.training.partition import Paths, merge, split
from repcon_jax.trees import check_same_structure, named_leaves, pack_bits, signature, unpack_bits
from repcon_jax.typing import PyTree

_FORMAT = "repcon_jax/3"
# In the first, masks were booleans of a byte each; in both, every checkpoint held what never changes too.
_WHOLE_MASKS, _OLDER = "repcon_jax/1", ("repcon_jax/1", "repcon_jax/2")


@dataclasses.dataclass(frozen=True)
class CheckpointConfig:
    """Which checkpoints are written and kept; the start and the end always are.

    Args:
        every: duration between checkpoints; what a kill can cost.
        keep_last: how many of the newest are kept.
        keep_every: duration at whose multiples checkpoints are kept for good, or None.
        keep: durations at which a checkpoint is written and kept for good, such as ``("1 epochs", "2 epochs")``.
    """

    every: str = "1 epochs"
    keep_last: int = 1
    keep_every: str | None = None
    keep: tuple[str, ...] = ()


def tree_digest(tree: PyTree) -> str:
    """SHA-256 over names, dtypes, shapes and bytes of all leaves."""
    digest = hashlib.sha256()
    for name, leaf in named_leaves(tree).items():
        array = np.ascontiguousarray(leaf)
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.view(np.uint8).data if array.ndim else array.tobytes())
    return digest.hexdigest()


class Checkpoints:
    """The checkpoints of one training run in one directory.

    Args:
        directory: one folder a step.
        keep_last: how many of the newest are kept.
        keep_steps: steps kept for good, beside step 0.
        keep_every: steps at whose multiples checkpoints are kept for good; 0 for none.
        constant: names in ``carried`` of what never changes, which only the first checkpoint holds.
        frozen: paths in ``params`` likewise.
        read_only: open what is there and change nothing.
    """

    def __init__(
        self,
        directory: pathlib.Path,
        *,
        keep_last: int = 1,
        keep_steps: tuple[int, ...] = (),
        keep_every: int = 0,
        constant: tuple[str, ...] = (),
        frozen: Paths = frozenset(),
        read_only: bool = False,
    ) -> None:
        """Opens the directory, creating it if need be; half-written folders of a killed run are removed."""
        self.directory = pathlib.Path(directory).absolute()
        self._keep = (keep_last, {0, *keep_steps}, keep_every)
        self._constant, self._frozen = constant, frozen
        # One host writes, and must not wait for others that never open this directory.
        here = jax.process_index()
        options = ocp.CheckpointManagerOptions(
            enable_async_checkpointing=False,
            cleanup_tmp_directories=not read_only,
            read_only=read_only,
            create=jax.process_count() == 1,
            multiprocessing_options=ocp.options.MultiprocessingOptions(
                primary_host=here, active_processes={here} if jax.process_count() > 1 else None
            ),
        )
        if not read_only:
            self.directory.mkdir(parents=True, exist_ok=True)
        self._manager = ocp.CheckpointManager(self.directory, options=options)

    def steps(self) -> list[int]:
        """The steps that can be restored, ascending."""
        return sorted(self._manager.all_steps())

    def save(
        self, step: int, state: PyTree, metadata: dict[str, Any], networks: Mapping[str, Any] | None = None
    ) -> None:
        """Writes the state, atomically; a step that is there already is left as it is, and none is deleted.

        Args:
            step: number of updates made.
            state: a dataclass of pytrees of arrays, whose ``mask`` has the structure of its ``params``.
            metadata: JSON values to be restored beside it.
            networks: what is needed to rebuild the networks in it, by part, as JSON values.
        """
        if step in self.steps():
            return
        host = jax.tree.map(np.asarray, state)
        digests = {name: tree_digest(part) for name, part in _parts(host).items()}
        # What never changes lies in the first checkpoint, which always stays; its digest in every one.
        constant, frozen = (self._constant, self._frozen) if step and 0 in self.steps() else ((), frozenset())
        about = {
            "format": _FORMAT,
            "digests": digests,
            "signature": signature(host),
            "constant": list(constant),
            "frozen": sorted(frozen),
            "networks": dict(networks or {}),
            "extra": metadata,
        }
        stored = _packed(_without(host, constant, frozen))
        args = ocp.args.Composite(state=ocp.args.StandardSave(stored), about=ocp.args.JsonSave(about))
        self._manager.save(step, args=args, force=True)

    def tidy(self) -> None:
        """Deletes what need not be kept; to be called once all members of a population have saved."""
        keep_last, keep_steps, keep_every = self._keep
        steps = self.steps()
        for step in steps[: len(steps) - keep_last]:
            if step not in keep_steps and not (keep_every and step % keep_every == 0):
                self._manager.delete(step)

    def restore(self, template: PyTree, step: int | None = None) -> tuple[PyTree, dict[str, Any]]:
        """The state at ``step`` (the newest by default) and its metadata.

        Args:
            template: arrays or shapes with the structure to be restored.
            step: which one.
        Raises:
            CheckpointError: there is none, it is truncated, or it belongs to another program or config.
        """
        step = self._latest() if step is None else step
        about = self._about(step)
        place = f"checkpoint {self.directory / str(step)}"
        fix = "use the config that wrote it, or another work directory"
        check_same_structure(about["signature"], signature(template), place, fix)
        abstract = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), template)
        constant, frozen = about.get("constant", ()), frozenset(about.get("frozen", ()))
        wanted, is_packed = _without(abstract, constant, frozen), about["format"] != _WHOLE_MASKS
        state = self._read(step, state=ocp.args.StandardRestore(_packed_shapes(wanted) if is_packed else wanted))
        if is_packed:
            state = dataclasses.replace(state, mask=jax.tree.map(_unpack, state.mask, template.mask))
        if constant or frozen:
            first, _ = self.restore(template, self._first(step))
            kept = {name: first.carried[name] for name in constant}
            state = dataclasses.replace(
                state,
                params=merge(state.params, split(first.params, frozen)[1]),
                carried={name: {**state.carried, **kept}[name] for name in template.carried},
            )
        self._verify(step, _parts(state), about)
        return state, about["extra"]

    def restore_parts(self, step: int, names: tuple[str, ...]) -> dict[str, PyTree]:
        """The named fields of a stored state as nested dicts of arrays, whatever their structure.

        Raises:
            CheckpointError: there is none, or it is truncated or foreign.
        """
        about = self._about(step)
        state = self._read(step, state=ocp.args.StandardRestore())
        constant, frozen = about.get("constant", ()), frozenset(about.get("frozen", ()))
        if constant or frozen:
            first = self.restore_parts(self._first(step), ("params", "carried"))
            state["params"] = merge(state["params"], split(first["params"], frozen)[1])
            state["carried"] = {**(state["carried"] or {}), **{name: first["carried"][name] for name in constant}}
        if about["format"] != _WHOLE_MASKS:
            state["mask"] = jax.tree.map(_unpack, state["mask"], state["params"])
        parts = {name: state[name] or {} for name in names}
        self._verify(step, parts, about)
        return parts

    def networks(self, step: int) -> dict[str, Any]:
        """What was given as ``networks`` when the step was saved; nothing in checkpoints of older versions."""
        return self._about(step).get("networks", {})

    def close(self) -> None:
        """Releases the manager's threads."""
        self._manager.close()

    def _latest(self) -> int:
        if not self.steps():
            raise CheckpointError(f"{self.directory} holds no checkpoint; train first or correct the path.")
        return self.steps()[-1]

    def _first(self, step: int) -> int:
        if 0 not in self.steps():
            raise CheckpointError(
                f"{self.directory} has no step 0, which holds what never changes of step {step}; put it back."
            )
        return 0

    def _about(self, step: int) -> dict[str, Any]:
        about = self._read(step, about=ocp.args.JsonRestore())
        if not isinstance(about, dict) or about.get("format") not in (_FORMAT, *_OLDER):
            place = self.directory / str(step)
            raise CheckpointError(f"{place} was not written by this program ({_FORMAT}); use another work directory.")
        return about

    def _read(self, step: int, **item: Any) -> Any:
        (name,) = item
        try:
            return self._manager.restore(step, args=ocp.args.Composite(**item))[name]
        except Exception as error:  # Orbax raises many kinds for a missing or damaged item
            raise self._damaged(step) from error

    def _verify(self, step: int, parts: dict[str, PyTree], about: dict[str, Any]) -> None:
        # Orbax fills the missing chunks of a truncated array with zeros, so only the digest tells.
        if any(tree_digest(part) != about["digests"][name] for name, part in parts.items()):
            raise self._damaged(step)

    def _damaged(self, step: int) -> CheckpointError:
        # Later checkpoints lack what never changes, which the first one holds.
        fix = "move that folder away to go on from the one before it" if step else "put it back or start anew elsewhere"
        return CheckpointError(f"checkpoint {self.directory / str(step)} is truncated, damaged or foreign; {fix}.")


def _without(state: PyTree, constant: Sequence[str], frozen: Paths) -> PyTree:
    """The state without what never changes."""
    if not constant and not frozen:
        return state
    carried = {name: value for name, value in state.carried.items() if name not in constant}
    return dataclasses.replace(state, params=split(state.params, frozen)[0], carried=carried)


def _packed(state: PyTree) -> PyTree:
    """The state with the bits of its mask, eight to a byte."""
    return dataclasses.replace(state, mask=jax.tree.map(pack_bits, state.mask))


def _packed_shapes(state: PyTree) -> PyTree:
    """The shapes of what ``_packed`` makes of a state of these shapes."""

    def packed(leaf: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((-(-math.prod(leaf.shape) // 8),), np.uint8)

    return dataclasses.replace(state, mask=jax.tree.map(packed, state.mask))


def _unpack(bits: np.ndarray, like: Any) -> np.ndarray:
    return unpack_bits(bits, like.shape)


def _parts(state: PyTree) -> dict[str, PyTree]:
    """The fields of a state, whose digests are the same with and without a template."""
    return {field.name: _as_read(getattr(state, field.name)) for field in dataclasses.fields(state)}


def _as_read(tree: PyTree) -> PyTree:
    """The tree with its networks as dicts, which is how they are read without a template: leaves in that order."""

    def as_dict(value: Any) -> Any:
        is_network = isinstance(value, Network)
        return {"params": value.params, "model_state": value.model_state} if is_network else value

    return jax.tree.map(as_dict, tree, is_leaf=lambda value: isinstance(value, Network))


def read_network(path: str, part: str = "params") -> tuple[PyTree, PyTree, dict[str, Any] | None]:
    """Parameters and model state of one network in a checkpoint, and what is needed to rebuild it.

    Args:
        path: a step's folder, such as ``runs/a/checkpoints/seed_0/1000``.
        part: ``"params"`` for what was trained, or a name the objective carries, such as ``"teacher"`` or
            ``"teachers/digits"``.
    Returns:
        (params, model_state, description): nested dicts of arrays, and what ``save`` was given of this network, None
        where it was given nothing.
    Raises:
        CheckpointError: the path is no checkpoint of this program or lacks the part.
    """
    folder = pathlib.Path(path)
    if not folder.name.isdigit() or not folder.is_dir():
        raise CheckpointError(f"{path!r} is no checkpoint; give a folder such as runs/NAME/checkpoints/seed_0/STEP.")
    checkpoints = Checkpoints(folder.parent, read_only=True)
    step = int(folder.name)
    state = checkpoints.restore_parts(step, ("params", "model_state", "carried"))
    description = checkpoints.networks(step).get(part)
    checkpoints.close()
    if part == "params":
        return state["params"], state["model_state"], description
    carried = _networks_in(state["carried"])
    if part not in carried:
        raise CheckpointError(f"{path} carries no network {part!r}; {did_you_mean(part, ['params', *carried])}.")
    return carried[part]["params"], carried[part].get("model_state") or {}, description


def _networks_in(carried: PyTree, prefix: str = "") -> dict[str, PyTree]:
    """Whatever has parameters, by its path."""
    networks = {}
    for name, value in carried.items():
        if isinstance(value, dict):
            is_network = "params" in value
            networks |= {f"{prefix}{name}": value} if is_network else _networks_in(value, f"{prefix}{name}/")
    return networks
