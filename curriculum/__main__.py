"""``python -m curriculum VERB``: first make the import path safe, then hand over to `curriculum.cli`."""

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# The workspace goes last: a learner's numpy.py or types.py beside it must not stand in for the real one.
sys.path[:] = [p for p in sys.path if os.path.realpath(p or os.getcwd()) != os.path.realpath(ROOT)] + [ROOT]

if __name__ == "__main__":
    from curriculum.cli import main

    sys.exit(main(sys.argv[1:]))
