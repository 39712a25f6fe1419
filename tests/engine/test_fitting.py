"""The network that labs observe: gradient, curvature and sharpness against differences and eigh."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHECK = """
import sys
from pathlib import Path
sys.path.append(sys.argv[1])
from curriculum import manifest
from curriculum.overlay import Overlay, install
course = manifest.load(Path(sys.argv[1]))
install(Overlay(course.root, course.packages, "solutions"))
import numpy as np
from experiments.fitting import NOISE, chebyshev

fit = chebyshev(units=5, points=9)
theta, near = fit.start(3)
assert theta.shape == near.shape == (fit.spec.parameters,)
assert np.all(theta != 0) and NOISE > 0
assert np.array_equal(fit.start(3)[0], theta) and not np.array_equal(fit.start(4)[0], theta)
x = np.linspace(-1, 1, 9)
assert np.allclose(fit.target[:, 0], np.cos(3 * np.arccos(x)), atol=1e-12)
assert np.isclose(fit.loss(theta), np.mean((fit.outputs(theta) - fit.target) ** 2))
eps, eye = 1e-5, np.eye(theta.size)
slope = np.array([(fit.loss(theta + eps * e) - fit.loss(theta - eps * e)) / (2 * eps) for e in eye])
assert np.allclose(fit.gradient(theta), slope, atol=1e-8)
rows = np.array([(fit.gradient(theta + eps * e) - fit.gradient(theta - eps * e)) / (2 * eps) for e in eye])
H = fit.hessian(theta)
assert np.allclose(H, rows, atol=1e-7)
assert np.allclose(fit.product(theta, near), H @ near)
top = fit.sharpness(theta, near, steps=theta.size)
assert np.isclose(top.value, np.linalg.eigvalsh(H)[-1], rtol=1e-10)
assert np.allclose(H @ top.vector, top.value * top.vector, atol=1e-7)
assert np.isclose(np.linalg.norm(top.vector), 1)
"""


def test_gradient_hessian_and_sharpness_agree_with_differences() -> None:
    """In a process of its own: here the workspace's stubs are what an import finds."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", CHECK, str(ROOT)], env=environment, capture_output=True, timeout=120
    )
    assert done.returncode == 0, done.stderr.decode()
