"""The networks of a study, seed by seed: read from checkpoints, and made of one another."""

from collections.abc import Callable

import jax

from repcon_jax.errors import CheckpointError
from repcon_jax.merging import MERGING_METHODS
from repcon_jax.models import Network
from repcon_jax.run.members import names_of
from repcon_jax.run.references import Loaded, expand
from repcon_jax.run.runs import Runs, run_config
from repcon_jax.tasks.study.config import StudyConfig
from repcon_jax.training.checkpoints import tree_digest

Seed = int | None
BySeed = dict[Seed, Loaded]


def seeds_of_reference(reference: str, runs: Runs) -> dict[Seed, str]:
    """The references that one stands for by the seed of their member; None where it is no member of a study's run.

    Raises:
        ConfigError: the reference names what does not exist, or members that differ in more than seeds.
    """
    expanded = expand(reference, runs)
    run = reference.partition(":")[0].split("/")[0]
    if run not in runs:
        return {None: expanded[0]}
    seeds = {str(member): member.seed for member in names_of(run_config(runs, run))}
    by_seed: dict[Seed, str] = {}
    for one in expanded:
        seed = seeds[one.split("/")[1]]
        if seed in by_seed:
            raise CheckpointError(
                f"reference {reference!r} stands for several members of seed {seed}; name the values in which they "
                "differ, such as RUN/locality_1.0__*/end."
            )
        by_seed[seed] = one
    return by_seed


def load_networks(config: StudyConfig, load: Callable[[str], Loaded]) -> dict[str, BySeed]:
    """All networks by name and seed, the merged ones last.

    Args:
        config: of the study.
        load: reference -> network.
    Raises:
        UserError: a checkpoint is missing or damaged, or networks cannot be merged.
    """
    networks = {
        name: {seed: load(one) for seed, one in seeds_of_reference(reference, config.runs).items()}
        for name, reference in config.networks.items()
    }
    for name, merge in config.merges.items():
        method = MERGING_METHODS.parse(merge.method, f"merges.{name}.method")
        parts = [networks[part] for part in merge.networks]
        networks[name] = {
            seed: _merged(name, method, [of_seed(part, seed) for part in parts]) for seed in _seeds(parts)
        }
    return networks


def all_seeds(networks: dict[str, BySeed]) -> list[Seed]:
    """The seeds of all networks, ascending; [None] where none has one."""
    return _seeds(list(networks.values()))


def of_seed(by_seed: BySeed, seed: Seed) -> Loaded | None:
    """The network of a seed, or the only one there is, which stands beside every seed; None where there is none."""
    return by_seed.get(seed, by_seed.get(None))


def _seeds(networks: list[BySeed]) -> list[Seed]:
    seeds = sorted({seed for by_seed in networks for seed in by_seed if seed is not None})
    return list(seeds) or [None]


def _merged(name: str, method: Callable[[list[Network]], Network], parts: list[Loaded | None]) -> Loaded:
    if None in parts:
        raise CheckpointError(f"merges.{name} takes networks of other seeds than one another; train the same seeds.")
    network = jax.tree.map(jax.numpy.asarray, method([part.network for part in parts]))
    return Loaded(name, network, tree_digest((network.params, network.model_state)))
