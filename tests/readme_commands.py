"""The commands of the README, and which arguments of which config they name."""

import pathlib
import re
import shlex

README = (pathlib.Path(__file__).parents[1] / "README.md").read_text()


def blocks(language):
    """The blocks of code in a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


COMMANDS = [line for block in blocks("bash") for line in block.strip().splitlines()]
EXPERIMENTS = [line for line in COMMANDS if "-m repcon_jax --config" in line]
WEIGHTS = [line for line in COMMANDS if "-m repcon_jax.weights" in line]


def arguments_named(config):
    """The arguments that an experiment of the README gives to a config file, such as ``landscape``."""
    words = [shlex.split(line) for line in EXPERIMENTS]
    given = [line[line.index("--config") + 1].partition(":") for line in words]
    return {name for path, _, names in given if pathlib.Path(path).stem == config for name in names.split(",")}
