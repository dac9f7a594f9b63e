"""OpenAI's embeddings: POST /v1/embeddings, GET /v1/models; and what Voyage, Mistral and Jina send to it.

https://developers.openai.com/api/reference/resources/embeddings; also without /v1, which LiteLLM's
`infinity/` and others post to. The official clients ask for base64 unless their caller says otherwise.
"""

from __future__ import annotations

import time
import uuid
from typing import Annotated, Any, ClassVar, Literal

from fastapi import Request, Response
from pydantic import BeforeValidator, Field

from app.api import vectors
from app.api.models import answering, card_of
from app.api.protocols.base import (
    Protocol,
    expected_space,
    json_response,
    json_vectors,
    named,
    texts,
    texts_or_ids,
)
from app.api.protocols.foreign import ForeignRequest, Length, Refusal, Texts
from app.api.protocols.input_types import InputType, with_prompt_for
from app.api.protocols.measured import measured
from app.api.protocols.media import of_messages
from app.api.service import EncodeRequest, EncodeResult, encode
from app.engine import Loaded, Registry
from app.http.context import Context, Ctx
from app.http.errors import ErrorBody, Failure, InvalidRequest
from bundle import OutputType, Truncate
from bundle.values import json_type

MODALITIES = ("text", "image", "audio")
UNNAMED = "default/not-specified"  # what infinity_client sends where its caller names no model
_CODES = {"unknown_model": "model_not_found", "unknown_version": "model_not_found"}


def openai_error(failure: Failure) -> dict[str, Any]:
    """An error in OpenAI's shape."""
    detail = failure.detail
    code = _CODES.get(detail.code, detail.code)
    return {"error": {"message": detail.message, "type": detail.type, "param": detail.param, "code": code}}


OPENAI = Protocol("OpenAI", body=openai_error, error=ErrorBody, statuses={422: 400})


def _lowered(value: Any) -> Any:
    """A word as Ollama compares it: in any case, and none where it is empty."""
    return (value.lower() or None) if isinstance(value, str) else value


class EmbeddingsRequest(ForeignRequest):
    """Texts to encode."""

    field = "input"
    ignored = ("user", "metadata")
    refused: ClassVar = {
        "task": Refusal('what a text is for stands in "input_type", or its prompt in "prompt"'),
        "late_chunking": Refusal("every text has a vector of its own here; leave it out", (None, False)),
        "normalized": Refusal(
            "vectors have length 1 on this route; /encode gives the model's own", (None, True)
        ),
        "embedding_type": Refusal('the type of the vectors stands in "output_dtype"', (None, "float")),
    }

    input: Texts = Field(
        None,
        description="a text, or a list of at most ENCODERY_MAX_ITEMS texts; no token ids. For a model of "
        'pictures, data URIs or {"image": ..}',
    )
    messages: Any = Field(None, description="vLLM's: in place of `input`, one picture or sound")
    modality: Any = Field(None, description="Infinity's: what the inputs are: `text`, `image` or `audio`")
    infinity_extra_modality: Any = Field(None, description="the same")
    model: str | None = Field(None, description="`text`, or `text/2` for a version; default: the server's")
    encoding_format: Annotated[Literal["float", "base64"] | None, BeforeValidator(_lowered)] = Field(
        "float", description="in any case; empty for float"
    )
    dimensions: Length = Field(None, description="only those the model was trained for; under 1 for all")
    output_dimension: int | None = Field(None, ge=0, description="Voyage's and Mistral's: the same")
    output_dtype: Literal["float", "int8", "uint8", "binary", "ubinary"] | None = Field(
        None, description="Voyage's and Mistral's: type of the vectors; all but float are of another space"
    )
    truncate: Truncate | None = Field(None, description="ours: cut what is too long, at the end or the start")
    truncation: bool | None = Field(None, description="Voyage's: cut what is too long, at the end")
    prompt: str | None = Field(None, description="ours: name of one of the model's prompts")
    input_type: InputType | None = Field(
        None, description="Voyage's: picks the model's prompt for it, if it has one"
    )

    def values(self) -> Any:
        """The inputs as ours. Raises InvalidRequest."""
        if self.messages:
            if self.input is not None:
                message = "input and messages are two forms of one field; send one of them"
                raise InvalidRequest(message, code="invalid_value", param="messages")
            return of_messages(self.messages)
        if self.input is None:
            raise InvalidRequest('"input" is missing', code="missing_field", param="input")
        asked = [_modality(name, getattr(self, name)) for name in ("modality", "infinity_extra_modality")]
        modality = next((one for one in asked if one not in (None, "text")), None)
        if modality is None:
            return self.input
        values = self.input if isinstance(self.input, list) else [self.input]
        return [{modality: value} if isinstance(value, str) else value for value in values]

    def dim(self) -> int | None:
        """The length of the vectors. Raises InvalidRequest where two are asked for."""
        asked = {one for one in (self.dimensions, self.output_dimension) if one}
        if len(asked) > 1:
            raise InvalidRequest(
                "dimensions and output_dimension differ; send one of them",
                code="invalid_dimensions",
                param="output_dimension",
            )
        return min(asked, default=None)

    def cut(self, *, is_default: bool) -> Truncate:
        """The truncation in our words; our own field comes first, and what the request leaves open last."""
        is_cut = is_default if self.truncation is None else self.truncation
        return self.truncate or ("end" if is_cut else "none")

    def output(self) -> OutputType:
        """The type of the vectors in our words."""
        return "float32" if self.output_dtype is None or self.output_dtype == "float" else self.output_dtype


def _modality(field: str, value: Any) -> str | None:
    """What the inputs are said to be. Raises InvalidRequest."""
    if value is None or value in MODALITIES:
        return None if value is None else str(value)
    if not isinstance(value, str):
        message = f"{field}: expected a string, this is {json_type(value)}"
        raise InvalidRequest(message, code="wrong_type", param=field)
    message = f"{field}: inputs are one of {', '.join(MODALITIES)}"
    raise InvalidRequest(message, code="unsupported", param=field)


@OPENAI.post("/v1/embeddings", EmbeddingsRequest, "Encode texts")
@OPENAI.post("/embeddings", EmbeddingsRequest, "Encode texts")
async def embeddings(context: Context, request: Request) -> Response:
    """Vectors of texts, as OpenAI answers."""
    started_s, settings = time.perf_counter(), context.settings
    asked = await OPENAI.read(context, request, EmbeddingsRequest)
    values = asked.values()
    if not settings.openai_token_ids:
        _refuse_token_ids(values)
    model, version = _named(context, asked.model)
    inputs = texts_or_ids(values) if settings.openai_token_ids else texts(values)
    ask = EncodeRequest(
        inputs=inputs,
        model=model,
        version=version,
        space=expected_space(request),
        dim=asked.dim(),
        dim_field="dimensions" if asked.dimensions else "output_dimension",
        truncate=asked.cut(is_default=settings.auto_truncate),
        prompt=asked.prompt,
        output=asked.output(),
        unit=True,
    )
    answer = await encode(context, request, with_prompt_for(asked.input_type, ask, context))
    headers = measured(answer, inputs.values, started_s)
    return await json_vectors(answer, lambda: _content(answer, asked.encoding_format), headers)


def _named(context: Context, model: str | None) -> tuple[str | None, str | None]:
    """Name and version; of a model that is not there those of the default one, where a setting says so."""
    if model == UNNAMED and model not in context.models.aliases:
        return None, None
    name, version = named(context, model)
    if name is None or context.settings.openai_unknown_model == "refuse":
        return name, version
    return (name, version) if _is_there(context.registry, name, version) else (None, None)


def _is_there(registry: Registry, name: str, version: str | None) -> bool:
    stands_for, its_version = registry.resolve(name)
    model, version = registry.models.get(stands_for), version or its_version
    return model is not None and (version is None or version in (*model.versions, *model.loading))


def _content(answer: EncodeResult, encoding: str | None) -> dict[str, Any]:
    values = answer.quantized  # [n, dim], or [n, dim / 8]
    rows = vectors.base64_rows(values) if encoding == "base64" else values
    return {
        "id": f"embd-{uuid.uuid4().hex}",
        "object": "list",
        "created": int(time.time()),  # as vLLM and Infinity have it
        "data": [{"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(rows)],
        "model": answer.loaded.manifest.name,
        "usage": {"prompt_tokens": answer.tokens, "total_tokens": answer.tokens},
    }


@OPENAI.get("/v1/models", "List models")
async def models(context: Ctx) -> Response:
    """Every model that can answer, and their other names."""
    data = [_described(name, loaded) for name, loaded in answering(context.registry)]
    return json_response({"object": "list", "data": data})


@OPENAI.get("/v1/models/{model:path}", "One model")
async def model(model: str, context: Ctx) -> Response:
    """What there is to say of a model, by whatever the field `model` takes: `text`, `text/2`, an alias."""
    name, version = named(context, model)
    return json_response(_described(model, context.registry.find(name or model, version=version)))


def _described(name: str, loaded: Loaded) -> dict[str, Any]:
    return card_of(name, loaded).model_dump() | {"owned_by": "encodery"}


def _refuse_token_ids(value: Any) -> None:
    """LangChain's default sends ids of another tokenizer: their vectors would mean nothing."""
    first = value[0] if isinstance(value, list) and value else None
    first = first[0] if isinstance(first, list) and first else first
    if type(first) is int:
        raise InvalidRequest(
            "input holds token ids, which are of another tokenizer than this model's; send texts (LangChain: "
            "OpenAIEmbeddings(check_embedding_ctx_length=False)); ENCODERY_OPENAI_TOKEN_IDS takes them",
            code="token_ids",
            param="input",
        )


for _path in ("/v1/chat/completions", "/v1/completions", "/v1/responses"):
    OPENAI.refuse(_path, "the models of this server give vectors, no texts; send texts to /v1/embeddings")
