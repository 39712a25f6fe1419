"""Phase 12: the edge of stability, four labs in turn; the goal is that every claim of all four holds.

    edge_of_stability          gradient descent sharpens its loss up to 2 / lr, and trains there
    momentum_moves_the_edge    momentum and Adam have edges of their own
    solver_edge                and so has a solver of the gradient flow
    leaving_the_flow           where descent leaves the flow, and which one it follows then

Each leaves its own folder, with its figures and its claims; what they mean is told in the labs' pages.
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.labs import edge_of_stability, leaving_the_flow, momentum_moves_the_edge, solver_edge
from experiments.series import in_turn

LABS = (edge_of_stability, momentum_moves_the_edge, solver_edge, leaving_the_flow)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the four; return 0 if every claim holds, 1 if one does not."""
    return in_turn(LABS, arguments, "The edge of stability")


if __name__ == "__main__":
    raise SystemExit(main())
