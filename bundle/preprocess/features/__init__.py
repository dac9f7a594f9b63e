"""Raw features of users and items: vocabularies, numbers, times and histories, as training declared them."""

from bundle.preprocess.features.input import FeatureFacts, Features
from bundle.preprocess.features.kind import FEATURES
from bundle.preprocess.features.preprocessor import FeaturePreprocessor

__all__ = ["FEATURES", "FeatureFacts", "FeaturePreprocessor", "Features"]
