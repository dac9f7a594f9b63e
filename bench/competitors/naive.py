"""The obvious FastAPI application around a library: a sync endpoint, so that a thread runs each request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class Request(BaseModel):
    """The body of `POST /encode`, as far as the load sends it."""

    inputs: str | list[str]
    model: str = ""
    encoding: str = "float"


def serve(encode: Callable[[list[str]], Any], port: int) -> None:
    """Serve a function from texts to an array until the process is ended."""
    app = FastAPI()

    @app.post("/encode")
    def route(request: Request) -> dict[str, Any]:
        texts = [request.inputs] if isinstance(request.inputs, str) else request.inputs
        return {"embeddings": encode(texts).tolist()}

    @app.get("/health")
    def health() -> dict[str, bool]:
        return {"ok": True}

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", access_log=False)
