"""Whether PyTorch's networks are ours: the same numbers of parameters, and the same logits from the same weights.

python -m benchmarks.agreement vgg11 resnet18
"""

import json
import sys
from typing import Any

import jax
import numpy as np
import torch

from benchmarks.inputs import MEAN, STD, images
from benchmarks.ours import Network
from benchmarks.torch_models import create_model, load_ours, parameter_count

OUTPUTS, BATCH, TOLERANCE = 64, 8, 1e-3


def check(encoder: str) -> dict[str, Any]:
    """Compares evaluation and training mode.

    Logits are sums over unit vectors, so a tolerance relative to the largest of them is one for all encoders.

    Raises:
        ValueError: the networks differ.
    """
    network = Network(encoder, OUTPUTS)
    params, model_state = network.arrays()
    model = create_model(encoder, OUTPUTS)
    load_ours(model, params, model_state)
    batch = (np.float32(images(BATCH)) / 255 - np.float32(MEAN)) / np.float32(STD)
    differences = {}
    for mode in ("evaluation", "training"):
        ours = network.logits(batch, mode == "training")
        model.train(mode == "training")
        with torch.no_grad():
            theirs = model(torch.tensor(batch).permute(0, 3, 1, 2)).numpy()
        differences[mode] = float(np.abs(ours - theirs).max() / np.abs(ours).max())
    count = sum(value.size for value in params.values())
    if parameter_count(model) != count or not max(differences.values()) < TOLERANCE:
        raise ValueError(f"{encoder} has {count} parameters, PyTorch's {parameter_count(model)}; {differences}.")
    return {"encoder": encoder, "parameters": count, "difference": differences, "tolerance": TOLERANCE}


if __name__ == "__main__":
    jax.config.update("jax_disable_most_optimizations", True)  # compiling is most of this
    print(json.dumps([check(name) for name in sys.argv[1:]]))
