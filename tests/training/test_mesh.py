import json
import os
import pathlib
import subprocess
import sys

import pytest

from repcon_jax.errors import ConfigError
from repcon_jax.training.mesh import MeshConfig, build_mesh

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def eight():
    flags = "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flags}",
    }
    command = [sys.executable, str(ROOT / "tests" / "eight_devices.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_eight_devices_compute_what_one_does(eight):
    kept_once = eight.pop("fraction of a sharded kernel on one device")
    assert kept_once == 1 / 8
    assert eight.pop("put back from the host") == 0
    assert len(eight) == 8
    assert max(eight.values()) < 2e-4, eight


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"member": 0}, r"mesh.member is 0 but must lie in \[1"),
        ({"member": 2}, "mesh.member x mesh.data is 2 x 1 but must divide the number of devices, 1"),
        ({"data": 3}, "mesh.member x mesh.data is 1 x 3 but must divide the number of devices, 1"),
        ({"memory_gb": 0.0}, "mesh.memory_gb is 0.0"),
        ({"parameters": "shard"}, "has the placement 'shard' but it must be 'replicated', 'sharded' or"),
        ({"parameters": (("(", "sharded"),)}, "which is no regular expression"),
        ({"parameters": ((".*", "sharded(rows=1)"),)}, "has the placement"),
    ],
)
def test_a_mesh_that_does_not_fit_is_told_in_one_sentence(options, message):
    with pytest.raises(ConfigError, match=message):
        build_mesh(MeshConfig(**options), 1, 1, 8)
