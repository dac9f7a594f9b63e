"""Runs nginx before replicas, with the configuration that deploy/nginx ships but for addresses.

The tests of that configuration and `bench.replicas` use it, so that what is measured is what is shipped.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.servers import ROOT, Unavailable, free_port, listens

SHIPPED = ROOT / "deploy" / "nginx"
SERVERS = re.compile(r"(?:^ *server 127\.0\.0\.1:\d+ .*\n)+", re.MULTILINE)
START_S = 10.0
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")  # kinds of files that nginx may write


def program() -> str:
    """Where nginx is. Raises Unavailable."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        raise Unavailable("there is no nginx: apt install nginx-light")
    return found


def configuration(ports: Sequence[int], listen: int, directory: Path, *, affinity: bool = False) -> str:
    """Write the shipped configuration for these replicas, as a whole file of nginx.

    Args:
        ports: of the replicas, on this machine.
        listen: nginx's own port.
        directory: for what nginx writes.
        affinity: send equal bodies to the same replica, by affinity.conf.
    """
    text = (SHIPPED / "encodery.conf").read_text()
    first, *_ = SERVERS.findall(text)[0].splitlines()
    servers = (re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{port}", first) for port in ports)
    text = SERVERS.sub("".join(f"{line}\n" for line in servers), text)
    text = text.replace("listen 127.0.0.1:8000;", f"listen 127.0.0.1:{listen};")
    if affinity:
        text = text.replace("least_conn;", (SHIPPED / "affinity.conf").read_text())
    paths = "".join(f"{kind}_temp_path {directory}/{kind};" for kind in TEMPORARY)
    return (
        f"daemon off; pid {directory}/nginx.pid; error_log {directory}/error.log;\n"
        f"events {{}}\nhttp {{ access_log off; {paths}\n{text}\n}}\n"
    )


@contextmanager
def proxied(ports: Sequence[int], directory: Path, *, affinity: bool = False) -> Iterator[int]:
    """Run nginx before the replicas until the block ends; its port. Raises Unavailable."""
    nginx, port, file = program(), free_port(), directory / "nginx.conf"
    file.write_text(configuration(ports, port, directory, affinity=affinity))
    tried = subprocess.run([nginx, "-t", "-c", str(file)], capture_output=True, text=True, check=False)
    if tried.returncode:
        raise Unavailable(f"nginx refuses its configuration: {tried.stderr.strip()}")
    with subprocess.Popen([nginx, "-c", str(file)], stderr=subprocess.DEVNULL) as process:
        try:
            until_s = time.monotonic() + START_S
            while not listens(port):
                if process.poll() is not None or time.monotonic() > until_s:
                    raise Unavailable(f"nginx did not listen within {START_S:.0f} s")
                time.sleep(0.02)
            yield port
        finally:
            process.terminate()
