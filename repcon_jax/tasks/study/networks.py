"""The networks of a study, seed by seed: read from checkpoints, and made of one another."""

from collections.abc import Callable, Iterable

import jax
import jax.numpy as jnp

from repcon_jax.errors import ArgumentError, CheckpointError, ConfigError, TreeError
from repcon_jax.merging import MERGING_METHODS
from repcon_jax.run.members import members_of
from repcon_jax.run.references import Loaded, expand
from repcon_jax.run.runs import Runs, run_config
from repcon_jax.tasks.study.config import StudyConfig
from repcon_jax.training.checkpoints import tree_digest

# None for what is a single network and stands beside every seed.
Seed = int | None
BySeed = dict[Seed, Loaded]


def references_of(config: StudyConfig) -> dict[str, dict[Seed, str]]:
    """The references of all networks but the merged ones, by name and seed.

    Raises:
        ConfigError: one names what does not exist, or members that differ in more than seeds; or networks that are to
            be merged or compared have no seeds in common.
    """
    references = {}
    for name, reference in config.networks.items():
        try:
            references[name] = seeds_of_reference(reference, config.runs)
        except ConfigError as error:
            raise ConfigError(f"networks.{name}: {error}") from error
    _check_seeds(config, {name: set(by_seed) for name, by_seed in references.items()})
    return references


def seeds_of_reference(reference: str, runs: Runs) -> dict[Seed, str]:
    """The references that one stands for: by seed where its member has a ``*``, otherwise itself.

    Raises:
        ConfigError: the reference names what does not exist, or members that differ in more than seeds.
    """
    expanded = expand(reference, runs)
    words = reference.partition(":")[0].split("/")
    if len(words) < 2 or not set(words[-2]) & set("*?["):
        return {None: expanded[0]}
    seeds = {str(member): member.seed for member in members_of(run_config(runs, words[0]))} if words[0] in runs else {}
    by_seed: dict[Seed, str] = {}
    for one in expanded:
        member = one.partition(":")[0].split("/")[-2]
        seeds.setdefault(member, _seed_in(member, reference))
        if (other := by_seed.setdefault(seeds[member], one)) is not one:
            raise ConfigError(
                f"reference {reference!r} stands for several members of seed {seeds[member]}, {other.split('/')[-2]} "
                f"and {member}; name the values in which they differ, such as "
                f"{'/'.join(words[:-2])}/{member.removesuffix(f'seed_{seeds[member]}')}*/{words[-1]}."
            )
    return by_seed


def _seed_in(member: str, reference: str) -> int:
    """The seed that the name of a member ends in, which is all that is known of a run elsewhere."""
    seed = member.rpartition("seed_")[2]
    if not seed.isdigit():
        raise ConfigError(
            f"reference {reference!r} stands for {member!r}, which does not end in seed_NUMBER; name one checkpoint."
        )
    return int(seed)


def _check_seeds(config: StudyConfig, seeds: dict[str, set[Seed]]) -> None:
    """Checks that what is merged has the same seeds, and what is compared one in common."""
    for name, merge in config.merges.items():
        seeds[name] = set.union(*(seeds[part] for part in merge.networks))
        seeds[name] = seeds[name] - {None} or {None}
        for part in merge.networks:
            if seeds[part] not in (seeds[name], {None}):
                raise ConfigError(
                    f"merges.{name}.networks: {part!r} has {_in_words(seeds[part])} but together they have "
                    f"{_in_words(seeds[name])}; merge networks of the same seeds."
                )
    pairs = {"claims": [(claim.first, claim.second) for claim in config.parsed_claims().values()]}
    if config.baseline is not None:
        pairs["baseline"] = [(name, config.baseline) for name in config.all_networks]
    for field, names in pairs.items():
        for first, second in names:
            if None not in seeds[first] | seeds[second] and not seeds[first] & seeds[second]:
                raise ConfigError(
                    f"{field} compares {first!r} of {_in_words(seeds[first])} with {second!r} of "
                    f"{_in_words(seeds[second])}, which have none in common; name networks of the same seeds."
                )


def _in_words(seeds: set[Seed]) -> str:
    return f"the seeds {', '.join(map(str, sorted(seeds, key=str)))}"


def load_networks(config: StudyConfig, load: Callable[[str], Loaded]) -> dict[str, BySeed]:
    """All networks by name and seed, the merged ones last.

    Args:
        config: of the study.
        load: reference -> network.
    Raises:
        UserError: a checkpoint is missing, damaged or no single network, or networks cannot be merged.
    """
    networks: dict[str, BySeed] = {}
    for name, references in references_of(config).items():
        networks[name] = {seed: load(reference) for seed, reference in references.items()}
        for one in networks[name].values():
            if not {"encoder", "head"} <= one.network.params.keys():
                raise CheckpointError(
                    f"networks.{name} is {one.name!r}, which holds no encoder with a head but "
                    f"{', '.join(map(str, one.network.params))}; name a part that is a network, such as "
                    f"{one.name.partition(':')[0]}:teacher."
                )
    for name in config.merges:
        networks[name] = _merged(config, name, networks)
    return networks


def all_seeds(networks: Iterable[BySeed]) -> list[Seed]:
    """The seeds of some networks, ascending; [None] where none has one."""
    return sorted({seed for by_seed in networks for seed in by_seed if seed is not None}) or [None]


def of_seed(by_seed: BySeed, seed: Seed) -> Loaded | None:
    """The network of a seed, or the single one that stands beside every seed; None where there is neither."""
    return by_seed.get(seed, by_seed.get(None))


def _merged(config: StudyConfig, name: str, networks: dict[str, BySeed]) -> BySeed:
    merge = config.merges[name]
    method = MERGING_METHODS.parse(merge.method, f"merges.{name}.method")
    parts = [networks[part] for part in merge.networks]
    by_seed: BySeed = {}
    for seed in all_seeds(parts):
        try:
            network = method([of_seed(part, seed).network for part in parts])
        except (ArgumentError, TreeError) as error:
            raise ConfigError(f"merges.{name} with {merge.method!r} of {', '.join(merge.networks)}: {error}") from error
        network = jax.tree.map(jnp.asarray, network)
        averaged = network.model == of_seed(parts[0], seed).network.model
        by_seed[seed] = Loaded(name, network, tree_digest((network.params, network.model_state)), averaged)
    return by_seed
