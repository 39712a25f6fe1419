r"""Two threads learn from a batch together: each takes half of it, and the gradients are added.

    dL/dw = sum over the parts p of  N_p / N  dL_p/dw          L_p the mean loss of the N_p images of part p

NumPy leaves Python's lock while it computes, so threads of one process run on as many cores. A part runs on a
*replica* of the network: it shares the parameters' arrays, which nobody changes in these steps, and has
gradients and running statistics of its own. The network itself is the first.

What a batch decides together, a part decides by itself: batch normalization takes mean and variance of the
N_p images that it sees, as PyTorch's DistributedDataParallel has it without SyncBatchNorm, and what dropout
drops is drawn anew. Without such layers the gradient is that of the whole batch but for rounding.

Parts, replicas and sums have a fixed order, so the same start gives the same bits. After a step all state is
in the network: saving that (and the generators it draws from) is saving everything.

Shapes   N images in a batch, V classes.
Source   Li et al. 2020, "PyTorch Distributed: Experiences on Accelerating Data Parallel Training",
         arXiv:2006.15704, sec. 2.2 and 3.2.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from functools import partial
from itertools import pairwise
from typing import TypeVar

import numpy as np

from foundations.autograd import no_grad
from foundations.computational_graph import Tensor
from nn_core.module import Module, Parameter

Result = TypeVar("Result")
Loss = Callable[[Tensor, np.ndarray], Tensor]


class Replicas:
    """A network that threads run forward and backward together.

    BLAS should have one thread (`curriculum.performance.blas_environment`), and `reuse_memory` should have
    been called before the first step.

    Args:
        network: it keeps parameters, gradients and running statistics; replicas last for a step.
        threads: how many, this one included; with 1 a step is the plain forward and backward pass.

    Raises:
        ValueError: ``threads`` is less than 1.
    """

    def __init__(self, network: Module, threads: int = 2):
        if threads < 1:
            raise ValueError(f"replicas run in at least 1 thread, got {threads}")
        self.network, self.threads = network, threads
        self._pool = ThreadPoolExecutor(threads - 1, "replica") if threads > 1 else None

    def step(self, images: np.ndarray, labels: np.ndarray, loss_of: Loss) -> float:
        """Add the gradient of the mean loss of a batch to ``grad`` of the network's parameters.

        Args:
            images: (N, ...), what the network takes.
            labels: (N, ...).
            loss_of: from logits and labels of some images to their *mean* loss, a Tensor of one element.

        Returns:
            The mean loss. Running statistics of the network are then the mean of the replicas', each counted
            as often as it had images; what is not a floating-point number, such as a count of batches, is
            that of the first.

        Raises:
            Exception: what a thread raised, the first in the order of the parts. No thread is at work then,
                and the gradients are not to be used.
        """
        cuts = parts(len(images), self.threads)
        if len(cuts) == 1:
            loss = loss_of(self.network(Tensor(images)), labels)
            loss.backward()
            return float(loss.data)
        networks = [self.network, *(replica(self.network) for _ in cuts[1:])]
        shares = [(cut.stop - cut.start) / len(images) for cut in cuts]

        def learn(network: Module, cut: slice, share: float) -> float:
            loss = loss_of(network(Tensor(images[cut])), labels[cut])
            loss.backward(np.full_like(loss.data, share))
            return share * float(loss.data)

        losses = self._together([partial(learn, *job) for job in zip(networks, cuts, shares, strict=True)])
        for other in networks[1:]:
            add_gradients(self.network, other)
        average_buffers(networks, shares)
        return sum(losses)

    def predict(
        self,
        images: np.ndarray,
        prepare: Callable[[np.ndarray], np.ndarray] | None = None,
        batch_size: int = 500,
    ) -> np.ndarray:
        """What the network says about ``images`` in evaluation mode, (N, V), without recording a graph.

        The batches, and so all bits of the result, are the same for any number of threads.

        Args:
            images: (N, ...).
            prepare: makes of some of them what the network takes.
            batch_size: images in a thread at a time.
        """
        starts = range(0, max(1, len(images)), batch_size)

        def answer(mine: Sequence[int]) -> list[np.ndarray]:
            with no_grad():
                cuts = (images[start : start + batch_size] for start in mine)
                return [self.network(Tensor(prepare(cut) if prepare else cut)).data for cut in cuts]

        modes = [(module, module.training) for module in self.network.modules()]
        self.network.eval()  # it changes nothing then: threads need no replicas
        try:
            stripes = [starts[i :: self.threads] for i in range(min(self.threads, len(starts)))]
            answers = self._together([partial(answer, mine) for mine in stripes])
        finally:
            for module, mode in modes:
                module.training = mode
        return np.concatenate([answers[i % self.threads][i // self.threads] for i in range(len(starts))])

    def _together(self, jobs: Sequence[Callable[[], Result]]) -> list[Result]:
        """Run the first job in this thread and each other one in one of the pool, and return their results.

        However this one ends, the others have ended before it: Ctrl-C arrives in this thread.
        """
        others: list[Future[Result]] = []
        try:
            if self._pool:  # with the context of this thread: NumPy's handling of errors, for one
                others += [self._pool.submit(copy_context().run, job) for job in jobs[1:]]
            results = [jobs[0]()]
        finally:
            _settle(others)
        return results + [other.result() for other in others]


def _settle(futures: Iterable[Future]) -> None:
    """Wait for all, even if Ctrl-C comes meanwhile; only the second one gives up."""
    try:
        wait(futures)
    except KeyboardInterrupt:
        wait(futures)
        raise


def parts(count: int, threads: int) -> list[slice]:
    """Cut ``count`` images into parts in a row, one a thread: none is empty, sizes differ by one at most."""
    number = max(1, min(count, threads))
    return [slice(start, stop) for start, stop in pairwise(count * i // number for i in range(number + 1))]


def replica(network: Module) -> Module:
    """A network that computes the same, for another thread.

    Parameters share the arrays and have no gradients; buffers are copies; a generator is a new one, seeded
    with a draw from the one that it stands for: two parts must not drop the same units. What is shared or
    tied in the network is so in the replica. Everything else is shared.
    """
    buffers = {id(array) for _, array in network.named_buffers()}
    twins: dict[int, object] = {}

    def twin(value: object) -> object:
        if id(value) in twins:
            return twins[id(value)]
        made = value
        if isinstance(value, Module):
            made = twins[id(value)] = copy.copy(value)  # filed first: a part may refer back to the whole
            vars(made).update({name: twin(attribute) for name, attribute in vars(value).items()})
        elif isinstance(value, Parameter):
            made = Parameter(value.data)
            made.requires_grad = value.requires_grad
        elif isinstance(value, np.random.Generator):
            seed = int(value.integers(1 << 63))
            made = np.random.Generator(type(value.bit_generator)(seed))
        elif id(value) in buffers:
            made = np.copy(value)  # type: ignore[call-overload]
        twins[id(value)] = made
        return made

    return twin(network)  # type: ignore[return-value]


def add_gradients(network: Module, other: Module) -> None:
    """Add the gradients of a replica to those of the network."""
    for mine, theirs in zip(network.parameters(), other.parameters(), strict=True):
        if mine.grad is None:
            mine.grad = theirs.grad
        elif theirs.grad is not None:
            mine.grad += theirs.grad


def average_buffers(networks: Sequence[Module], shares: Sequence[float]) -> None:
    """Make each buffer of the first network the weighted mean over all, in place; shares add up to 1."""
    for (_, mine), *others in zip(*(network.named_buffers() for network in networks), strict=True):
        if mine.dtype.kind == "f":
            mine *= shares[0]
            for (_, theirs), share in zip(others, shares[1:], strict=True):
                mine += share * theirs
