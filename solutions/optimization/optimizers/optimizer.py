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
        self.defaults = dict(defaults)
        self.param_groups: list[dict] = []
        self.state: dict[Tensor, dict] = {}
        groups = list(params)
        if not groups:
            raise ValueError("the optimizer got no parameters: pass model.parameters()")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def add_param_group(self, group: Mapping) -> None:
        """Append a group {"params": Tensors or one Tensor, setting: value, ...}; defaults supply the rest.

        Raises:
            ValueError, TypeError: as the class says.
        """
        unknown = set(group) - set(self.defaults) - {"params"}
        if unknown:
            raise ValueError(
                f"unknown settings {sorted(unknown)}: this optimizer has {sorted(self.defaults)}"
            )
        params = [group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])
        known = {p for g in self.param_groups for p in g["params"]}
        for i, p in enumerate(params):
            if not isinstance(p, Tensor) or not p.requires_grad:
                raise TypeError(
                    f"parameter {i} must be a Tensor that requires a gradient, got {type(p).__name__}"
                )
            if p in known:
                raise ValueError(
                    f"parameter {i} of shape {p.shape} is in the optimizer already: it would move twice"
                )
            known.add(p)
        self.param_groups.append({**self.defaults, **group, "params": params})

    def zero_grad(self) -> None:
        """Set every parameter's ``grad`` to None; otherwise the gradients of all batches add up."""
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None

    def step(self) -> None:
        """Update, in place, every parameter that has a gradient; one without is left alone, its state too."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self.update(p.data, p.grad, self.state.setdefault(p, {}), group)

    def update(self, weights: Array, grad: Array, state: dict, group: Mapping) -> None:
        """Change ``weights`` in place by the rule; ``grad`` is read, ``state`` is the parameter's memory."""
        raise TypeError(f"{type(self).__name__} does not define update")

    def state_dict(self) -> dict[str, object]:
        """A copy of all settings and memories; parameters are numbered in order through all groups.

        Returns:
            {"state": {number: memory}, "param_groups": [{"params": [numbers], setting: value, ...}]}
        """
        numbers = {p: i for i, p in enumerate(p for g in self.param_groups for p in g["params"])}
        return {
            "state": {numbers[p]: _copied(memory) for p, memory in self.state.items()},
            "param_groups": [{**g, "params": [numbers[p] for p in g["params"]]} for g in self.param_groups],
        }

    def load_state_dict(self, saved: Mapping) -> None:
        """Continue from what `state_dict` returned; the arrays are copied.

        Raises:
            ValueError: the number of groups, or of parameters in a group, differs; the message names the
                number that was saved and the number that is here.
        """
        here, there = len(self.param_groups), len(saved["param_groups"])
        if here != there:
            raise ValueError(f"{there} groups were saved, this optimizer has {here}")
        for i, (group, other) in enumerate(zip(self.param_groups, saved["param_groups"], strict=True)):
            here, there = len(group["params"]), len(other["params"])
            if here != there:
                raise ValueError(f"group {i} was saved with {there} parameters and has {here} here")
        params = [p for g in self.param_groups for p in g["params"]]
        for group, other in zip(self.param_groups, saved["param_groups"], strict=True):
            group.update({name: value for name, value in other.items() if name != "params"})
        self.state = {params[i]: _copied(memory) for i, memory in saved["state"].items()}


def pieces(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """Arrays of one shape, cut alike into flat pieces of `PIECE` elements that write through to their array.

    Only arrays that lie in memory in C order have flat views; of one that does not, the whole array is the
    only piece.
    """
    if all(a.flags.c_contiguous for a in arrays):
        arrays = tuple([a.reshape(-1) for a in arrays])
        for start in range(0, arrays[0].size, PIECE):
            yield tuple([a[start : start + PIECE] for a in arrays])
    else:
        yield arrays


def _copied(memory: Mapping) -> dict:
    return {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in memory.items()}
