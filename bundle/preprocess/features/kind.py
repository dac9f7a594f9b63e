"""The kind `features`: how users and items stand in JSON, and what bounds them."""

from __future__ import annotations

import orjson

from bundle.errors import InputError
from bundle.preprocess.features.input import FeatureFacts, Features
from bundle.preprocess.features.preprocessor import FeaturePreprocessor
from bundle.preprocess.features.rows import columns
from bundle.preprocess.features.schema import FeatureSchema
from bundle.preprocess.features.tensors import from_tensors, tensors
from bundle.preprocess.kind import CHARS_PER_REQUEST, Kind, Limit, LimitSetting


def _json_bytes(one: Features) -> int:
    try:
        return len(orjson.dumps(one.values))
    except orjson.JSONEncodeError:
        raise InputError(0, "too_deep", "nested too deeply; features are values or short lists") from None


_LARGEST_OBJECT = LimitSetting(
    "max_bytes_per_object",
    131_072,
    "largest object of features, as compact JSON; 512 dated events of a history are 20,000",
)

FEATURES = Kind(
    name="features",
    noun="an object of features",
    plural="objects of features",
    json_schema={"type": "object", "description": "features, as GET /models/{name}/schema declares them"},
    examples=(
        {
            "history": [{"id": "85123A", "time": "2011-11-02"}, {"id": "22423", "time": "2011-10-20"}],
            "country": "France",
        },
    ),
    limits=(Limit("bytes", _json_bytes, _LARGEST_OBJECT, CHARS_PER_REQUEST),),
    columns=columns,
    tensors=tensors,
    from_tensors=from_tensors,
    file="features.json",
    version=1,
    load=lambda content, max_length, languages=(): FeaturePreprocessor(FeatureSchema.from_bytes(content)),
    facts=FeatureFacts,
)
