"""The workloads on PyTorch, eager, at its own defaults."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from benchmarks import sizes

torch.set_num_threads(1)


def version() -> str:
    return f"PyTorch {torch.__version__}"


def graph() -> sizes.Workload:
    x, w, b, c = (torch.tensor(a, requires_grad=True) for a in sizes.small_matrices())

    def run() -> None:
        y = x
        for _ in range(sizes.ROUNDS):
            y = torch.tanh(y @ w + b) * c
        y.sum().backward()
        x.grad = w.grad = b.grad = c.grad = None

    return run


def mlp_pass() -> sizes.Workload:
    network, loss_of = _mlp(sizes.LAYERS, nn.ReLU), nn.CrossEntropyLoss()
    pixels, labels = (torch.from_numpy(a) for a in sizes.images())

    def run() -> None:
        loss_of(network(pixels), labels).backward()
        network.zero_grad()

    return run


def mlp_step() -> sizes.Workload:
    network, loss_of = _mlp(sizes.LAYERS, nn.ReLU), nn.CrossEntropyLoss()
    pixels, labels = (torch.from_numpy(a) for a in sizes.images())
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)

    def run() -> None:
        optimizer.zero_grad()
        loss_of(network(pixels), labels).backward()
        optimizer.step()

    return run


def double_backward() -> sizes.Workload:
    critic = _mlp(sizes.CRITIC, nn.Tanh)
    pixels = torch.from_numpy(sizes.images()[0])

    def run() -> None:
        x = pixels.detach().requires_grad_()
        (slope,) = torch.autograd.grad(critic(x).sum(), [x], create_graph=True)
        (slope * slope).sum(dim=1).mean().backward()
        critic.zero_grad()

    return run


def gelu() -> sizes.Workload:
    return _both_ways(nn.GELU("tanh"), torch.from_numpy(sizes.features()).repeat(1, 1, 4))


def norm_relu() -> sizes.Workload:
    return _both_ways(nn.Sequential(nn.BatchNorm2d(64), nn.ReLU()), torch.from_numpy(sizes.maps()))


def softmax() -> sizes.Workload:
    return _both_ways(nn.Softmax(-1), torch.from_numpy(sizes.features()))


def layernorm() -> sizes.Workload:
    return _both_ways(nn.LayerNorm(128), torch.from_numpy(sizes.features()))


def _both_ways(layer: nn.Module, x: torch.Tensor) -> sizes.Workload:
    cotangent = torch.ones_like(x)

    def run() -> None:
        layer(x.detach().requires_grad_()).backward(cotangent)
        layer.zero_grad()

    return run


def _mlp(layers: tuple[int, ...], activation: type[nn.Module]) -> nn.Sequential:
    parts: list[nn.Module] = []
    for d, k in pairwise(layers):
        parts += [nn.Linear(d, k), activation()]
    return nn.Sequential(*parts[:-1])
