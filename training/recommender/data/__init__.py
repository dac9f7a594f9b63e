"""An interaction log to examples."""
