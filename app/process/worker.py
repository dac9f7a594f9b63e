"""One of several server processes: `python -m app.process.worker`, which the supervisor runs.

Its settings come from the environment, its socket and its slot on the scoreboard from the arguments.
"""

from __future__ import annotations

import argparse
import gc
import shutil
import socket
import sys
from functools import partial
from pathlib import Path

from app.generations import Generations, RecordFiles
from app.generations.control import ask
from app.settings import settings_from
from app.shared import metrics as shared_metrics
from app.shared.listener import CannotServe
from app.shared.log import set_up_log
from app.shared.scoreboard import Scoreboard, WorkerSlot
from app.shared.unmet import read


def main() -> int:
    """Serve until told to go; the exit status."""
    gc.disable()  # until it serves, as in `encodery serve`
    options = _options()
    settings = settings_from(host=options.host)
    set_up_log(settings.log_format, settings.log_level, options.slot, settings.audit_file)
    slot = WorkerSlot(Scoreboard(options.shared), options.slot, options.supervisor)
    shared_metrics.keep(slot)
    from app.process.server import serve_on  # noqa: PLC0415  # makes metrics, which by now know where to be kept

    with socket.socket(fileno=options.listener) as listener:
        try:
            found = Generations(
                settings,
                RecordFiles(options.shared),
                slot.scoreboard.switch,
                slot.number,
                ask=partial(ask, options.shared),
            )
            return serve_on(listener, found, slot, read(options.shared))
        except CannotServe as error:
            sys.stderr.write(f"encodery: {error}\n")
            return 1
        finally:
            if slot.is_orphaned:  # nobody else is left to remove what all shared
                shutil.rmtree(options.shared, ignore_errors=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="app.process.worker", description=__doc__)
    parser.add_argument("--listener", type=int, required=True, help="descriptor of the bound socket")
    parser.add_argument(
        "--shared", type=Path, required=True, help="directory of the scoreboard and of generations"
    )
    parser.add_argument("--host", help="its address; none where it is of Unix")
    parser.add_argument("--slot", type=int, required=True)
    parser.add_argument("--supervisor", type=int, required=True, help="its process")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
