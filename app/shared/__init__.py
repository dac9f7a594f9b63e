"""What the processes of a server share: socket, scoreboard, metrics on disk, scratch space, log."""
