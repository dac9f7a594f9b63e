"""Files of texts to examples, and examples to tokens."""
