import json
import os
import pathlib
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
from test_population import MLP

from repcon_jax.__main__ import main
from repcon_jax.errors import ArgumentError
from repcon_jax.records.metrics_log import read_metrics
from repcon_jax.training.checkpoints import read_network
from repcon_jax.training.mesh import MeshConfig, build_mesh

ROOT = pathlib.Path(__file__).parents[2]


def with_eight_devices(*command):
    """What Python prints where the CPU simulates eight devices."""
    flags = "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flags}",
    }
    done = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def eight():
    return json.loads(with_eight_devices(str(ROOT / "tests" / "eight_devices.py")))


@pytest.mark.slow
def test_a_run_begun_on_one_device_goes_on_with_eight(tmp_path):
    arguments = [*MLP, "--config.optimiser.name=sgd", "--config.probe.probes=()"]
    arguments += ["--config.mesh.parameters=sharded", "--config.checkpoint.keep=('6 steps',)"]
    alone, moved = tmp_path / "alone", tmp_path / "moved"
    assert main([*arguments, f"--workdir={alone}"]) == 0
    shutil.copytree(alone, moved)
    # What a kill after the checkpoint of step 6 leaves.
    shutil.rmtree(moved / "checkpoints" / "seed_0" / "12")
    (moved / "members" / "seed_0.json").unlink()
    (moved / "results.json").unlink()

    with_eight_devices("-m", "repcon_jax", *arguments, f"--workdir={moved}")
    assert len(json.loads((moved / "environment.json").read_text())["devices"]) == 8
    ends = [read_network(str(folder / "checkpoints" / "seed_0" / "12"))[:2] for folder in (alone, moved)]
    for a, b in zip(*map(jax.tree.leaves, ends), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    rows = [[row for row in read_metrics(folder) if row["kind"] == "train"] for folder in (alone, moved)]
    assert [row["step"] for row in rows[1]] == [0, 4, 8, 12]
    for a, b in zip(*rows, strict=True):
        del a["kind"], b["kind"]
        assert a == pytest.approx(b, rel=1e-3, abs=1e-6)


@pytest.mark.slow
def test_eight_devices_compute_what_one_does(eight):
    kept_once = eight.pop("fraction of a sharded kernel on one device")
    assert kept_once == 1 / 8
    assert eight.pop("put back from the host") == 0
    assert len(eight) == 8
    assert max(eight.values()) < 2e-4, eight


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"member": 0}, r"^member is 0 but must lie in \[1"),
        ({"member": 2}, "^member x data is 2 x 1 but must divide the number of devices, 1"),
        ({"data": 3}, "^member x data is 1 x 3 but must divide the number of devices, 1"),
        ({"memory_gb": 0.0}, "^memory_gb is 0.0"),
        ({"parameters": "shard"}, "^parameters has the placement 'shard' but it must be 'replicated', 'sharded' or"),
        ({"parameters": (("(", "sharded"),)}, "which is no regular expression"),
        ({"parameters": ((".*", "sharded(rows=1)"),)}, "has the placement"),
    ],
)
def test_a_mesh_that_does_not_fit_is_told_in_one_sentence(options, message):
    with pytest.raises(ArgumentError, match=message):
        build_mesh(MeshConfig(**options), 1, 1)
