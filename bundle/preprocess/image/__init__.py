"""Pictures: JPEG, PNG, WebP and GIF, as a square of pixels."""

from bundle.preprocess.image.input import Image, ImageFacts
from bundle.preprocess.image.kind import IMAGE
from bundle.preprocess.image.preprocessor import ImageFile, ImagePreprocessor

__all__ = ["IMAGE", "Image", "ImageFacts", "ImageFile", "ImagePreprocessor"]
