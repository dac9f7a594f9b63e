"""Runs servers as processes: starts them on a free port, waits, reads CPU time and memory, ends them.

Ours runs from this checkout's environment; each competitor in one of its own, made on demand from its list in
`bench/competitors/`. One that cannot be installed or started is skipped, with the reason in the results.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.processes import cpu_s, peak_mib, private_mib, resident_mib, tree_of

ROOT = Path(__file__).resolve().parent.parent
COMPETITORS = Path(__file__).parent / "competitors"
START_S = 120.0
INSTALL_S = 900.0


class Unavailable(Exception):
    """The server cannot be measured here; the message says why."""


@dataclass(frozen=True)
class Server:
    """A server that is measured.

    Attributes:
        command: a port to the arguments of its process.
        path: route that encodes.
        ready: path that answers 200 when it serves.
        environment: name of its virtual environment, made before it starts; None is ours.
        variables: set in its process.
        directory: where its process starts; the checkout, for ours.
    """

    name: str
    command: Callable[[int], Sequence[str]]
    path: str = "/encode"
    ready: str = "/health"
    environment: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    directory: Path = ROOT


@dataclass
class Running:
    """A server that answers."""

    server: Server
    process: subprocess.Popen[bytes]
    port: int

    @property
    def url(self) -> str:
        """Base URL."""
        return f"http://127.0.0.1:{self.port}"

    def cpu_s(self) -> float:
        """CPU time of the process and all under it so far."""
        return sum(cpu_s(pid) for pid in tree_of(self.process.pid))

    def memory_mib(self) -> float:
        """Resident memory of the process and all under it."""
        return sum(resident_mib(pid) for pid in tree_of(self.process.pid))

    def private_mib(self) -> float:
        """Memory that no other process shares, of the process and all under it."""
        return sum(private_mib(pid) for pid in tree_of(self.process.pid))

    def peak_mib(self) -> int:
        """Largest memory that a process of it ever had, by the kernel's own account."""
        return max(peak_mib(pid) for pid in tree_of(self.process.pid))

    def processes(self) -> list[int]:
        """Process ids of the server and all under it."""
        return tree_of(self.process.pid)


def ours(models: Path, workers: int = 1) -> Server:
    """Describe this server, with the default settings but for its number of processes."""
    arguments = ("-m", "encodery", "serve", "--models-dir", str(models))
    return Server(
        "encodery",
        lambda port: [sys.executable, *arguments, "--port", str(port)],
        ready="/health/ready",
        variables={"ENCODERY_WORKERS": str(workers)},
    )


def competitors(network: Path, padded: Path, work: Path) -> list[Server]:
    """Describe the other servers.

    Args:
        network: directory of the pretrained network.
        padded: directory with the same network as ONNX, padded, beside its tokenizer.
        work: directory for what one of them makes of the network itself.
    """

    def command(name: str, *directories: Path) -> Callable[[int], Sequence[str]]:
        script = str(COMPETITORS / f"{name}.py")
        return lambda port: [str(python_of(name)), script, str(port), *map(str, directories)]

    def library(name: str, directory: Path) -> Server:
        return Server(f"{name} behind FastAPI", command(name, directory), environment=name)

    return [
        library("fastembed", padded),
        library("sentence_transformers", network),
        library("model2vec", network),
        Server(
            "infinity",
            command("infinity", network, work / "infinity"),
            path="/embeddings",
            environment="infinity",
        ),
    ]


def python_of(name: str) -> Path:
    """Find the interpreter of a competitor's environment."""
    return ROOT / ".venv" / f"bench-{name}" / "bin" / "python"


def install(name: str) -> None:
    """Make a competitor's environment, unless it is there from the lists of now. Raises Unavailable."""
    python, stamp = python_of(name), python_of(name).parent.parent / "installed"
    lists = [COMPETITORS / f"{name}.txt"]
    if name in ("sentence_transformers", "infinity"):  # torch first, or its CUDA build comes as well
        lists.insert(0, ROOT / "requirements" / "torch-cpu.lock")
    wanted = "".join(one.read_text() for one in lists)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    index = os.environ.get("ENCODERY_TORCH_INDEX")  # where PyTorch's CPU builds are, if pip does not know
    pip = [str(python), "-m", "pip", "install", "-qq", "--no-input"]
    pip += [f"--extra-index-url={index}"] if index else []
    commands = [[sys.executable, "-m", "venv", "--clear", str(python.parent.parent)]]
    commands += [[*pip, *(["--no-deps"] if one.suffix == ".lock" else []), "-r", str(one)] for one in lists]
    for command in commands:
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S, check=False)
        except subprocess.TimeoutExpired:
            raise Unavailable(f"its installation took more than {INSTALL_S:.0f} s") from None
        if done.returncode != 0:
            raise Unavailable(f"cannot be installed: {(done.stderr.strip().splitlines() or ['?'])[-1][:200]}")
    stamp.write_text(wanted)


@contextmanager
def running(server: Server, log: Path, inherited: Mapping[str, str] = os.environ) -> Iterator[Running]:
    """Run the server until the block ends, with these variables and its own. Raises Unavailable."""
    if server.environment is not None:
        install(server.environment)
    port = free_port()
    defaults = {"ENCODERY_LOG_LEVEL": "warning", "HF_HUB_OFFLINE": "1"}
    environment = dict(inherited) | defaults | dict(server.variables)
    with log.open("wb") as output:
        process = subprocess.Popen(
            server.command(port), cwd=server.directory, env=environment, stdout=output, stderr=output
        )
    try:
        _wait(server, process, port, log)
        yield Running(server, process, port)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(server: Server, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until_s = time.monotonic() + START_S
    while time.monotonic() < until_s:
        if process.poll() is not None:
            raise Unavailable(f"ended when it was started: {_reason(log.read_text(errors='replace'))}")
        if answers(port, server.ready):
            return
        time.sleep(0.1)
    raise Unavailable(f"did not answer within {START_S:.0f} s")


def _reason(output: str) -> str:
    """Find the last error that the output names, or else its last line."""
    lines = output.strip().splitlines() or ["no output"]
    return next((line for line in reversed(lines) if "Error: " in line), lines[-1])[:200]


def answers(port: int, path: str) -> bool:
    """Whether GET gives 200."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            return connection.recv(12).endswith(b"200")
    except OSError:
        return False


def listens(port: int) -> bool:
    """Whether somebody does on that port."""
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
