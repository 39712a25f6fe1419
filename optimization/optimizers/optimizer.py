r"""What every optimizer shares: which weights, with which settings, and what it remembers about each.

An optimizer turns gradients into new weights, in place. Parameters come in groups, each with settings of its
own, so that biases can go without weight decay or the last layer can learn faster. Everything the rule
remembers (a momentum, a step count) lives in ``state``, one dict a parameter, so that saving it and loading
it resumes training bit for bit.

Shapes   every array in ``state`` that follows a weight has the weight's shape.
Source   the interface of PyTorch's torch.optim.Optimizer; cache-sized pieces: Drepper 2007, "What every
         programmer should know about memory", sec. 6.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from foundations.computational_graph import Array, Tensor

PIECE = 1 << 14  # elements: 64 KiB of float32, so that a chain of in-place operations stays in the cache


class Optimizer:
    """The base class: derive, call ``super().__init__(params, defaults)`` and define `update`.

    Args:
        params: Tensors, or dicts {"params": Tensors or one Tensor, setting: value, ...}, one dict a group.
        defaults: the settings and their values for groups that do not say otherwise.

    Attributes:
        param_groups: a list of dicts: "params" (a list of Tensors) and every setting. Change a setting there
            (``group["lr"] *= 0.1``) and the next step uses it.
        state: parameter -> dict of what `update` remembers about it; a parameter has no entry before its
            first update.

    Raises:
        ValueError: there are no parameters; one occurs twice (the message names its shape); or a group has an
            unknown setting (it names the setting and those that exist).
        TypeError: a parameter is not a Tensor that requires a gradient; the message names its type.
    """

    def __init__(self, params: Iterable, defaults: Mapping[str, object]):
        raise NotImplementedError("optimization.optimizers.optimizer: TODO 1 of 7, Optimizer.__init__")

    def add_param_group(self, group: Mapping) -> None:
        """Append a group {"params": Tensors or one Tensor, setting: value, ...}; defaults supply the rest.

        Raises:
            ValueError, TypeError: as the class says.
        """
        raise NotImplementedError("optimization.optimizers.optimizer: TODO 2 of 7, Optimizer.add_param_group")

    def zero_grad(self) -> None:
        """Set every parameter's ``grad`` to None; otherwise the gradients of all batches add up."""
        raise NotImplementedError("optimization.optimizers.optimizer: TODO 3 of 7, Optimizer.zero_grad")

    def step(self) -> None:
        """Update, in place, every parameter that has a gradient; one without is left alone, its state too."""
        raise NotImplementedError("optimization.optimizers.optimizer: TODO 4 of 7, Optimizer.step")

    def update(self, weights: Array, grad: Array, state: dict, group: Mapping) -> None:
        """Change ``weights`` in place by the rule; ``grad`` is read, ``state`` is the parameter's memory."""
        raise TypeError(f"{type(self).__name__} does not define update")

    def state_dict(self) -> dict[str, object]:
        """A copy of all settings and memories; parameters are numbered in order through all groups.

        Returns:
            {"state": {number: memory}, "param_groups": [{"params": [numbers], setting: value, ...}]}
        """
        raise NotImplementedError("optimization.optimizers.optimizer: TODO 5 of 7, Optimizer.state_dict")

    def load_state_dict(self, saved: Mapping) -> None:
        """Continue from what `state_dict` returned; the arrays are copied.

        Raises:
            ValueError: the number of groups, or of parameters in a group, differs; the message names the
                number that was saved and the number that is here.
        """
        raise NotImplementedError("optimization.optimizers.optimizer: TODO 6 of 7, Optimizer.load_state_dict")


def pieces(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """Arrays of one shape, cut alike into flat pieces of `PIECE` elements that write through to their array.

    Only arrays that lie in memory in C order have flat views; of one that does not, the whole array is the
    only piece.
    """
    raise NotImplementedError("optimization.optimizers.optimizer: TODO 7 of 7, pieces")


def _copied(memory: Mapping) -> dict:
    return {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in memory.items()}
