"""Imported networks compute what PyTorch's do, block by block, from files that torch.save wrote."""

import jax
import numpy as np
import pytest
import torch_networks as theirs
from torch_networks import torch

from repcon_jax.errors import CheckpointError
from repcon_jax.run.networks import load_network
from repcon_jax.weights import export_tensors, read_tensors
from repcon_jax.weights.__main__ import main

VGG = ((1, 1, 2, 2, 2), (8, 16, 32, 64, 64))
# The network, the command's further words, and the sizes at which it is compared; the first is its own.
NETWORKS = {
    "resnet50": (
        lambda: theirs.ResNet(True, (1, 2, 1, 1), 8, 5, large=True),
        ["resnet50", "blocks=(1,2,1,1)", "width=0.125"],
        [(224, 224), (64, 96)],
    ),
    "resnet18": (
        lambda: theirs.ResNet(False, (2, 1, 1, 1), 8, 5, large=False),
        ["resnet18", "blocks=(2,1,1,1)", "width=0.125"],
        [(32, 32)],
    ),
    "vgg11": (lambda: theirs.Vgg(*VGG, False, 2, (24, 20), 5), ["vgg11", "width=0.125"], [(64, 64)]),
    "vgg11_bn": (lambda: theirs.Vgg(*VGG, True, 2, (24,), 5), ["vgg11", "width=0.125"], [(64, 64)]),
    "vgg11 without linear layers": (lambda: theirs.Vgg(*VGG, True, 1, (), 5), ["vgg11", "width=0.125"], [(32, 32)]),
    "timm vit": (
        lambda: theirs.Vit(192, 3, 8, 4, 2, "timm", classes=5),
        ["vit_tiny", "depth=2"],
        [(32, 32), (48, 24)],
    ),
    "timm vit of registers": (
        lambda: theirs.Vit(192, 3, 14, 5, 2, "timm_no_class", registers=4, scaled=True),
        ["vit_tiny", "depth=2"],
        [(70, 70), (42, 98)],
    ),
    "dinov2": (
        lambda: theirs.Vit(192, 3, 14, 5, 2, "dino", scaled=True),
        ["vit_tiny", "depth=2"],
        [(70, 70), (42, 98)],
    ),
    "dinov2 of registers": (
        lambda: theirs.Vit(192, 3, 14, 5, 2, "dino", registers=4, scaled=True),
        ["vit_tiny", "depth=2"],
        [(70, 70), (42, 98)],
    ),
    "torchvision vit": (
        lambda: theirs.TorchvisionVit(192, 3, 8, 4, 2, 5),
        ["vit_tiny", "depth=2"],
        [(32, 32)],
    ),
}


@pytest.fixture(scope="module", params=NETWORKS)
def imported(request, tmp_path_factory):
    """PyTorch's network, ours after the import, and the sizes."""
    build, (encoder, *options), sizes = NETWORKS[request.param]
    network, folder = theirs.randomise(build()), tmp_path_factory.mktemp("imported")
    torch.save(network.state_dict(), folder / "network.pth")
    words = [word for option in ("convolution=xla", *options) for word in ("--option", option)]
    assert main(["import", str(folder / "network.pth"), str(folder / "run"), "--encoder", encoder, *words]) == 0
    return network, load_network(str(folder / "run" / "checkpoints" / "weights" / "0")), sizes


def test_every_block_computes_the_same_at_every_size(imported):
    network, ours, sizes = imported
    assert ours.pixels.size == sizes[0]
    for i, size in enumerate(sizes):
        images = np.random.default_rng(i).normal(size=(2, *size, 3)).astype(np.float32)
        with torch.no_grad():
            expected = network(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
        apply = jax.jit(lambda *arguments: ours.model.apply(*arguments, False, True)[2])
        found = apply(ours.params, ours.model_state, images)
        assert expected.keys() <= found.keys()
        assert found.keys() - expected.keys() <= {"encoder.embedding"}
        for name, values in expected.items():
            values = values.numpy()
            values = values.transpose(0, 2, 3, 1) if values.ndim == 4 else values
            atol = 1e-4 * np.abs(values).max()
            np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=atol, err_msg=name)
            assert np.ptp(values) > 0


def test_what_is_exported_is_the_state_dict_that_was_imported(imported):
    network, ours, _ = imported
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    state = {name: tensor for name, tensor in state.items() if not name.endswith(("num_batches_tracked", "mask_token"))}
    exported = export_tensors(ours, "timm" if "cls_token" in state else "torchvision")
    if "register_tokens" in state:
        exported = export_tensors(ours, "dino")
    assert exported.keys() == state.keys()
    for name, tensor in state.items():
        np.testing.assert_array_equal(exported[name], tensor)


def test_what_torch_save_writes_is_read_as_torch_load_reads_it(tmp_path):
    draw = torch.Generator().manual_seed(0)
    saved = {
        "turned": torch.randn(3, 4, 5, generator=draw).permute(2, 0, 1),
        "part": torch.randn(8, generator=draw)[2:7:2],
        "parameter": torch.nn.Parameter(torch.randn(3, generator=draw)),
        "half": torch.randn(3, generator=draw).to(torch.float16),
        "counts": torch.arange(3),
        "flag": torch.tensor(True),
        "expanded": torch.ones(1, 3).expand(4, 3),
    }
    torch.save({"epoch": 3, "state": saved, "note": "x"}, tmp_path / "a.pth")
    found = read_tensors(tmp_path / "a.pth")
    assert found.keys() == {f"state.{name}" for name in saved}
    for name, tensor in torch.load(tmp_path / "a.pth", weights_only=True)["state"].items():
        expected = tensor.detach().numpy()
        assert found[f"state.{name}"].dtype == expected.dtype
        np.testing.assert_array_equal(found[f"state.{name}"], expected)


def test_what_is_no_state_dict_is_refused(tmp_path):
    torch.save({"model": torch.nn.Linear(2, 2)}, tmp_path / "module.pth")
    with pytest.raises(CheckpointError, match=r"it holds a torch.nn.modules.linear.Linear and reading that could run"):
        read_tensors(tmp_path / "module.pth")
    torch.save({"a": torch.ones(2)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match=r"cannot be read as a zip file of torch.save \(BadZipFile\); load it"):
        read_tensors(tmp_path / "old.pth")


def test_a_network_is_loaded_into_pytorch_as_it_was_exported(imported):
    network, ours, _ = imported
    format = "torchvision" if "cls_token" not in network.state_dict() else "timm"
    format = "dino" if "mask_token" in network.state_dict() else format
    state = {name: torch.from_numpy(tensor.copy()) for name, tensor in export_tensors(ours, format).items()}
    images = torch.randn(1, 3, *ours.pixels.size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = network(images)["head.logits"]
        theirs.randomise(network, 1)
        assert not torch.allclose(network(images)["head.logits"], expected)
        missing, surplus = network.load_state_dict(state, strict=False)
        assert set(missing) <= {"mask_token"}
        assert not surplus
        assert torch.equal(network(images)["head.logits"], expected)
