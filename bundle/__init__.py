"""The contract: what a trained encoder is on disk, and how to run it.

Training writes bundles, the server reads them, and both prepare inputs with the code in
`bundle.preprocess`, so there is nothing to drift apart. Synchronous; knows nothing of HTTP or torch.
"""

import os

# onnxruntime reports to its makers unless it is told not to before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from bundle.aliases import Alias
from bundle.encoder import Encoder
from bundle.errors import (
    AliasChangedError,
    BundleError,
    EncoderyError,
    GoldenError,
    InputError,
    IntegrityError,
    ManifestError,
    SpaceChangeError,
    VersionExistsError,
)
from bundle.inputs import Input, prompted
from bundle.lexical import InputType, Lexical, SparseVector
from bundle.manifest import Manifest
from bundle.preprocess import KINDS, Facts, Kind, Limit, Prepared, Tensor, Truncate, Truncation
from bundle.preprocess.features import Features
from bundle.preprocess.text import Text
from bundle.publish import Draft, publish
from bundle.quantize import OUTPUT_TYPES, OutputType
from bundle.sessions import Execution
from bundle.store import Store
from bundle.switching import remove_alias, set_alias, switch_current

__all__ = [
    "KINDS",
    "OUTPUT_TYPES",
    "Alias",
    "AliasChangedError",
    "BundleError",
    "Draft",
    "Encoder",
    "EncoderyError",
    "Execution",
    "Facts",
    "Features",
    "GoldenError",
    "Input",
    "InputError",
    "InputType",
    "IntegrityError",
    "Kind",
    "Lexical",
    "Limit",
    "Manifest",
    "ManifestError",
    "OutputType",
    "Prepared",
    "SpaceChangeError",
    "SparseVector",
    "Store",
    "Tensor",
    "Text",
    "Truncate",
    "Truncation",
    "VersionExistsError",
    "prompted",
    "publish",
    "remove_alias",
    "set_alias",
    "switch_current",
]
