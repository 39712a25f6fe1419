"""Phase 12: two applications on your own stack; the goal is that every claim of both holds.

experiments.energy        a network rolls down its error, and the energy books balance
experiments.neuroscope    a network learns a function, and trains at the edge of its method
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.energy import app as energy
from experiments.neuroscope import judge as neuroscope
from experiments.series import in_turn

APPLICATIONS = (energy, neuroscope)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run both; return 0 if every claim holds, 1 if one does not."""
    return in_turn(APPLICATIONS, arguments, "Two applications")


if __name__ == "__main__":
    raise SystemExit(main())
