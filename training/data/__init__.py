"""Raw files to examples."""
