"""``python -m curriculum VERB``: first make the import path safe, then hand over to `curriculum.cli`."""

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# The workspace goes last: a learner's numpy.py or types.py beside it must not stand in for the real one.
sys.path[:] = [p for p in sys.path if os.path.realpath(p or os.getcwd()) != os.path.realpath(ROOT)] + [ROOT]

if __name__ == "__main__":
    try:
        from curriculum.cli import main

        code = main(sys.argv[1:])
    except KeyboardInterrupt:  # before `main` could take care of it
        code = 130
    sys.exit(code)
