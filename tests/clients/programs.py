"""One program per client library: encodes two texts and provokes an error, as that library's users would.

Run in an environment of its own, where nothing of ours but `encodery_client` is used:

    python programs.py NAME URL     prints {"versions", "vectors", "error"} as JSON

Libraries are imported where they are used: each environment has some of them only.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import sys
from typing import Any

import media_programs
import tensor_programs
from asking import ABSENT, MODEL, TEXTS, caught

PROGRAMS = (globals(), vars(tensor_programs), vars(media_programs))


def openai(url: str) -> tuple[Any, str]:
    from openai import OpenAI

    client = OpenAI(base_url=f"{url}/v1", api_key="none")
    found = client.embeddings.create(model=MODEL, input=TEXTS)
    assert [model.id for model in client.models.list()].count(MODEL) == 1
    assert client.models.retrieve(MODEL).id == MODEL
    bare = OpenAI(base_url=url, api_key="none")
    assert [model.id for model in bare.models.list()].count(MODEL) == 1
    assert bare.models.retrieve(MODEL).id == MODEL
    return [one.embedding for one in found.data], caught(
        lambda: client.embeddings.create(model=ABSENT, input="hello")
    )


def openai_async(url: str) -> tuple[Any, str]:
    from openai import AsyncOpenAI

    async def run() -> tuple[Any, str]:
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client:
            found = await client.embeddings.create(model=MODEL, input=TEXTS, encoding_format="float")
            try:
                await client.embeddings.create(model=MODEL, input=[[1, 2, 3]])
            except Exception as error:
                return [one.embedding for one in found.data], f"{type(error).__name__}: {error}"
        raise AssertionError

    return asyncio.run(run())


def cohere(url: str) -> tuple[Any, str]:
    from cohere import ClientV2

    client = ClientV2("none", base_url=url)
    asked = {"input_type": "search_document", "embedding_types": ["float", "int8", "ubinary"]}
    found = client.embed(model=MODEL, texts=TEXTS, **asked).embeddings
    assert len(found.ubinary[0]) * 8 == len(found.int8[0]) == len(found.float_[0])
    return found.float_, caught(lambda: client.embed(model=ABSENT, texts=TEXTS, **asked))


def cohere_v1(url: str) -> tuple[Any, str]:
    from cohere import Client

    client = Client("none", base_url=url)
    found = client.embed(model=MODEL, texts=TEXTS, input_type="search_query")
    return found.embeddings, caught(lambda: client.embed(model=ABSENT, texts=TEXTS))


def ollama(url: str) -> tuple[Any, str]:
    from ollama import Client

    client = Client(url)
    found = client.embed(model=MODEL, input=TEXTS).embeddings
    assert any(model.model == f"{MODEL}:latest" for model in client.list().models)
    assert {model.model for model in client.ps().models} == {model.model for model in client.list().models}
    shown = client.show(MODEL)
    assert shown.capabilities == ["embedding"]
    assert shown.details.parameter_size
    assert "give vectors, no texts" in caught(lambda: client.generate(model=MODEL, prompt="hello"))
    assert "encodery import" in caught(lambda: client.pull(ABSENT))
    assert "encodery models" in caught(lambda: client.delete(ABSENT))
    one = client.embeddings(model=MODEL, prompt=TEXTS[0]).embedding
    assert max(abs(a - b) for a, b in zip(one, found[0], strict=True)) < 1e-5
    return found, caught(lambda: client.embed(model=ABSENT, input="hello"))


def infinity(url: str) -> tuple[Any, str]:
    from infinity_client import Client
    from infinity_client.api.default import embeddings, models
    from infinity_client.models import OpenAIEmbeddingInputText as Input

    def ask(model: str) -> Any:
        body = Input(input_=TEXTS, model=model)  # with dimensions 0 and modality text, whoever calls
        return embeddings.sync(client=client, body=body)

    client = Client(base_url=url, raise_on_unexpected_status=True)
    listed = models.sync(client=client)
    assert [one.id for one in listed.data].count(MODEL) == 1
    assert all(one.capabilities == ["embed"] for one in listed.data)
    return [one.embedding for one in ask(MODEL).data], caught(lambda: ask(ABSENT))


def huggingface_hub(url: str) -> tuple[Any, str]:
    from huggingface_hub import InferenceClient

    client = InferenceClient(model=url)
    rows = [client.feature_extraction(text)[0].tolist() for text in TEXTS]
    near = InferenceClient(model=f"{url}/similarity").sentence_similarity("hello", other_sentences=["hello"])
    assert abs(near[0] - 1) < 1e-5
    return rows, caught(lambda: client.feature_extraction(""))


LONG_DOCUMENT = "the cat sat on the mat " * 1_667  # ten thousand words


def huggingface_hub_moved(url: str) -> tuple[Any, str]:
    """From TEI: documents of any length, and the bare URL for both tasks."""
    from huggingface_hub import InferenceClient

    client = InferenceClient(model=url)
    rows = [client.feature_extraction(text)[0].tolist() for text in TEXTS]
    [whole] = client.feature_extraction(LONG_DOCUMENT)
    assert whole.shape == (len(rows[0]),)
    near = client.sentence_similarity("the cat sat", other_sentences=[LONG_DOCUMENT, "the cat sat"])
    assert len(near) == 2
    assert abs(near[1] - 1) < 1e-5
    return rows, caught(lambda: client.sentence_similarity("hello", other_sentences=[""]))


def langchain_huggingface(url: str) -> tuple[Any, str]:
    from huggingface_hub import InferenceClient
    from langchain_huggingface import HuggingFaceEndpointEmbeddings

    embeddings = HuggingFaceEndpointEmbeddings(model="org/name")
    embeddings.client = InferenceClient(model=url)  # from 1.2.3 on a URL is refused as `model`
    found = embeddings.embed_documents(TEXTS)
    assert len(embeddings.embed_query(LONG_DOCUMENT)) == len(found[0])
    return found, caught(lambda: embeddings.embed_documents(["hello", ""]))


def langchain_openai_moved(url: str) -> tuple[Any, str]:
    """From TEI: any name of a model, and a text of any length."""
    from langchain_openai import OpenAIEmbeddings

    embeddings = OpenAIEmbeddings(
        model="text-embeddings-inference",
        base_url=f"{url}/v1",
        api_key="none",
        check_embedding_ctx_length=False,
    )
    found = embeddings.embed_documents(TEXTS)
    assert len(embeddings.embed_query(LONG_DOCUMENT)) == len(found[0])
    return found, caught(lambda: embeddings.embed_query(""))


def litellm(url: str) -> tuple[Any, str]:
    from litellm import embedding

    def ask(model: str, base: str) -> Any:
        return embedding(model=model, input=TEXTS, api_base=base, api_key="none")

    found = ask(f"openai/{MODEL}", f"{url}/v1")
    for model, base in ((f"infinity/{MODEL}", url), (f"ollama/{MODEL}", url)):
        assert len(ask(model, base).data) == 2
    return [one["embedding"] for one in found.data], caught(lambda: ask(f"openai/{ABSENT}", f"{url}/v1"))


def langchain_openai(url: str) -> tuple[Any, str]:
    from langchain_openai import OpenAIEmbeddings

    def made(model: str) -> OpenAIEmbeddings:
        return OpenAIEmbeddings(
            model=model, base_url=f"{url}/v1", api_key="none", check_embedding_ctx_length=False
        )

    return made(MODEL).embed_documents(TEXTS), caught(lambda: made(ABSENT).embed_query("hello"))


def langchain_ollama(url: str) -> tuple[Any, str]:
    from langchain_ollama import OllamaEmbeddings

    found = OllamaEmbeddings(model=MODEL, base_url=url).embed_documents(TEXTS)
    return found, caught(lambda: OllamaEmbeddings(model=ABSENT, base_url=url).embed_query("hello"))


def llama_index_openai(url: str) -> tuple[Any, str]:
    from llama_index.embeddings.openai import OpenAIEmbedding

    def made(model: str) -> Any:
        return OpenAIEmbedding(model_name=model, api_base=f"{url}/v1", api_key="none", max_retries=0)

    return made(MODEL).get_text_embedding_batch(TEXTS), caught(
        lambda: made(ABSENT).get_text_embedding("hello")
    )


def llama_index_tei(url: str) -> tuple[Any, str]:
    from llama_index.embeddings.text_embeddings_inference import TextEmbeddingsInference

    embedder = TextEmbeddingsInference(base_url=url, model_name=MODEL)
    found = embedder.get_text_embedding_batch(TEXTS)
    assert len(embedder.get_text_embedding(LONG_DOCUMENT)) == len(found[0])
    # It looks at no status, so an error would be seen as a shape that it does not expect.
    return found, caught(lambda: embedder.get_text_embedding(""))


def haystack_openai(url: str) -> tuple[Any, str]:
    from haystack.components.embedders import OpenAITextEmbedder
    from haystack.utils import Secret

    def made(model: str) -> Any:
        return OpenAITextEmbedder(api_key=Secret.from_token("none"), api_base_url=f"{url}/v1", model=model)

    return [made(MODEL).run(text)["embedding"] for text in TEXTS], caught(lambda: made(ABSENT).run("hello"))


def haystack_tei(url: str) -> tuple[Any, str]:
    from haystack_integrations.components.embedders.huggingface_api import HuggingFaceAPITextEmbedder

    embedder = HuggingFaceAPITextEmbedder(
        api_type="text_embeddings_inference", api_params={"url": url}, token=None
    )
    found = [embedder.run(text)["embedding"] for text in TEXTS]
    assert len(embedder.run(LONG_DOCUMENT)["embedding"]) == len(found[0])
    return found, caught(lambda: embedder.run(""))


def haystack_tei_documents(url: str) -> tuple[Any, str]:
    from haystack import Document
    from haystack_integrations.components.embedders.huggingface_api import HuggingFaceAPIDocumentEmbedder

    embedder = HuggingFaceAPIDocumentEmbedder(
        api_type="text_embeddings_inference", api_params={"url": url}, token=None, progress_bar=False
    )

    def run(texts: list[str]) -> list[Any]:
        documents = embedder.run([Document(content=text) for text in texts])["documents"]
        return [document.embedding for document in documents]

    return run([*TEXTS, LONG_DOCUMENT])[:2], caught(lambda: run(["hello", ""]))


def voyageai(url: str) -> tuple[Any, str]:
    from voyageai import Client

    client = Client(api_key="none", base_url=f"{url}/v1", max_retries=0)
    return client.embed(TEXTS, model=MODEL).embeddings, caught(lambda: client.embed(["hello"], model=ABSENT))


def mistralai(url: str) -> tuple[Any, str]:
    try:
        from mistralai.client import Mistral
    except ImportError:
        from mistralai import Mistral

    client = Mistral(api_key="none", server_url=url)
    found = client.embeddings.create(model=MODEL, inputs=TEXTS)
    return [one.embedding for one in found.data], caught(
        lambda: client.embeddings.create(model=ABSENT, inputs=["hello"])
    )


def hook_langchain(url: str) -> tuple[Any, str]:
    from encodery_client import Client
    from encodery_client.langchain import EncoderyEmbeddings

    embeddings = EncoderyEmbeddings(Client(url))
    assert len(asyncio.run(embeddings.aembed_query("hello"))) == len(embeddings.embed_query("hello"))
    return embeddings.embed_documents(TEXTS), caught(lambda: embeddings.embed_query(""))


def hook_llama_index(url: str) -> tuple[Any, str]:
    from encodery_client import Client
    from encodery_client.llama_index import EncoderyEmbedding

    embedding = EncoderyEmbedding(Client(url))
    assert len(embedding.get_query_embedding("hello")) == len(asyncio.run(embedding.aget_text_embedding("a")))
    return embedding.get_text_embedding_batch(TEXTS), caught(lambda: embedding.get_text_embedding(""))


def hook_haystack(url: str) -> tuple[Any, str]:
    from haystack import Document, Pipeline

    from encodery_client.haystack import EncoderyDocumentEmbedder, EncoderyTextEmbedder

    pipeline = Pipeline()
    pipeline.add_component("embedder", EncoderyDocumentEmbedder(url, truncate="end"))
    pipeline = Pipeline.loads(pipeline.dumps(), allowed_modules=["encodery_client.haystack"])
    documents = [Document(content=text) for text in TEXTS] + [Document(content=None)]
    done = pipeline.run({"embedder": {"documents": documents}})["embedder"]["documents"]
    assert done[2].embedding is None
    assert documents[0].embedding is None
    one = EncoderyTextEmbedder(url)
    assert (
        max(abs(a - b) for a, b in zip(one.run(TEXTS[0])["embedding"], done[0].embedding, strict=True)) < 1e-5
    )
    return [document.embedding for document in done[:2]], caught(lambda: one.run(""))


def frames(url: str) -> tuple[Any, str]:
    """Columns and tables of pandas and polars, by our own client."""
    import pandas as pd
    import polars as pl

    from encodery_client import Client

    client = Client(url)
    rows = {"history": [["A1"], None], "country": ["GB", None]}
    tables = [client.encode(frame, model="shop-user") for frame in (pd.DataFrame(rows), pl.DataFrame(rows))]
    assert abs(tables[0] - tables[1]).max() < 1e-6
    assert abs(client.encode(pl.Series(TEXTS)) - client.encode(pd.Series(TEXTS))).max() < 1e-5
    return client.encode(pd.Series(TEXTS)).tolist(), caught(lambda: client.encode(pd.Series([""])))


if __name__ == "__main__":
    name, url = sys.argv[1:3]
    program = next(programs[name] for programs in PROGRAMS if name in programs)
    vectors, error = program(url)
    versions = {package: importlib.metadata.version(package) for package in sys.argv[3:]}
    print(json.dumps({"versions": versions, "vectors": vectors, "error": error}))
