r"""A layer knows its parameters: a tree of modules whose leaves are the numbers that training changes.

    class Net(Module):
        def __init__(self, *, rng):
            super().__init__()
            self.hidden = Linear(784, 256, rng=rng)      # hidden.weight (256, 784), hidden.bias (256,)
            self.scale = Parameter(np.ones(1))           # scale (1,)

        def forward(self, x):
            return self.hidden(x) * self.scale

The registry is the instance's own dictionary, which Python keeps in order of assignment: one walk over `vars`
finds every parameter, buffer and submodule, and deleting or reassigning an attribute needs no bookkeeping.
A *parameter* is learned. A *buffer* is an array that belongs to the state but is not: a running mean, a mask.
A parameter used in several places (tied weights) is one parameter: it counts once, by its first path.

Source   Paszke et al. 2019, "PyTorch: An Imperative Style, High-Performance Deep Learning Library",
         arXiv:1912.01703, sec. 4.1 (names and behaviour).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import ArrayLike

from foundations.computational_graph import Array, Operand, Tensor, as_array


class Parameter(Tensor):
    """A Tensor that is learned: a leaf that requires a gradient, which a `Module` finds among its attributes.

    Args:
        data: what `np.asarray` takes, or a Tensor, whose array it then holds; an array is kept, not copied.
        dtype: convert to it.

    Raises:
        TypeError: the dtype is not floating point.
    """

    __slots__ = ()

    def __init__(self, data: Operand | ArrayLike, *, dtype: type | np.dtype | None = None):
        super().__init__(data.data if isinstance(data, Tensor) else data, True, dtype=dtype)


class Module:
    """The base of every layer and model: assign parameters and submodules, define `forward`, call the object.

    Attributes:
        training: True after construction and `train()`, False after `eval()`: dropout and the like read it.
    """

    training: bool

    def __init__(self) -> None:
        self.training = True
        self._buffers: set[str] = set()  # names: the arrays themselves are attributes like any other

    def __setattr__(self, name: str, value: object) -> None:
        """Assign an attribute; a parameter or submodule is part of the model from now on, a buffer stays one.

        Raises:
            AttributeError: a Parameter or Module arrives before ``super().__init__()`` ran; the message names
                the class, the attribute and that call.
            TypeError: the name is a buffer's and the value not an array; the message names both.
        """
        if isinstance(value, (Parameter, Module)):
            self._require_init(name)
        if name in vars(self).get("_buffers", ()):
            value = np.asarray(value) if isinstance(value, np.generic) else value  # arithmetic on 0-d arrays
            if not hasattr(value, "__array_function__"):
                raise TypeError(f"buffer {name} must stay an array, got {type(value).__name__}: {value!r}")
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        """Delete an attribute; the model forgets the parameter, buffer or submodule that it was."""
        super().__delattr__(name)
        self._buffers.discard(name)

    def register_buffer(self, name: str, array: Array) -> None:
        """Make ``array`` the attribute ``name``, saved by `state_dict` but not learned. Kept, not copied.

        Raises:
            ValueError: there is an attribute of that name, or it is empty or has a dot; the message names it.
            TypeError: ``array`` is not an array; the message names the attribute and the type that arrived.
            AttributeError: ``super().__init__()`` has not run, as `_require_init` says.
        """
        self._require_init(name)
        if hasattr(self, name) or "." in name or not name:
            raise ValueError(f"buffer '{name}': expected a new name, not empty and without dots")
        if not hasattr(array, "__array_function__"):
            raise TypeError(f"buffer {name} must be an array, got {type(array).__name__}: {array!r}")
        self._buffers.add(name)
        setattr(self, name, array)

    def walk(
        self, prefix: str = "", seen: set[Tensor | Module] | None = None
    ) -> Iterator[tuple[str, Parameter | Module | Array]]:
        """Everything below this module, in order of assignment: (path, its Parameter, Module or buffer).

        A submodule comes before its contents: ``hidden``, ``hidden.weight``, ``hidden.bias``, ``scale``.
        This module itself is not included. A Parameter or Module met a second time is skipped, and so is this
        module where something below refers back to it.

        Args:
            prefix: what every path starts with, its dot included.
            seen: the parameters and modules to skip; grows.
        """
        seen = {self} if seen is None else seen
        for name, value in vars(self).items():
            if isinstance(value, (Parameter, Module)):
                if value in seen:
                    continue
                seen.add(value)
                yield prefix + name, value
                if isinstance(value, Module):
                    yield from value.walk(f"{prefix}{name}.", seen)
            elif name in self._buffers:
                yield prefix + name, value

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """(path, parameter) of every parameter below, each once, in the order of `walk`."""
        return ((name, value) for name, value in self.walk() if isinstance(value, Parameter))

    def named_buffers(self) -> Iterator[tuple[str, Array]]:
        """(path, array) of every buffer below, in the order of `walk`."""
        return ((name, value) for name, value in self.walk() if not isinstance(value, (Parameter, Module)))

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """("", self), then (path, module) of every module below, each once, in the order of `walk`."""
        yield "", self
        yield from ((name, value) for name, value in self.walk() if isinstance(value, Module))

    def parameters(self) -> Iterator[Parameter]:
        """Every parameter below, each once: what an optimizer is given."""
        return (p for _, p in self.named_parameters())

    def modules(self) -> Iterator[Module]:
        """This module and every module below, each once."""
        return (m for _, m in self.named_modules())

    def children(self) -> Iterator[Module]:
        """The submodules that are this module's own attributes."""
        return (m for m in vars(self).values() if isinstance(m, Module))

    def train(self, mode: bool = True) -> Module:
        """Set ``training`` to ``mode`` here and in every module below. Returns self."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        """Set ``training`` to False here and in every module below. Returns self."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Set ``grad`` of every parameter to None: the next backward pass would add to what is there."""
        for p in self.parameters():
            p.grad = None

    def state_dict(self) -> dict[str, Array]:
        """Copies of the arrays of all parameters and buffers by path, in the order of `walk`."""
        return {name: array.copy() for name, array in self._arrays()}

    def load_state_dict(
        self, state: Mapping[str, Array], strict: bool = True
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Copy the values of ``state`` into this module's arrays: in place, so whoever holds one sees them.

        Args:
            state: path -> array, as `state_dict` returns it.
            strict: the paths must be exactly this module's.

        Returns:
            (missing, unexpected): the paths that only this module has, and those that only ``state`` has, in
            their own order; both empty when ``strict``.

        Raises:
            ValueError: with ``strict``, a path is missing or unexpected; in any case, a shape differs. One
                message names all such paths, and both shapes where they differ. Nothing was changed then.
        """
        mine = dict(self._arrays())
        missing = tuple(name for name in mine if name not in state)
        unexpected = tuple(name for name in state if name not in mine)
        problems = [f"missing: {', '.join(missing)}"] if strict and missing else []
        problems += [f"unexpected: {', '.join(unexpected)}"] if strict and unexpected else []
        problems += [
            f"{name} has shape {np.shape(state[name])}, expected {array.shape}"
            for name, array in mine.items()
            if name in state and np.shape(state[name]) != array.shape
        ]
        if problems:
            raise ValueError(f"the state does not fit {type(self).__name__}: {'; '.join(problems)}")
        for name, array in mine.items():
            if name in state:
                array[...] = state[name]
        return missing, unexpected

    def _arrays(self) -> Iterator[tuple[str, Array]]:
        """(path, array) of every parameter and buffer: the arrays themselves."""
        return ((name, as_array(value)) for name, value in self.walk() if not isinstance(value, Module))

    def _require_init(self, name: str) -> None:
        """Refuse the attribute ``name`` of a module that cannot keep track of it yet."""
        if "_buffers" not in vars(self):
            cls = type(self).__name__
            raise AttributeError(f"{cls}.{name} came too early: begin {cls}.__init__ with super().__init__()")

    def forward(self, *inputs, **options) -> Tensor:
        """Compute the result; every subclass defines its own."""
        raise TypeError(f"{type(self).__name__} does not define forward")

    def __call__(self, *inputs, **options) -> Tensor:
        """Run `forward`."""
        return self.forward(*inputs, **options)

    def extra_repr(self) -> str:
        """What stands between the parentheses of the repr: ``in_features=3, out_features=2``."""
        return ""

    def __repr__(self) -> str:
        """The class with `extra_repr`; each submodule on lines of its own, two spaces deeper:

        Sequential(
          (0): Linear(in_features=2, out_features=1, bias=True)
          (1): ReLU()
        )
        """
        lines = [f"({name}): {value!r}" for name, value in vars(self).items() if isinstance(value, Module)]
        if not lines:
            return f"{type(self).__name__}({self.extra_repr()})"
        body = "\n".join(lines).replace("\n", "\n  ")
        return f"{type(self).__name__}({self.extra_repr()}\n  {body}\n)"


class ModuleList(Module):
    """Modules in a row, named "0", "1", ...: a list whose parameters are found.

    Args:
        modules: what to begin with.
    """

    def __init__(self, modules: Iterable[Module] = ()):
        super().__init__()
        for module in modules:
            self.append(module)

    def append(self, module: Module) -> ModuleList:
        """Add a module at the end. Returns self.

        Raises:
            TypeError: it is not a Module; the message names its type.
        """
        if not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__} holds Modules, got {type(module).__name__}: {module!r}")
        setattr(self, str(len(self)), module)
        return self

    def __len__(self) -> int:
        return len(list(self.children()))

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    def __getitem__(self, index: int | slice) -> Module:
        """The module at ``index``, from the end if negative; for a slice, a new container of the same class.

        Raises:
            IndexError: there is no such module; the message names the index and the length.
        """
        modules = list(self.children())
        if isinstance(index, slice):
            part = type(self)()
            for module in modules[index]:
                part.append(module)
            return part
        if not -len(modules) <= index < len(modules):
            raise IndexError(f"index {index} of a {type(self).__name__} of length {len(modules)}")
        return modules[index]


class Sequential(ModuleList):
    """Modules one after the other: each gets what the one before returned.

    Args:
        modules: what to run, in this order.
    """

    def __init__(self, *modules: Module):
        super().__init__(modules)

    def forward(self, x: Operand) -> Tensor:
        """Run all modules in turn; without any, return x itself."""
        for module in self:
            x = module(x)
        return x  # type: ignore[return-value]
