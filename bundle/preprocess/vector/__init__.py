"""Vectors of a space, for adapters: encoders that turn them towards another space."""

from bundle.preprocess.vector.input import Vector
from bundle.preprocess.vector.kind import VECTOR
from bundle.preprocess.vector.preprocessor import VectorPreprocessor

__all__ = ["VECTOR", "Vector", "VectorPreprocessor"]
