"""``python -m experiments.energy``: as ``make energy``, options as they are."""

import sys

from experiments.stack import launch

if __name__ == "__main__":
    sys.exit(launch("experiments.energy.app", sys.argv[1:]))
