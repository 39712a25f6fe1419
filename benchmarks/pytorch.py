"""The workloads on PyTorch, eager, at its own defaults."""

from __future__ import annotations

from functools import partial
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


def neuroscope() -> sizes.Workload:
    """The same by a graph: descent by hand, and twenty power iterations on double-backward products."""
    network = _mlp((1, 64, 64, 1), nn.Tanh).double()
    parameters = list(network.parameters())
    x = torch.linspace(-6, 6, 500, dtype=torch.float64)[:, None]
    y = torch.sin(x)
    begin = [p.detach().clone() for p in parameters]

    def sharpness(v: torch.Tensor) -> torch.Tensor:
        slope = torch.autograd.grad(nn.functional.mse_loss(network(x), y), parameters, create_graph=True)
        flat = torch.cat([s.reshape(-1) for s in slope])
        for _ in range(20):
            product = torch.autograd.grad(flat @ v, parameters, retain_graph=True)
            v = torch.cat([p.reshape(-1) for p in product])
            v = v / v.norm()
        return v

    def run() -> None:
        with torch.no_grad():
            for p, start in zip(parameters, begin, strict=True):
                p.copy_(start)
        v = torch.randn(sum(p.numel() for p in parameters), dtype=torch.float64)
        for step in range(101):
            if step % 20 == 0:
                v = sharpness(v)
            slope = torch.autograd.grad(nn.functional.mse_loss(network(x), y), parameters)
            with torch.no_grad():
                for p, s in zip(parameters, slope, strict=True):
                    p -= 0.025 * s

    return run


def gelu() -> sizes.Workload:
    return _both_ways(nn.GELU("tanh"), torch.from_numpy(sizes.features()).repeat(1, 1, 4))


def norm_relu() -> sizes.Workload:
    return _both_ways(nn.Sequential(nn.BatchNorm2d(64), nn.ReLU()), torch.from_numpy(sizes.maps()))


def norm_relu_last() -> sizes.Workload:
    return _both_ways(nn.Sequential(nn.BatchNorm2d(64), nn.ReLU()), _channels_last(64, 32))


def max_pool() -> sizes.Workload:
    return _both_ways(nn.MaxPool2d(2), _channels_last(64, 32))


def avg_pool() -> sizes.Workload:
    return _both_ways(nn.AvgPool2d(2), _channels_last(64, 32))


def _convolution(name: str) -> sizes.Workload:
    c = sizes.CONVOLUTIONS[name]
    layer = nn.Conv2d(c.channels, c.kernels, 3, c.stride, 1, bias=False)
    layer.to(memory_format=torch.channels_last)
    return _both_ways(layer, _channels_last(c.channels, c.side), to_input=not c.first)


conv_64 = partial(_convolution, "conv_64")
conv_128 = partial(_convolution, "conv_128")
conv_stride = partial(_convolution, "conv_stride")
conv_16 = partial(_convolution, "conv_16")
conv_32 = partial(_convolution, "conv_32")
conv_stem = partial(_convolution, "conv_stem")


def _channels_last(channels: int, side: int) -> torch.Tensor:
    x = torch.from_numpy(sizes.channels_last(channels, side))
    return x.contiguous(memory_format=torch.channels_last)


class _Block(nn.Module):
    """The basic block of a ResNet, as torchvision writes it."""

    def __init__(self, c: int, k: int, stride: int):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(c, k, 3, stride, 1, bias=False), nn.BatchNorm2d(k)
        self.conv2, self.bn2 = nn.Conv2d(k, k, 3, 1, 1, bias=False), nn.BatchNorm2d(k)
        self.relu = nn.ReLU(inplace=True)
        same = c == k and stride == 1
        short = [] if same else [nn.Conv2d(c, k, 1, stride, bias=False), nn.BatchNorm2d(k)]
        self.downsample = nn.Sequential(*short)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        y += self.downsample(x)
        return self.relu(y)


def _resnet(name: str) -> sizes.Workload:
    width = sizes.RESNETS[name]
    layers = [nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
    for c, k in pairwise((width, width, 2 * width, 4 * width, 8 * width)):
        layers += [_Block(c, k, 1 if c == k else 2), _Block(k, k, 1)]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8 * width, sizes.CLASSES)]
    network, loss_of = nn.Sequential(*layers).to(memory_format=torch.channels_last), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    pixels, labels = (torch.from_numpy(a) for a in sizes.colours())
    pixels = pixels.contiguous(memory_format=torch.channels_last)

    def run() -> None:
        optimizer.zero_grad()
        loss_of(network(pixels), labels).backward()
        optimizer.step()

    return run


resnet_64 = partial(_resnet, "resnet_64")
resnet_16 = partial(_resnet, "resnet_16")


def softmax() -> sizes.Workload:
    return _both_ways(nn.Softmax(-1), torch.from_numpy(sizes.features()))


def layernorm() -> sizes.Workload:
    return _both_ways(nn.LayerNorm(128), torch.from_numpy(sizes.features()))


def _both_ways(layer: nn.Module, x: torch.Tensor, *, to_input: bool = True) -> sizes.Workload:
    with torch.no_grad():
        cotangent = torch.ones_like(layer(x))

    def run() -> None:
        layer(x.detach().requires_grad_(to_input)).backward(cotangent)
        layer.zero_grad()

    return run


def _mlp(layers: tuple[int, ...], activation: type[nn.Module]) -> nn.Sequential:
    parts: list[nn.Module] = []
    for d, k in pairwise(layers):
        parts += [nn.Linear(d, k), activation()]
    return nn.Sequential(*parts[:-1])
