"""Measures the server beside others, and whatever else has its figures in the documentation.

    python3 dev.py bench

texts > servers (ours, competitors; each a process) < load (a process) ; raw (onnxruntime alone) > report
"""
