"""What a user wrote for names of earlier versions gets one sentence with the new one.

The finder stands behind all others, so it is only asked for modules that do not exist.
"""

import importlib.abc
import sys
from collections.abc import Callable
from typing import Any, NoReturn

_ROOT = "repcon_jax"
_CHOICES = "with_options, differing_fields and split_arguments are in repcon_jax.options.choices"

# Old module -> new module and, where names of it changed, how.
MODULES: dict[str, tuple[str, str]] = {
    "command_line": ("run.command_line", ""),
    "compilation_cache": ("machine.compilation_cache", ""),
    "config": ("run.config", _CHOICES),
    "cpu_compiler": ("machine.cpu_compiler", ""),
    "distributed": ("machine.distributed", ""),
    "experiment": ("run.execute", ""),
    "files": ("records.files", ""),
    "group": ("run.group_training", "GroupRun is GroupTraining"),
    "landscape.alignment": ("symmetry", "match_weights is in repcon_jax.merging"),
    "landscape.base": ("landscape.metric", ""),
    "landscape.recalibration": ("models.recalibration", ""),
    "lottery.base": ("lottery.criterion", ""),
    "member": ("run.member_files", ""),
    "members": ("run.members", "MemberName is Member"),
    "metrics_log": ("records.metrics_log", ""),
    "models.convolution": ("models.kernels.convolution", ""),
    "models.direct_convolution": ("models.kernels.direct_convolution", ""),
    "models.winograd": ("models.kernels.winograd", ""),
    "networks": ("run.networks", ""),
    "patterns": ("options.patterns", ""),
    "planning": ("run.planning", ""),
    "probe_data": ("run.probe_data", ""),
    "prober": ("run.prober", ""),
    "probing.base": ("probing.probe", ""),
    "problem": ("run.experiment", "Problem is Experiment, build_problem is build_experiment"),
    "registry": ("options.registry", ""),
    "remembered": ("run.remembered", ""),
    "results": ("records.results", ""),
    "schema": ("options.schema", ""),
    "stopping": ("machine.stopping", ""),
    "tasks.landscape.base": ("tasks.landscape.analyses", ""),
    "tasks.landscape.surfaces": ("landscape.surfaces", ""),
    "tasks.lottery.base": ("tasks.lottery.studies", "Ticket is in repcon_jax.tasks.lottery.tickets"),
    "tasks.references": ("run.references", ""),
    "tasks.runs": ("run.runs", ""),
    "tasks.stages": ("run.stages", ""),
    "workdir": ("records.workdir", ""),
}

# Package -> names that it had, and the modules that have them now.
ATTRIBUTES: dict[str, dict[str, str]] = {
    "data": {"normalise": "models"},
    "landscape": {
        "apply_permutation": "symmetry",
        "batched": "derivatives",
        "hessian_vector_product": "derivatives",
        "match_weights": "merging",
        "permutation_spec": "symmetry",
        "random_permutation": "symmetry",
        "recalibrate": "models.recalibration",
    },
    "probing.similarity": {"linear_cka": "probing.similarities.linear_cka"},
}


class _Finder(importlib.abc.MetaPathFinder):
    """Finds nothing, and says where a module went."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        del path, target
        new = MODULES.get(fullname.removeprefix(f"{_ROOT}."))
        if fullname.startswith(f"{_ROOT}.") and new is not None:
            module, renamed = new
            # Without its name, for else `from package import module` would say its own sentence.
            note = f" ({renamed})" if renamed else ""
            raise ModuleNotFoundError(f"{fullname} is now {_ROOT}.{module}{note}; change the import")


def install() -> None:
    """Lets an import of an old module say the new one."""
    if not any(type(finder).__qualname__ == _Finder.__qualname__ for finder in sys.meta_path):
        sys.meta_path.append(_Finder())


def getattr_of(package: str) -> Callable[[str], NoReturn]:
    """A package's ``__getattr__``, which says where a name that it had went.

    Args:
        package: dotted name, such as ``__name__`` in its ``__init__``.
    """
    names = ATTRIBUTES[package.removeprefix(f"{_ROOT}.")]

    def __getattr__(name: str) -> NoReturn:
        if name in names:
            # No AttributeError, for which `from package import name` would say its own sentence.
            raise ImportError(f"{package}.{name} is now {_ROOT}.{names[name]}.{name}; change the import")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return __getattr__
