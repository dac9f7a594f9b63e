"""How good a text encoder is, on whatever labelled, graded or judged texts lie in a directory."""
