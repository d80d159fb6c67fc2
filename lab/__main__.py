"""The command `lab`, also `python -m lab`."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command that the arguments name."""
    from lab.cli.app import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
