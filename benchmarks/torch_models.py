"""The same networks in plain PyTorch, written as a PyTorch user would; submodules are named as ours."""

import math
from collections import OrderedDict

import numpy as np
import torch
from torch import nn
from torch.nn import functional

Arrays = dict[str, np.ndarray]


class Mlp(nn.Sequential):
    """Flattened images through two layers of 512 with exact GELU."""

    embedding_size = 512

    def __init__(self) -> None:
        """Builds the layers."""
        layers = {"linear1": nn.Linear(3072, 512), "gelu1": nn.GELU()}
        layers |= {"linear2": nn.Linear(512, 512), "gelu2": nn.GELU()}
        super().__init__(OrderedDict(flatten=nn.Flatten(), **layers))


class Vgg11(nn.Sequential):
    """VGG11 without normalisation and classifier."""

    embedding_size = 512

    def __init__(self) -> None:
        """Builds the stages."""
        stages, inputs = OrderedDict(), 3
        for i, (channels, depth) in enumerate(zip((64, 128, 256, 512, 512), (1, 1, 2, 2, 2), strict=True), 1):
            layers = OrderedDict()
            for j in range(1, depth + 1):
                layers[f"conv{j}"] = nn.Conv2d(inputs, channels, 3, padding=1)
                layers[f"relu{j}"] = nn.ReLU(inplace=True)
                inputs = channels
            stages[f"stage{i}"] = nn.Sequential(layers | {"pool": nn.MaxPool2d(2)})
        super().__init__(stages | {"flatten": nn.Flatten()})


def _conv_norm(inputs: int, outputs: int, kernel_size: int, stride: int) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel_size, stride, kernel_size // 2, bias=False)
    return nn.Sequential(OrderedDict(conv=conv, norm=nn.BatchNorm2d(outputs)))


class BasicBlock(nn.Module):
    """``relu(shortcut(x) + f(x))`` with f two 3x3 layers."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        """Builds the layers."""
        super().__init__()
        self.layer1 = _conv_norm(inputs, outputs, 3, stride)
        self.layer2 = _conv_norm(outputs, outputs, 3, 1)
        changes = stride != 1 or inputs != outputs
        self.shortcut = _conv_norm(inputs, outputs, 1, stride) if changes else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images [batch, channels, height, width] to images."""
        return functional.relu(self.layer2(functional.relu(self.layer1(x))) + self.shortcut(x))


class ResNet18(nn.Sequential):
    """ResNet18 with the 3x3 stem for small images, without classifier."""

    embedding_size = 512

    def __init__(self) -> None:
        """Builds stem, stages and the mean over pixels."""
        parts = OrderedDict(stem=_conv_norm(3, 64, 3, 1), relu=nn.ReLU(inplace=True))
        inputs = 64
        for i, channels in enumerate((64, 128, 256, 512), 1):
            first = BasicBlock(inputs, channels, 1 if i == 1 else 2)
            parts[f"stage{i}"] = nn.Sequential(OrderedDict(block1=first, block2=BasicBlock(channels, channels, 1)))
            inputs = channels
        super().__init__(parts | {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()})


class Attention(nn.Module):
    """Self-attention with three heads by PyTorch's fused function."""

    def __init__(self, size: int, num_heads: int) -> None:
        """Builds the projections."""
        super().__init__()
        self.num_heads = num_heads
        self.query_key_value = nn.Linear(size, 3 * size)
        self.output = nn.Linear(size, size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Tokens [batch, length, size] to tokens."""
        batch, length, size = x.shape
        q, k, v = self.query_key_value(x).view(batch, length, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        joined = functional.scaled_dot_product_attention(q, k, v)
        return self.output(joined.transpose(1, 2).reshape(batch, length, size))


class TransformerBlock(nn.Module):
    """``x + attention(norm(x))``, then ``x + mlp(norm(x))``."""

    def __init__(self, size: int, num_heads: int) -> None:
        """Builds the layers."""
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(size, eps=1e-6), nn.LayerNorm(size, eps=1e-6)
        self.attention = Attention(size, num_heads)
        self.hidden, self.output = nn.Linear(size, 4 * size), nn.Linear(4 * size, size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Tokens [batch, length, size] to tokens."""
        x = x + self.attention(self.norm1(x))
        return x + self.output(functional.gelu(self.hidden(self.norm2(x))))


class VitTiny(nn.Module):
    """Twelve blocks of size 192 on 8x8 patches and a class token, whose normalised last state is the embedding."""

    embedding_size = 192

    def __init__(self) -> None:
        """Builds embedding, blocks and the last norm."""
        super().__init__()
        self.patches = nn.Conv2d(3, 192, 8, 8)
        self.class_token = nn.Parameter(0.02 * torch.randn(1, 1, 192))
        self.position = nn.Parameter(0.02 * torch.randn(1, 17, 192))
        for i in range(1, 13):
            self.add_module(f"block{i}", TransformerBlock(192, 3))
        self.norm = nn.LayerNorm(192, eps=1e-6)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images [batch, 3, 32, 32] to embeddings [batch, 192]."""
        patches = self.patches(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(len(images), -1, -1), patches], 1) + self.position
        for i in range(1, 13):
            x = self.get_submodule(f"block{i}")(x)
        return self.norm(x[:, 0])


class Bottleneck(nn.Module):
    """A linear layer whose outputs are divided by their norm."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Builds the layer."""
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Vectors to unit vectors."""
        return functional.normalize(self.linear(x), dim=-1)


class Prototypes(nn.Module):
    """Products with unit vectors, one an output."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Builds the layer."""
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Vectors to logits."""
        return functional.linear(x, functional.normalize(self.linear.weight, dim=1))


class Projector(nn.Sequential):
    """The projector head of Random Teachers and DINO."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Builds the layers."""
        layers = OrderedDict(hidden1=nn.Linear(inputs, 2048), gelu1=nn.GELU())
        layers |= {"hidden2": nn.Linear(2048, 2048), "gelu2": nn.GELU()}
        super().__init__(layers | {"bottleneck": Bottleneck(2048, 256), "output": Prototypes(256, outputs)})


ENCODERS = {"mlp": Mlp, "vgg11": Vgg11, "resnet18": ResNet18, "vit_tiny": VitTiny}


def create_model(encoder: str, outputs: int) -> nn.Module:
    """An encoder with the projector."""
    network = ENCODERS[encoder]()
    return nn.Sequential(OrderedDict(encoder=network, head=Projector(network.embedding_size, outputs)))


def parameter_count(model: nn.Module) -> int:
    """Number of trained scalars."""
    return sum(p.numel() for p in model.parameters())


def load_ours(model: nn.Module, params: Arrays, model_state: Arrays) -> None:
    """Puts our parameters and running statistics, by path such as ``encoder/stage1/conv1/kernel``, into a model."""
    renamed = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}
    state = {}
    for path, value in (params | model_state).items():
        *where, last = path.split("/")
        name = ".".join([*where, renamed.get(last, last)])
        state[name] = torch.tensor(_torch_layout(path, value))
    missing, unexpected = model.load_state_dict(state, strict=False)
    lacking = [name for name in missing if not name.endswith("num_batches_tracked")]
    if lacking or unexpected:
        raise ValueError(f"the networks differ: PyTorch's alone has {lacking}, ours alone {unexpected}.")


def _torch_layout(path: str, value: np.ndarray) -> np.ndarray:
    if not path.endswith("kernel"):
        return value
    if path == "encoder/linear1/kernel" and math.isqrt(len(value) // 3) ** 2 * 3 == len(value):
        # Ours flattens images channels last, PyTorch's channels first.
        side = math.isqrt(len(value) // 3)
        value = value.reshape(side, side, 3, -1).transpose(2, 0, 1, 3).reshape(value.shape)
    return value.transpose(3, 2, 0, 1) if value.ndim == 4 else value.T
