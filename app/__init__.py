"""The server: FastAPI in front, onnxruntime behind. Imports `bundle`, never `training`.

main > api > engine > bundle; only main, api, errors, observe and metrics know HTTP, engine never does.
"""
