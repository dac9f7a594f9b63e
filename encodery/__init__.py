"""The command line: `encodery serve`, `train`, `evaluate`, `models`. It imports nothing heavy."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("encodery")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "0.0.0+source"
