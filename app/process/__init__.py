"""The processes of a server: `start` is the door, `server` runs one, `supervisor` keeps several."""
