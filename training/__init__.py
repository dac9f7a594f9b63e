"""Builds encoders with torch and exports them as bundles. Never imported by the server."""
