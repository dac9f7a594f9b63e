"""Text encoders: what a run reads, learns, measures and publishes."""
