"""Measures the server beside others: load, references, peers, and the report. Imports no part of `app`.

    python3 dev.py bench

texts > servers (ours, peers; each a process) < load (a process) ; raw (onnxruntime without a server) > report
"""
