"""The same distillation step in PyTorch, eager or compiled: an honest baseline with the switches one would set."""

import contextlib
import os
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.inputs import MEAN, STD, images
from benchmarks.torch_models import create_model, parameter_count


def device() -> torch.device:
    """The GPU where there is one; sets what makes PyTorch fast on it, and all cores elsewhere."""
    torch.set_num_threads(os.cpu_count() or 1)
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def synchronise() -> None:
    """Waits for the GPU."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def device_peak_bytes() -> int | None:
    """The most GPU memory that tensors took; None without a GPU."""
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None


class Distillation(nn.Module):
    """Loss and KL of student from teacher on the images at some indices."""

    def __init__(self, encoder: str, outputs: int, dtype: str, where: torch.device) -> None:
        """Builds both networks."""
        super().__init__()
        self.teacher = create_model(encoder, outputs).eval().requires_grad_(False)
        self.student = create_model(encoder, outputs).train()
        for name, values in (("mean", MEAN), ("std", STD)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1))
        self.dtype, self.where = dtype, where

    def forward(self, pixels: torch.Tensor, indices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss and KL, both batch means."""
        batch = (pixels[indices].float() / 255 - self.mean) / self.std
        batch = batch.contiguous(memory_format=torch.channels_last)
        with self._precision():
            with torch.no_grad():
                teacher = self.teacher(batch)
            student = self.student(batch)
        log_student = functional.log_softmax(student.float(), -1)
        log_teacher = functional.log_softmax(teacher.float(), -1)
        targets = log_teacher.exp()
        loss = -(targets * log_student).sum(-1).mean()
        kl = (targets * (log_teacher - log_student.detach())).sum(-1).mean()
        return loss, kl

    def _precision(self) -> contextlib.AbstractContextManager:
        if self.dtype == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.where.type, torch.bfloat16)


class Training:
    """A training run that can be advanced by any number of steps."""

    def __init__(
        self,
        encoder: str,
        batch_size: int,
        outputs: int,
        num_images: int,
        dtype: str = "float32",
        compiled: bool = False,
    ) -> None:
        """Puts images, networks and optimiser on the device; compiles at the first step."""
        where = device()
        torch.manual_seed(0)
        self.pixels = torch.tensor(images(num_images)).permute(0, 3, 1, 2).to(where)
        self.method = Distillation(encoder, outputs, dtype, where).to(where, memory_format=torch.channels_last)
        # The fused optimiser is the fastest on GPU and CPU alike.
        student = self.method.student.parameters()
        self.optimiser = torch.optim.AdamW(student, lr=1e-3, weight_decay=0.0, fused=True)
        self.loss = torch.compile(self.method, fullgraph=True) if compiled else self.method
        self.batch_size, self.order = batch_size, torch.empty(0, dtype=torch.long)
        self.metrics: list[tuple[torch.Tensor, torch.Tensor]] = []

    def steps(self, n: int) -> None:
        """Makes ``n`` steps and waits for them; metrics are read once, at the end."""
        self.metrics = [self._step() for _ in range(n)]
        last = torch.stack(self.metrics[-1]).cpu()
        if not torch.isfinite(last).all():
            raise ValueError(f"loss and KL became {last.tolist()}.")

    def _step(self) -> tuple[torch.Tensor, torch.Tensor]:
        loss, kl = self.loss(self.pixels, self._indices())
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return loss.detach(), kl.detach()

    def _indices(self) -> torch.Tensor:
        if len(self.order) < self.batch_size:
            self.order = torch.randperm(len(self.pixels), device=self.pixels.device)
        indices, self.order = self.order[: self.batch_size], self.order[self.batch_size :]
        return indices

    def about(self) -> dict[str, Any]:
        """What does not change from turn to turn."""
        return {"parameters": parameter_count(self.method.student), "torch": torch.__version__}

    def peak_bytes(self) -> int | None:
        """Peak GPU memory."""
        return device_peak_bytes()


class Features:
    """Embeddings of images by a frozen encoder, batch by batch."""

    def __init__(self, encoder: str, batch_size: int, compiled: bool = False) -> None:
        """Puts the encoder on the device; the images stay on the host."""
        where = device()
        network = create_model(encoder, 16).encoder.eval().to(where, memory_format=torch.channels_last)
        self.network = torch.compile(network, fullgraph=True) if compiled else network
        self.pixels = torch.tensor(images(batch_size)).permute(0, 3, 1, 2)
        self.mean, self.std = (torch.tensor(v, device=where).view(1, 3, 1, 1) for v in (MEAN, STD))

    @torch.no_grad()
    def steps(self, n: int) -> None:
        """Embeds ``n`` batches."""
        parts = []
        for _ in range(n):
            batch = (self.pixels.to(self.mean.device).float() / 255 - self.mean) / self.std
            parts.append(self.network(batch.contiguous(memory_format=torch.channels_last)))
        torch.cat(parts)
        synchronise()


class LinearProbe:
    """The paper's linear probe: ten epochs of AdamW over fixed batches."""

    def __init__(self, train: int, features: int) -> None:
        """Draws features and labels."""
        rng = np.random.default_rng(0)
        self.features = torch.tensor(rng.standard_normal((train, features), np.float32), device=device())
        self.labels = torch.tensor(rng.integers(0, 10, train), device=self.features.device)

    def steps(self, n: int) -> None:
        """Fits ``n`` times."""
        for _ in range(n):
            self._fit()
        synchronise()

    def _fit(self) -> None:
        classifier = nn.Linear(self.features.shape[1], 10, device=self.features.device)
        optimiser = torch.optim.AdamW(classifier.parameters(), lr=1e-3, weight_decay=1e-2, fused=True)
        order = torch.randperm(len(self.features), device=self.features.device)
        for _ in range(10):
            for batch in order.split(256):
                loss = functional.cross_entropy(classifier(self.features[batch]), self.labels[batch])
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()


class Matmul:
    """Square matrix products in a chain."""

    def __init__(self, size: int, dtype: str) -> None:
        """Draws the factors; a factor 1 / sqrt(size) keeps the chain's values of one size."""
        where = device()
        torch.set_float32_matmul_precision("highest" if dtype == "float32" else "high")
        kind = torch.bfloat16 if dtype == "bfloat16" else torch.float32
        self.left = torch.randn(size, size, device=where).to(kind)
        self.right = (torch.randn(size, size, device=where) * size**-0.5).to(kind)

    @torch.no_grad()
    def steps(self, n: int) -> None:
        """``n`` products."""
        x = self.left
        for _ in range(n):
            x = x @ self.right
        synchronise()
