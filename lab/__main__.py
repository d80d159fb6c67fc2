"""The command `lab`, also `python -m lab`."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command that the arguments name, or opens the screen."""
    from lab.cli.screen import start

    sys.exit(start(sys.argv[1:]))


if __name__ == "__main__":
    main()
