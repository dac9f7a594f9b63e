"""One run, one TOML file: every setting of a training run, typed, with its default in one place.

An unknown key is an error that names the key and the nearest valid one. Paths are relative to the data
directory (`--data`, or the environment variable ENCODERY_DATA) unless absolute.
"""

from training.config.load import config_sha256, load_config, load_config_as, parse_config
from training.config.sections import Run, Section, TrainConfig
from training.errors import ConfigError

__all__ = [
    "ConfigError",
    "Run",
    "Section",
    "TrainConfig",
    "config_sha256",
    "load_config",
    "load_config_as",
    "parse_config",
]
