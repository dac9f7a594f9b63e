"""Starts the command line: `python -m encodery`, and the command `encodery`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

OURS = ("app", "bundle", "encodery", "training", "encodery_client")
HOME = str(Path(__file__).resolve().parents[1])


def main() -> None:
    """Run the command that the arguments name, with our packages only from where this file lies."""
    leave_current_directory()
    try:
        from encodery.cli import main as run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in OURS:
            raise
        sys.exit(
            f"encodery: this Python has no {error.name}, which it needs; "
            f"python3 {Path(HOME) / 'dev.py'} run COMMAND has one with everything"
        )
    run()


def leave_current_directory() -> None:
    """Look for no module in the current directory: an `app/` there would be taken for ours.

    Processes that are started from here do the same; see `python -P`.
    """
    os.environ["PYTHONSAFEPATH"] = "1"
    if not sys.flags.safe_path and sys.path[0] == os.getcwd():
        del sys.path[0]
    if HOME not in sys.path:  # a checkout that is not installed
        sys.path.insert(0, HOME)
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [HOME, os.environ.get("PYTHONPATH")]))


if __name__ == "__main__":
    main()
