"""Make the environment: .venv with the pinned dependencies. Runs on any Python, before anything is installed.

    python3 curriculum/bootstrap.py

Done once, and again when requirements.txt changes; ``make`` calls it where it is needed.
"""

import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = (
    os.path.join(VENV, "Scripts", "python.exe") if os.name == "nt" else os.path.join(VENV, "bin", "python")
)
OLDEST = (3, 11)


def main():
    """Return an exit code: 0, or 3 after one sentence on what is missing."""
    if sys.version_info < OLDEST:
        return refuse(
            "this course needs Python {}.{} or newer, and {} is {}.{}: "
            "install one and say make PYTHON=python3.12 ...",
            OLDEST[0], OLDEST[1], sys.executable, sys.version_info[0], sys.version_info[1],
        )  # fmt: skip
    print("making the environment in .venv: once, about a minute")
    sys.stdout.flush()
    if not os.path.exists(PYTHON) and subprocess.call([sys.executable, "-m", "venv", VENV]) != 0:
        return refuse(
            "{} cannot make a virtual environment: on Debian and Ubuntu, apt install python3-venv",
            sys.executable,
        )
    install = [PYTHON, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    if subprocess.call(install + ["-r", os.path.join(ROOT, "requirements.txt")]) != 0:  # noqa: RUF005
        return refuse(
            "the packages of requirements.txt could not be installed: is there a network? "
            "The next make tries again"
        )
    with open(os.path.join(VENV, "ready"), "w") as stamp:
        stamp.write("made by curriculum/bootstrap.py\n")
    return 0


def refuse(sentence, *facts):
    sys.stderr.write(sentence.format(*facts) + "\n")
    return 3


if __name__ == "__main__":
    sys.exit(main())
