"""Writes the answers of examples and the generated tables into the pages.

python3 dev.py docs            run every example against a real server and write the answers in
python3 dev.py docs --check    run them and fail where an answer differs (the tests do this)
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from bench.servers import ours, running
from docs.examples import ROOT, answered, copied, pages
from docs.tables import with_tables


def main(arguments: list[str]) -> int:
    """Write or check every page."""
    check = arguments == ["--check"]
    stale = []
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ENCODERY_")}
    environment["ENCODERY_REQUIRED_MODELS"] = ",".join(
        one.name for one in (ROOT / "models").iterdir()
    )  # wait for all
    log = Path(tempfile.gettempdir()) / "encodery-docs.log"
    with (
        tempfile.TemporaryDirectory() as directory,
        running(ours(copied(Path(directory))), log, environment) as server,
    ):
        for page in pages():
            before = page.read_text()
            after = answered(with_tables(before), server.url)
            if after != before:
                stale.append(page.name)
                if not check:
                    page.write_text(after)
    print(("differ: " if check else "written: ") + (", ".join(stale) or "none"))
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
