"""Networks in plain PyTorch with the names of torchvision, timm and DINOv2, which give every block's output by ours.

Written from the papers; only the names are those of the libraries.
"""

import pytest

torch = pytest.importorskip("torch", reason="PyTorch, of requirements-bench.txt, is not installed")
nn, F = torch.nn, torch.nn.functional


def randomise(module, seed=0):
    """Draws everything at random, running statistics too, so that nothing is the identity by chance."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2.0, generator=draw)
            elif tensor.is_floating_point():
                fan_in = tensor[0].numel() if tensor.ndim > 1 and tensor.shape[0] > 1 else 4
                tensor.normal_(0.0, fan_in**-0.5, generator=draw)
                if tensor.ndim == 1 and name.endswith("weight"):
                    tensor.add_(1.0)
    return module.eval()


def norm2d(channels):
    return nn.BatchNorm2d(channels)


class Block(nn.Module):
    def __init__(self, inputs, channels, stride, bottleneck):
        super().__init__()
        outputs = 4 * channels if bottleneck else channels
        shape = [(inputs, channels, 1, 1), (channels, channels, 3, stride), (channels, outputs, 1, 1)]
        shape = shape if bottleneck else [(inputs, channels, 3, stride), (channels, channels, 3, 1)]
        self.count = len(shape)
        for i, (before, after, kernel, step) in enumerate(shape, 1):
            setattr(self, f"conv{i}", nn.Conv2d(before, after, kernel, step, kernel // 2, bias=False))
            setattr(self, f"bn{i}", norm2d(after))
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), norm2d(outputs))

    def forward(self, x):
        y = x
        for i in range(1, self.count + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            y = torch.relu(y) if i < self.count else y
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, bottleneck, depths, channels, classes, large):
        super().__init__()
        self.large, self.depths = large, depths
        stem = (7, 2, 3) if large else (3, 1, 1)
        self.conv1, self.bn1 = nn.Conv2d(3, channels, *stem, bias=False), norm2d(channels)
        inputs, expansion = channels, 4 if bottleneck else 1
        for s, depth in enumerate(depths):
            width, blocks = channels * 2**s, []
            for i in range(depth):
                blocks.append(Block(inputs, width, 2 if s and not i else 1, bottleneck))
                inputs = width * expansion
            setattr(self, f"layer{s + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = F.max_pool2d(x, 3, 2, 1) if self.large else x
        features = {"encoder.stem": x}
        for s in range(1, len(self.depths) + 1):
            for i, block in enumerate(getattr(self, f"layer{s}"), 1):
                x = features[f"encoder.stage{s}.block{i}"] = block(x)
        x = features["encoder.embedding"] = x.mean((2, 3))
        return features | {"head.logits": self.fc(x)}


class Vgg(nn.Module):
    def __init__(self, depths, channels, batch_norm, side, hidden, classes):
        super().__init__()
        layers, inputs, self.places = [], 3, {}
        for stage, (depth, width) in enumerate(zip(depths, channels, strict=True), 1):
            for i in range(1, depth + 1):
                layers.append(nn.Conv2d(inputs, width, 3, padding=1))
                layers += [norm2d(width)] if batch_norm else []
                layers.append(nn.ReLU())
                inputs, self.places[len(layers) - 1] = width, f"encoder.stage{stage}.conv{i}"
            layers.append(nn.MaxPool2d(2))
        self.features, sizes, last = nn.Sequential(*layers), (inputs * side**2, *hidden), []
        for i in range(len(hidden)):
            last += [nn.Linear(sizes[i], sizes[i + 1]), nn.ReLU(), nn.Dropout()]
        self.classifier = nn.Sequential(*last, nn.Linear(sizes[-1], classes))

    def forward(self, x):
        features = {}
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i in self.places:
                features[self.places[i]] = x
        x, number = x.flatten(1), 0
        for layer in self.classifier[:-1]:
            x = layer(x)
            if isinstance(layer, nn.ReLU):
                number += 1
                features[f"encoder.linear{number}"] = x
        # Flattened images are in another order there, so the embedding is compared where layers follow.
        features |= {"encoder.embedding": x} if number else {}
        return features | {"head.logits": self.classifier[-1](x)}


class Attention(nn.Module):
    def __init__(self, size, heads):
        super().__init__()
        self.heads, self.qkv, self.proj = heads, nn.Linear(size, 3 * size), nn.Linear(size, size)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = self.qkv(x).reshape(b, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) * (c // self.heads) ** -0.5).softmax(-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(b, t, c))


class Mlp(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(size, 4 * size), nn.Linear(4 * size, size)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class Gain(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(size))

    def forward(self, x):
        return x * self.gamma


class Transformer(nn.Module):
    def __init__(self, size, heads, scaled):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(size, 1e-6), nn.LayerNorm(size, 1e-6)
        self.attn, self.mlp = Attention(size, heads), Mlp(size)
        self.ls1, self.ls2 = (Gain(size) if scaled else nn.Identity() for _ in range(2))

    def forward(self, x):
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class Patches(nn.Module):
    def __init__(self, size, patch):
        super().__init__()
        self.proj = nn.Conv2d(3, size, patch, patch)


class Vit(nn.Module):
    """``style`` is timm, with or without a position of the class token, or dino, which has one."""

    def __init__(self, size, heads, patch, side, depth, style, registers=0, scaled=False, classes=None):
        super().__init__()
        self.style, self.patch, self.side, self.has_registers = style, patch, side, registers > 0
        self.own = style != "timm_no_class"
        self.patch_embed = Patches(size, patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, size))
        self.pos_embed = nn.Parameter(torch.zeros(1, side**2 + self.own, size))
        if registers:
            name = "register_tokens" if style == "dino" else "reg_token"
            setattr(self, name, nn.Parameter(torch.zeros(1, registers, size)))
        if style == "dino":
            self.mask_token = nn.Parameter(torch.zeros(1, size))
        self.blocks = nn.ModuleList(Transformer(size, heads, scaled) for _ in range(depth))
        self.norm = nn.LayerNorm(size, 1e-6)
        self.head = nn.Identity() if classes is None else nn.Linear(size, classes)

    def positions(self, rows, columns):
        own, patches = self.pos_embed[:, : int(self.own)], self.pos_embed[:, int(self.own) :]
        grid = patches.reshape(1, self.side, self.side, -1).permute(0, 3, 1, 2)
        if self.style == "dino" and not self.has_registers:
            scale = ((rows + 0.1) / self.side, (columns + 0.1) / self.side)
            grid = F.interpolate(grid, scale_factor=scale, mode="bicubic")
        else:
            grid = F.interpolate(grid, size=(rows, columns), mode="bicubic", antialias=True)
        return own, grid.permute(0, 2, 3, 1).flatten(1, 2)

    def forward(self, x):
        x = self.patch_embed.proj(x)
        rows, columns = x.shape[2:]
        x = x.flatten(2).transpose(1, 2)
        if (rows, columns) == (self.side, self.side):
            own, patches = self.pos_embed[:, : int(self.own)], self.pos_embed[:, int(self.own) :]
        else:
            own, patches = self.positions(rows, columns)
        first = (self.cls_token + own if self.own else self.cls_token).expand(len(x), -1, -1)
        tokens = [first]
        if self.has_registers:
            registers = self.register_tokens if self.style == "dino" else self.reg_token
            tokens.append(registers.expand(len(x), -1, -1))
        x = torch.cat([*tokens, x + patches], 1)
        features = {"encoder.tokens": x}
        for i, block in enumerate(self.blocks, 1):
            x = features[f"encoder.block{i}"] = block(x)
        x = features["encoder.embedding"] = self.norm(x)[:, 0]
        return features | {"head.logits": self.head(x)}


class Layer(nn.Module):
    def __init__(self, size, heads):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(size, 1e-6), nn.LayerNorm(size, 1e-6)
        self.self_attention = nn.MultiheadAttention(size, heads, batch_first=True)
        self.mlp = nn.Sequential(
            nn.Linear(size, 4 * size), nn.GELU(), nn.Dropout(), nn.Linear(4 * size, size), nn.Dropout()
        )

    def forward(self, x):
        y = self.ln_1(x)
        x = x + self.self_attention(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class TorchvisionVit(nn.Module):
    def __init__(self, size, heads, patch, side, depth, classes):
        super().__init__()
        self.conv_proj, self.class_token = nn.Conv2d(3, size, patch, patch), nn.Parameter(torch.zeros(1, 1, size))
        self.encoder = nn.Module()
        self.encoder.pos_embedding = nn.Parameter(torch.zeros(1, side**2 + 1, size))
        self.encoder.layers = nn.ModuleDict({f"encoder_layer_{i}": Layer(size, heads) for i in range(depth)})
        self.encoder.ln = nn.LayerNorm(size, 1e-6)
        self.heads = nn.ModuleDict({"head": nn.Linear(size, classes)})

    def forward(self, x):
        x = self.conv_proj(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(len(x), -1, -1), x], 1) + self.encoder.pos_embedding
        features = {"encoder.tokens": x}
        for i, layer in enumerate(self.encoder.layers.values(), 1):
            x = features[f"encoder.block{i}"] = layer(x)
        x = features["encoder.embedding"] = self.encoder.ln(x)[:, 0]
        return features | {"head.logits": self.heads["head"](x)}
