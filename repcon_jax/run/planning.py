"""How many members are trained at once: as many as fit into memory, by the compiled program's own account."""

import pathlib
from collections.abc import Callable

import jax

from repcon_jax.machine.distributed import from_main, is_main
from repcon_jax.records.files import read_json, write_json
from repcon_jax.run.experiment import Experiment
from repcon_jax.run.members import Group, plan_groups, points_of, seeds_of
from repcon_jax.training.mesh import MeshConfig
from repcon_jax.training.population import Population

# What the allocator, probes and evaluation need beside the training program.
_USABLE = 0.85


def plan(experiment: Experiment, workdir: pathlib.Path, say: Callable[[str], None]) -> tuple[list[Group], Population]:
    """The groups of a run, all of one size, and the program compiled for it.

    A run that goes on keeps the size that it began with, so that its numbers stay the same to the bit.

    Args:
        experiment: the run's.
        workdir: of the run.
        say: receives a line where the population is split.
    """
    seeds, num_points, mesh = seeds_of(experiment.config), len(points_of(experiment.config)), experiment.recipe.mesh
    file = workdir / "population.json"
    known = from_main(read_json(file, "capacity")["capacity"] if is_main() and file.exists() else None)
    capacity, limit = known or experiment.size, memory_limit(experiment.config.mesh)
    while True:
        groups = plan_groups(seeds, num_points, capacity, mesh.shape["member"])
        program = experiment.program(groups[0])
        size = len(groups[0].seeds) * len(groups[0].points)
        need = from_main(program.bytes_per_device())
        if known or limit is None or need <= limit or size <= mesh.shape["member"]:
            break
        capacity = max(1, min(size - 1, int(size * limit / need)))
    if is_main() and not known:
        write_json(file, {"capacity": capacity})
    if len(groups) > 1:
        say(
            f"A population of {experiment.size} members does not fit into memory at once "
            f"({need / 1e9:.1f} GB for {size} of them): trained in {len(groups)} groups of {size}."
        )
    return groups, program


def memory_limit(mesh: MeshConfig) -> int | None:
    """Bytes of one device that a program may need; None where they are not known."""
    given = mesh.memory_gb
    if given is not None:
        return int(given * 1e9)
    device = jax.local_devices()[0]
    stats = device.memory_stats()
    if stats and "bytes_limit" in stats:
        return from_main(int(_USABLE * stats["bytes_limit"]))
    if device.platform != "cpu":
        return None
    return from_main(int(_USABLE * _available_memory() / jax.local_device_count()))


def _available_memory() -> int:
    """Free memory of this host in bytes, caches that can be given up included."""
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return 1024 * int(line.split()[1])
    raise RuntimeError("/proc/meminfo has no line MemAvailable")
