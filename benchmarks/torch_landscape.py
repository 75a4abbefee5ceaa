"""The plain PyTorch loop over points of a plane: weights are mixed into one network, which is then evaluated."""

import torch
from torch.nn import functional

from benchmarks.inputs import MEAN, STD, images
from benchmarks.torch_models import create_model
from benchmarks.torch_step import device, synchronise


class Landscape:
    """KL to the first of three networks at points of the plane through them."""

    def __init__(self, encoder: str, batch_size: int, outputs: int, points: int) -> None:
        """Puts networks and two batches of images on the device; the teacher's outputs are computed once."""
        where = device()
        torch.manual_seed(0)
        networks = [
            create_model(encoder, outputs).eval().to(where, memory_format=torch.channels_last) for _ in range(3)
        ]
        self.network = networks[0]
        self.anchors = [{name: value.clone() for name, value in net.state_dict().items()} for net in networks]
        mean, std = (torch.tensor(values, device=where).view(1, 3, 1, 1) for values in (MEAN, STD))
        pixels = torch.tensor(images(2 * batch_size)).permute(0, 3, 1, 2).to(where)
        batches = ((pixels.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)
        self.batches = batches.split(batch_size)
        self.coordinates = torch.rand(points, 2, device=where)
        with torch.no_grad():
            self.teacher = [functional.log_softmax(self.network(batch), -1) for batch in self.batches]

    @torch.no_grad()
    def steps(self, n: int) -> None:
        """Measures all points ``n`` times."""
        for _ in range(n):
            values = torch.stack([self._at(x, y) for x, y in self.coordinates])
        synchronise()
        if not torch.isfinite(values).all():
            raise ValueError("a divergence became NaN or infinite.")

    def _at(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        first, second, third = self.anchors
        for name, value in self.network.state_dict().items():
            if value.is_floating_point():
                value.copy_((1 - x - y) * first[name] + x * second[name] + y * third[name])
        divergences = []
        for batch, teacher in zip(self.batches, self.teacher, strict=True):
            student = functional.log_softmax(self.network(batch), -1)
            divergences.append((teacher.exp() * (teacher - student)).sum(-1))
        return torch.cat(divergences).mean()
