"""NeuroScope: watch a network learn a function, with the curvature of its loss beside the fit.

make neuroscope                              the default: sin, 1-64-64-1, gradient descent at its edge
make neuroscope NAME=demo                    a ready-made run; make neuroscope ARGS=--list shows them
make neuroscope ARGS="--lr 0.05 --depth 3"   any key of `Config`; ARGS=--help lists them

from experiments.neuroscope import Config, main
main(Config(project_name="2d-sincos", input_dim=2, function_name="sin_cos2d"))
"""

import importlib

from experiments import stack

HOMES = {"Config": "config", "ConfigError": "config", "main": "app", "run": "app", "replay": "recorder"}


def __getattr__(name: str) -> object:
    """Import what is asked for when it is asked for, with the course's modules behind it."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}: it has {', '.join(HOMES)}")
    stack.ensure()
    return getattr(importlib.import_module(f"{__name__}.{HOMES[name]}"), name)
