"""``python -m experiments.neuroscope``: as ``make neuroscope``, options as they are."""

import sys

from experiments.stack import launch

if __name__ == "__main__":
    sys.exit(launch("experiments.neuroscope.app", sys.argv[1:]))
