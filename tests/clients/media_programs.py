"""Programs of clients that send pictures and sounds, as their libraries put them; an address is the error."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

from asking import PICTURES, SOUNDS, caught

ADDRESS = "https://shop.example/lamp.png"
IMAGE, AUDIO = "image", "audio"


def data_uris(contents: Sequence[bytes], media_type: str = "image/png") -> list[str]:
    return [f"data:{media_type};base64,{base64.b64encode(one).decode()}" for one in contents]


def openai_pictures(url: str) -> tuple[Any, str]:
    from openai import OpenAI

    client = OpenAI(base_url=f"{url}/v1", api_key="none")
    found = client.embeddings.create(model=IMAGE, input=data_uris(PICTURES))
    return [one.embedding for one in found.data], caught(
        lambda: client.embeddings.create(model=IMAGE, input=ADDRESS)
    )


def openai_messages(url: str) -> tuple[Any, str]:
    """As vLLM takes a picture: no method of the library knows `messages`, so its users post them by it."""
    from openai import OpenAI
    from openai.types import CreateEmbeddingResponse

    client = OpenAI(base_url=f"{url}/v1", api_key="none")

    def ask(address: str) -> Any:
        part = {"type": "image_url", "image_url": {"url": address}}
        body = {"model": IMAGE, "messages": [{"role": "user", "content": [part]}], "encoding_format": "float"}
        return client.post("/embeddings", cast_to=CreateEmbeddingResponse, body=body).data[0].embedding

    return [ask(one) for one in data_uris(PICTURES)], caught(lambda: ask(ADDRESS))


def cohere_pictures(url: str) -> tuple[Any, str]:
    from cohere import ClientV2

    client = ClientV2("none", base_url=url)
    asked = {"model": IMAGE, "input_type": "image", "embedding_types": ["float"]}
    found = client.embed(images=data_uris(PICTURES), **asked).embeddings.float_
    parts = [{"content": [{"type": "image_url", "image_url": {"url": one}}]} for one in data_uris(PICTURES)]
    again = client.embed(inputs=parts, **asked).embeddings.float_
    assert max(abs(a - b) for a, b in zip(found[1], again[1], strict=True)) < 1e-5
    return found, caught(lambda: client.embed(images=[ADDRESS], **asked))


def litellm_pictures(url: str) -> tuple[Any, str]:
    from litellm import embedding

    def ask(model: str, base: str, given: Sequence[str]) -> Any:
        return embedding(model=model, input=given, api_base=base, api_key="none").data

    found = ask(f"openai/{IMAGE}", f"{url}/v1", data_uris(PICTURES))
    assert len(ask(f"infinity/{IMAGE}", url, data_uris(PICTURES))) == 2
    return [one["embedding"] for one in found], caught(lambda: ask(f"openai/{IMAGE}", f"{url}/v1", [ADDRESS]))


def infinity_pictures(url: str) -> tuple[Any, str]:
    from infinity_client.models import OpenAIEmbeddingInputImage as Input

    return _infinity(url, Input, IMAGE, data_uris(PICTURES))


def infinity_sounds(url: str) -> tuple[Any, str]:
    from infinity_client.models import OpenAIEmbeddingInputAudio as Input

    return _infinity(url, Input, AUDIO, data_uris(SOUNDS, "audio/wav"))


def _infinity(url: str, made: Any, model: str, uris: Sequence[str]) -> tuple[Any, str]:
    from infinity_client import Client
    from infinity_client.api.default import embeddings

    client = Client(base_url=url, raise_on_unexpected_status=True)

    def ask(given: Sequence[str]) -> Any:
        body = made.from_dict({"input": given, "model": model, "modality": model})
        return embeddings.sync(client=client, body=body).data

    return [one.embedding for one in ask(uris)], caught(lambda: ask([ADDRESS]))


def tritonclient_pictures(url: str) -> tuple[Any, str]:
    return _tritonclient(url, IMAGE, PICTURES)


def tritonclient_sounds(url: str) -> tuple[Any, str]:
    return _tritonclient(url, AUDIO, SOUNDS)


def _tritonclient(url: str, model: str, contents: Sequence[bytes]) -> tuple[Any, str]:
    """Files as they are in binary, and base64 in JSON."""
    import numpy as np
    from tritonclient import http

    client = http.InferenceServerClient(url.removeprefix("http://"))
    [spec] = client.get_model_metadata(model)["inputs"]

    def ask(values: Sequence[Any], *, binary: bool) -> Any:
        tensor = http.InferInput(spec["name"], [len(values)], spec["datatype"])
        tensor.set_data_from_numpy(np.array(values, dtype=object), binary_data=binary)
        return client.infer(model, [tensor]).as_numpy("embedding")

    found = ask(contents, binary=True)
    again = ask([base64.b64encode(one) for one in contents], binary=False)
    assert np.abs(found - again).max() < 1e-5
    return found.tolist(), caught(lambda: ask([ADDRESS], binary=False))


def jina_pictures(url: str) -> tuple[Any, str]:
    """As Jina's own examples post them, without a library."""

    def ask(inputs: Sequence[Any]) -> Any:
        body = json.dumps({"model": IMAGE, "input": inputs}).encode()
        headers = {"Content-Type": "application/json", "Authorization": "Bearer none"}
        request = urllib.request.Request(f"{url}/v1/embeddings", body, headers)
        try:
            answer = urllib.request.urlopen(request).read()
        except urllib.error.HTTPError as error:
            raise ValueError(error.read().decode()) from None
        return [one["embedding"] for one in json.loads(answer)["data"]]

    bare = base64.b64encode(PICTURES[0]).decode()
    found = ask([{"image": bare}, {"image": data_uris(PICTURES)[1]}])
    return found, caught(lambda: ask([{"image": ADDRESS}]))
