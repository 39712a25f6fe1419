"""Phase 12: the five first experiments, one lab after another; the goal: every claim of all five holds.

    xor                        a network that solves what no line can, every gradient by hand
    vanishing_gradients        how far a gradient gets through a deep network
    zigzag                     where a step size stops being stable, and what happens on the way there
    descent_and_flow           gradient descent beside the flow that it approximates
    credit_without_transport   how the units of a population may learn what each of them did

Each leaves its own folder, with its figures and its claims; what they mean is told in the labs' pages.
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.labs import credit_without_transport, descent_and_flow, vanishing_gradients, xor, zigzag
from experiments.series import in_turn

LABS = (xor, vanishing_gradients, zigzag, descent_and_flow, credit_without_transport)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the five; return 0 if every claim holds, 1 if one does not."""
    return in_turn(LABS, arguments, "Five first experiments on how learning works")


if __name__ == "__main__":
    raise SystemExit(main())
