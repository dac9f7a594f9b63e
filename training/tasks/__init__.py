"""One module per kind of run; see `training.task`."""
