"""One run, one TOML file: every setting of a training run, typed, with its default in one place.

An unknown key is an error that names the key and the nearest valid one. Paths are relative to the data
directory (`--data`, or the environment variable ENCODERY_DATA) unless absolute.
"""

from training.config.load import RunConfig, config_sha256, load_config, parse_config
from training.config.recommender import (
    FEATURE_OPTIONS,
    BagPooling,
    FeatureConfig,
    InteractionsConfig,
    RecommenderLossConfig,
    RecommenderRun,
    SequenceConfig,
    StartConfig,
    TowersConfig,
)
from training.config.sections import (
    Activation,
    HiddenConfig,
    Pooling,
    Precision,
    Section,
    TrainConfig,
)
from training.config.text import (
    COLUMNS,
    BigramConfig,
    LoraConfig,
    Rows,
    SourceConfig,
    TeacherConfig,
    TextDataConfig,
    TextExportConfig,
    TextLossConfig,
    TextModelConfig,
    TextRates,
    TextRun,
    VocabularyConfig,
    WindowConfig,
)
from training.errors import ConfigError

__all__ = [
    "COLUMNS",
    "FEATURE_OPTIONS",
    "Activation",
    "BagPooling",
    "BigramConfig",
    "ConfigError",
    "FeatureConfig",
    "HiddenConfig",
    "InteractionsConfig",
    "LoraConfig",
    "Pooling",
    "Precision",
    "RecommenderLossConfig",
    "RecommenderRun",
    "Rows",
    "RunConfig",
    "Section",
    "SequenceConfig",
    "SourceConfig",
    "StartConfig",
    "TeacherConfig",
    "TextDataConfig",
    "TextExportConfig",
    "TextLossConfig",
    "TextModelConfig",
    "TextRates",
    "TextRun",
    "TowersConfig",
    "TrainConfig",
    "VocabularyConfig",
    "WindowConfig",
    "config_sha256",
    "load_config",
    "parse_config",
]
