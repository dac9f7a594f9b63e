"""Sounds: decoded, made mono and of one rate, and cut into windows of one length."""

from bundle.preprocess.audio.decoding import Decoded, decode
from bundle.preprocess.audio.input import Sound
from bundle.preprocess.audio.kind import AUDIO
from bundle.preprocess.audio.preprocessor import WINDOWS, AudioFacts, AudioFile, AudioPreprocessor
from bundle.preprocess.audio.windows import means_of

__all__ = [
    "AUDIO",
    "WINDOWS",
    "AudioFacts",
    "AudioFile",
    "AudioPreprocessor",
    "Decoded",
    "Sound",
    "decode",
    "means_of",
]
