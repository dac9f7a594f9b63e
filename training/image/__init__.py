"""Encoders of pictures: trained on labels and captions, from a pretrained backbone or from nothing."""
