"""What was written for names of earlier versions gets one sentence with the new one."""

import importlib
import importlib.util
import subprocess
import sys

import pytest

from repcon_jax.__main__ import main
from repcon_jax.moved import ATTRIBUTES, MODULES

OLD_CONFIG = """
from repcon_jax.config import ExperimentConfig, plain_config, split_arguments, with_options


def get_config(argument):
    return {}
"""


@pytest.mark.parametrize("old", MODULES)
def test_an_old_module_says_the_new_one(old):
    new, _ = MODULES[old]
    assert importlib.util.find_spec(f"repcon_jax.{new}") is not None
    with pytest.raises(ModuleNotFoundError, match=rf"^repcon_jax\.{old} is now repcon_jax\.{new}( \(.+\))?; change "):
        importlib.import_module(f"repcon_jax.{old}")
    package, _, name = f"repcon_jax.{old}".rpartition(".")
    with pytest.raises(ImportError, match=rf"is now repcon_jax\.{new}"):
        exec(f"from {package} import {name}")


def test_what_notes_say_of_renamed_things_is_so():
    from repcon_jax.merging import match_weights
    from repcon_jax.options.choices import differing_fields, split_arguments, with_options
    from repcon_jax.run.experiment import Experiment, build_experiment
    from repcon_jax.run.group_training import GroupTraining
    from repcon_jax.run.members import Member
    from repcon_jax.tasks.lottery.tickets import Ticket

    notes = " ".join(note for _, note in MODULES.values())
    for thing in (
        *(match_weights, differing_fields, split_arguments, with_options, Experiment, build_experiment),
        *(GroupTraining, Member, Ticket),
    ):
        assert thing.__name__ in notes


@pytest.mark.parametrize(
    ("package", "name"), [(package, name) for package in ATTRIBUTES for name in ATTRIBUTES[package]]
)
def test_an_old_name_says_the_new_one(package, name):
    new = f"repcon_jax.{ATTRIBUTES[package][name]}"
    assert hasattr(importlib.import_module(new), name)
    with pytest.raises(ImportError, match=rf"^repcon_jax\.{package}\.{name} is now {new}\.{name}; change the import$"):
        exec(f"from repcon_jax.{package} import {name}")


def test_other_names_are_missing_as_always():
    import repcon_jax.landscape

    assert not hasattr(repcon_jax.landscape, "no_such_thing")
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'repcon_jax\.no_such_room'"):
        importlib.import_module("repcon_jax.no_such_room")


def test_an_old_config_file_gets_one_sentence(tmp_path, capsys):
    (tmp_path / "old.py").write_text(OLD_CONFIG)
    assert main([f"--config={tmp_path / 'old.py'}", f"--workdir={tmp_path / 'run'}"]) == 2
    assert capsys.readouterr().err == (
        f"error: --config {tmp_path / 'old.py'} does not run: repcon_jax.config is now repcon_jax.run.config "
        "(with_options, differing_fields and split_arguments are in repcon_jax.options.choices); change the import.\n"
    )


def test_importing_the_package_stays_instant():
    heavy = ("jax", "numpy", "flax", "ml_collections")
    code = f"import sys; import repcon_jax; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
