"""How good a text encoder is, on whatever labelled, scored or relevance-marked texts lie in a directory."""
