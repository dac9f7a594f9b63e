"""The developer's commands: `python3 dev.py serve` and `python3 dev.py test` are all a fresh machine needs.

Makes the two environments `.venv/serve` (serving only) and `.venv/dev` (everything) from the locks in
requirements/, when they are missing or the locks changed, and runs the task in them. Installs with uv where
there is one, and with pip otherwise: the same files, by the same hashes.
Standard library only: it runs before anything is installed. It knows nothing of what the tasks do.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
REQUIREMENTS = ROOT / "requirements"
SBOMS = ROOT / "build" / "sbom"
PYTHON = "Scripts/python.exe" if os.name == "nt" else "bin/python"  # where an environment keeps its own
PATHS = (ROOT, ROOT / "clients" / "python")  # what Python finds without its being installed
OLDEST_PYTHON = (3, 11)
# The command `encodery` of an environment; -P: nothing in the current directory is taken for ours.
COMMAND = "@{} -P -m encodery %*\r\n" if os.name == "nt" else '#!/bin/sh\nexec {} -P -m encodery "$@"\n'

# Which build of torch comes, by the variable ENCODERY_TORCH. Training computes on the CPU.
TORCH = {"cpu": "torch-cpu.lock", "cuda": "torch-cuda.lock"}
TORCH_INDEX = (
    "https://download.pytorch.org/whl/cpu"  # PyTorch's own; the package index has no CPU build for Linux
)

# Other people's clients: the core that is always tested, the rest, and those whose pins fit no other's.
CLIENTS = ("clients", "clients-all", "clients-apart", "clients-kserve", "clients-mlserver")
# What drives a browser, a bucket, a cluster, or reads Kubernetes' files: each for tests of its own.
APART = ("browser", "cluster", "deploy", "stores")
# What each environment is made of, in this order; by hash, all of it.
ENVIRONMENTS = {
    "serve": ("serve.lock",),
    "dev": ("dev.lock", "torch"),
    **{name: (f"{name}.lock",) for name in (*CLIENTS, *APART)},
    "cluster": ("serve.lock", "cluster.lock"),  # its workers encode
    "lock": ("locker.lock",),
}

# How the locks are made: for every system, with one version of each package, so that all run what was tested.
# Not in pyproject.toml, where it would hold for each `uv pip install` in this directory as well.
LOCKING = "--quiet --universal --python-version=3.11 --generate-hashes --fork-strategy=fewest"
# What each is made of. torch-cpu.lock is kept by hand: docs/decisions/0002 says from what.
LOCKS = {
    "locker.lock": "requirements/locker.in",
    "serve.lock": "pyproject.toml",
    "dev.lock": "pyproject.toml --extra=train --extra=dev --no-emit-package=torch -c requirements/serve.lock",
    "torch-cuda.lock": "requirements/torch-cuda.in --no-config -c requirements/dev.lock",
    "teacher.lock": "--group=teacher --no-deps",
    "signing.lock": "requirements/signing.in -c requirements/serve.lock",
    **{f"{name}.lock": f"requirements/{name}.in" for name in (*CLIENTS, *APART)},
}
LOCKS["cluster.lock"] += " -c requirements/serve.lock"
LOCKS["clients-mlserver.lock"] += " --override=requirements/clients-mlserver.override"

CHECKS = ("ruff format --check .", "ruff check .", "mypy", "lint-imports")


class Stop(Exception):
    """The sentence that a person is told; dev.py then exits with 1."""


def serve(arguments: list[str]) -> int:
    """Serve the bundled models over HTTP; --host, --port and the rest go to `encodery serve`."""
    return replace_process([str(environment("serve")), "-P", "-m", "encodery", "serve", *arguments], cwd=ROOT)


def run(arguments: list[str]) -> int:
    """Run any `encodery` command in the development environment, e.g. `run train CONFIG`."""
    return replace_process([str(environment("dev")), "-P", "-m", "encodery", *arguments], cwd=Path.cwd())


def test(arguments: list[str]) -> int:
    """Run all tests; arguments go to pytest, e.g. `test tests/bundle -x` or `test --cov`."""
    environment("clients")
    # Tests of a file stay together: they share what is slow to make.
    return call([environment("dev"), "-m", "pytest", "--numprocesses=auto", "--dist=loadfile", *arguments])


def clients(arguments: list[str]) -> int:
    """Drive the server with everybody's client libraries, JavaScript ones where there is npm."""
    for name in CLIENTS:
        environment(name)
    if npm := shutil.which("npm"):
        call([npm, "ci", "--prefix", "tests/clients/javascript", "--no-audit", "--no-fund"])
    os.environ.setdefault("ENCODERY_CLIENTS_REPORT", str(ROOT / "docs" / "results" / "clients.json"))
    return call([environment("dev"), "-m", "pytest", "-m", "clients", *arguments])


def apart(arguments: list[str]) -> int:
    """Run tests that need an environment of their own: `apart browser`, `cluster`, `deploy` or `stores`."""
    names = [name for name in arguments[:1] if name in APART]
    for name in names or APART:
        environment(name)
    tests = ["-m", "pytest", "-m", " or ".join(names or APART), *arguments[len(names) :]]
    return call([environment("dev"), *tests])


def check(arguments: list[str]) -> int:
    """Check format, lint, types and the import rule; every one runs even when one before it failed."""
    binaries = environment("dev").parent
    failed = []
    for command in CHECKS:
        print(f"\n== {command}", flush=True)
        tool, *options = command.split()
        if call([shutil.which(tool, path=binaries) or tool, *options]) != 0:
            failed.append(command)
    print(f"\ncheck: failed: {', '.join(failed)}" if failed else "\ncheck: all clean")
    return 1 if failed else 0


def lock(arguments: list[str]) -> int:
    """Write requirements/*.lock from pyproject.toml, keeping pins that still fit; --upgrade moves them."""
    compile_lock = [str(environment("lock")), "-m", "uv", "pip", "compile", *LOCKING.split()]
    compile_lock += ["--custom-compile-command=python3 dev.py lock", *arguments]
    for name, sources in LOCKS.items():
        if call([*compile_lock, *sources.split(), f"--output-file=requirements/{name}"]) != 0:
            raise Stop(f"requirements/{name} could not be written; the lines above say why.")
        print(f"wrote requirements/{name}")
    return 0


def bench(arguments: list[str]) -> int:
    """Measure the server beside its competitors, in rounds; see bench/. --competitors= for ours alone."""
    return call([environment("dev"), "-m", "bench", *arguments])


def faults(arguments: list[str]) -> int:
    """Run the fault harness, every row or those named, and keep the figures; --list installs nothing."""
    return call([sys.executable if "--list" in arguments else environment("dev"), "-m", "faults", *arguments])


def replay(arguments: list[str]) -> int:
    """Replay what another server answered against a running one: FILE URL; see replay/."""
    return call([environment("dev"), "-m", "replay", *arguments])


def size(arguments: list[str]) -> int:
    """Print the size of the serving environment, its largest parts, and of the bundled models."""
    packages = site_packages(environment("serve")).iterdir()
    parts = sorted(((bytes_under(part), part.name) for part in packages), reverse=True)
    for part, name in parts[:10]:
        print(f"{part / 1e6:8.1f} MB  {name}")
    print(f"{bytes_under(VENV / 'serve') / 1e6:8.1f} MB  in all in .venv/serve")
    print(f"{bytes_under(ROOT / 'models') / 1e6:8.1f} MB  in models")
    return 0


def image(arguments: list[str]) -> int:
    """Build the container image without an engine, and try it; needs Debian's buildah, says so if absent."""
    return call(["bash", ROOT / "tests" / "packaging" / "check_image.sh", *arguments])


def sbom(arguments: list[str]) -> int:
    """Write a bill of materials (CycloneDX) for every lock to build/sbom/; serve.cdx.json is the server's."""
    SBOMS.mkdir(parents=True, exist_ok=True)
    # It is checked against the schema before it is written.
    make = [str(environment("dev")), "-m", "cyclonedx_py", "requirements", "--pyproject=pyproject.toml"]
    make += ["--output-reproducible", *arguments]
    for file in sorted(REQUIREMENTS.glob("*.lock")):
        written = SBOMS / f"{file.stem}.cdx.json"
        if call([*make, f"--output-file={written}", file]) != 0:
            raise Stop(f"{written} could not be written; the lines above say why.")
        print(f"wrote {written}")
    return 0


def docs(arguments: list[str]) -> int:
    """Run the examples of README.md and docs/, and write their answers in; --check only compares."""
    return call([environment("dev"), "-m", "docs", *arguments])


ALL = (serve, test, clients, apart, check, run, docs, bench, faults, replay, lock, sbom, size, image)
TASKS = {task.__name__: task for task in ALL}


def environment(name: str) -> Path:
    """Return the python of `.venv/<name>`, made or remade if its stamp is not the one it should have.

    The stamp is written last, so an installation that was killed is done again; a second dev.py waits.
    """
    home = VENV / name
    python, stamp, wanted = home / PYTHON, home / "encodery.stamp", fingerprint(name)
    with only_one(VENV / f"{name}.busy"):
        if stamp.exists() and stamp.read_text() == wanted:
            return python
        started = time.monotonic()
        say(f"Setting up .venv/{name}, for Python {sys.version.split()[0]}; this happens once")
        create_venv(home)
        for file in files_of(name):
            install(python, file)
        command = register(python)
        stamp.write_text(wanted)
        seconds = time.monotonic() - started
        say(f"Set up .venv/{name}: {bytes_under(home) / 1e6:.0f} MB in {seconds:.0f} s")
        if name in ("serve", "dev"):
            say(f'The command is {command}; to call it encodery: export PATH="{command.parent}:$PATH"')
    return python


def files_of(name: str) -> list[Path]:
    """Return the locks that an environment is made of; that of torch is for the build that is wanted."""
    build = os.environ.get("ENCODERY_TORCH") or "cpu"
    if build not in TORCH:
        raise Stop(f"ENCODERY_TORCH is one of {', '.join(TORCH)}.")
    return [REQUIREMENTS / (TORCH[build] if file == "torch" else file) for file in ENVIRONMENTS[name]]


def fingerprint(name: str) -> str:
    """Return a digest over all that decides what is in the environment: locks, python and place."""
    abi = f"{sys.version} {sysconfig.get_config_var('SOABI')} {sysconfig.get_platform()}"
    digest = hashlib.sha256(f"{abi}\n{sys.base_prefix}\n{PATHS}\n{version()}\n{COMMAND}".encode())
    for file in files_of(name):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def register(python: Path) -> Path:
    """Put the checkout on the environment's path, and record its version, as an editable installation does.

    Returns the command `encodery`, which it writes.
    """
    packages = site_packages(python)
    (packages / "encodery.pth").write_text("".join(f"{path}\n" for path in PATHS))
    information = packages / f"encodery-{version()}.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: encodery\nVersion: {version()}\n")
    command = python.with_name("encodery.cmd" if os.name == "nt" else "encodery")
    command.write_text(COMMAND.format(f'"{python}"' if os.name == "nt" else shlex.quote(str(python))))
    command.chmod(0o755)
    return command


def version() -> str:
    """Return the version that pyproject.toml gives the project."""
    import tomllib  # Python 3.11; an older one must come as far as its error message

    return str(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])


def create_venv(home: Path) -> None:
    """Make an empty virtual environment, removing what was there."""
    if Path(sys.prefix) == home:
        raise Stop(f"This Python lies in {home}, which is to be made anew; call dev.py with another one.")
    try:
        import ensurepip  # noqa: F401  (Debian ships python3 without it)
    except ImportError:
        package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        raise Stop(f"This Python cannot make environments; on Debian: apt install {package}") from None
    shutil.rmtree(home, ignore_errors=True)
    if call([sys.executable, "-m", "venv", home]) != 0:
        raise Stop(f"Could not make {home}; the lines above say why.")


def install(python: Path, file: Path) -> None:
    """Install a lock, by hash."""
    options = ["--require-hashes", "--no-deps", "--requirement", str(file)]
    if file.name == TORCH["cpu"]:
        say(f"  {file.name}: with pip")
        index = os.environ.get("ENCODERY_TORCH_INDEX")
        # A mirror, a cache, macOS and Windows have it without PyTorch's index; the hashes are the same.
        if not index and pip_install(python, *options, is_quiet=True) == 0:
            return
        options.append(f"--index-url={index or TORCH_INDEX}")
    elif uv := shutil.which("uv"):
        say(f"  {file.name}: with uv")
        if call([uv, "pip", "install", "--quiet", f"--python={python}", *options]) == 0:
            return
        say(f"  {file.name}: uv could not; with pip")
    else:
        say(f"  {file.name}: with pip")
    if pip_install(python, *options) != 0:
        raise Stop(f"pip could not install {file.name}; the lines above say why.")


def pip_install(python: Path, *options: str, is_quiet: bool = False) -> int:
    """Run pip, and return its exit status. It says nothing unless it fails, or not even then."""
    return call([python, "-m", "pip", "install", "-qqq" if is_quiet else "-qq", "--no-input", *options])


def say(line: str) -> None:
    """Tell what happens, where a log or a person sees it at once."""
    print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Hold a file lock; the system releases it even when this process is killed."""
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as handle:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(handle.fileno(), msvcrt.LK_LOCK, 1)  # type: ignore[attr-defined]  # Windows only
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def replace_process(command: list[str], *, cwd: Path) -> int:
    """Become the command, so that signals reach it; Windows has no exec worth the name."""
    sys.stdout.flush()
    if os.name == "nt":
        return subprocess.call(command, cwd=cwd)
    os.chdir(cwd)
    os.execv(command[0], command)


def call(command: Sequence[str | Path]) -> int:
    """Run a command in the repository root and return its exit status."""
    return subprocess.call([str(part) for part in command], cwd=ROOT)


def site_packages(python: Path) -> Path:
    """Return where the environment of this python keeps its packages."""
    return next(python.parent.parent.glob("[lL]ib*/**/site-packages"))


def bytes_under(path: Path) -> int:
    """Return the bytes of a file, or of all files under a directory, not following links."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if file.is_file() and not file.is_symlink())


def main(arguments: list[str]) -> int:
    """Run the task named first, or print what there is."""
    if sys.version_info < OLDEST_PYTHON:
        raise Stop("Python {}.{} or newer is needed, not {}.{}.".format(*OLDEST_PYTHON, *sys.version_info))
    name, rest = (arguments[0], arguments[1:]) if arguments else ("help", [])
    if name in TASKS:
        return TASKS[name](rest)
    print("usage: python3 dev.py TASK [ARGUMENTS]\n")
    for task in TASKS.values():
        print(f"  {task.__name__:<6} {(task.__doc__ or '').splitlines()[0]}")
    if name in ("help", "-h", "--help"):
        return 0
    print(f"\nThere is no task {name!r}.", file=sys.stderr)
    return 2


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Stop as stop:
        print(f"dev.py: {stop}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
