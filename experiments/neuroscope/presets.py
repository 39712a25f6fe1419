"""Ready-made runs, each for one thing that is worth seeing."""

from __future__ import annotations

from math import pi

PRESETS: dict[str, tuple[str, dict[str, object]]] = {
    "demo": (
        "twenty points and a small network at its edge, in two seconds",
        {"function_name": "chebyshev", "n_samples": 20, "x_min": -1.0, "x_max": 1.0, "noise_std": 0.0,
         "hidden": 32, "lr": 0.1, "total_steps": 4000, "ntk_probe_points": 20,
         "vis_pad_frac": 0.15},
    ),
    "explode": ("a learning rate beyond the edge, and what the record says of it", {"lr": 0.2}),
    "momentum": (
        "heavy ball: the edge is (2 + 2 m) / lr, not 2 / lr",
        {"optimizer": "heavy_ball", "momentum": 0.5, "lr": 0.04},
    ),
    "adam": (
        "Adam: the scaled Hessian goes to 38 / lr, while the Hessian's own sharpness does as it likes",
        {"optimizer": "adam", "lr": 0.003, "sharpness_stride": 40},
    ),
    "flow": ("the gradient flow by a solver: no edge but the solver's own", {"optimizer": "rk4", "lr": 0.03}),
    "relu": ("a network of straight pieces, and where it folds", {"activation": "relu", "total_steps": 2000}),
    "surface": ("two inputs: surfaces", {"input_dim": 2, "total_steps": 3000}),
    "spectral": (
        "three frequencies, learned one after another",
        {"expression": "sin(x) + sin(5*x) + sin(9*x)", "x_min": -pi, "x_max": pi, "noise_std": 0.0,
         "optimizer": "adam", "lr": 0.003, "sharpness_stride": 100},
    ),
    "poisson": (
        "u'' = -sin x from its values at both ends, without a single sample",
        {"function_name": "sin", "data_weight": 0.0, "noise_std": 0.0, "pde": "poisson", "rhs": "-sin(x)",
         "bc": "dirichlet", "optimizer": "adam", "lr": 0.003, "hidden": 32, "sharpness_stride": 100,
         "vis_pad_frac": 0.1},
    ),
    "trap": (
        "the same without its boundary: the equation holds, and the solution is another one",
        {"function_name": "sin", "data_weight": 0.0, "noise_std": 0.0, "pde": "poisson", "rhs": "-sin(x)",
         "optimizer": "adam", "lr": 0.003, "hidden": 32, "sharpness_stride": 100, "vis_pad_frac": 0.1},
    ),
    "heat": (
        "heat that spreads: x and t, from the first moment and the two ends",
        {"input_dim": 2, "expression": "exp(-t) * sin(x)", "x_min": 0.0, "x_max": pi, "x2_min": 0.0,
         "x2_max": 1.0, "data_weight": 0.0, "noise_std": 0.0, "pde": "heat", "bc": "dirichlet",
         "optimizer": "adam", "lr": 0.003, "hidden": 32, "total_steps": 2000, "sharpness_stride": 100,
         "vis_pad_frac": 0.1},
    ),
}  # fmt: skip
