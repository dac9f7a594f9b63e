"""Other people's clients, in their own environments, against the real server.

Each gets the vectors that `/encode` gives, and sees our sentence when it errs. `dev.py test` runs those of
the core environment, `dev.py clients` all; what is not installed is skipped. With ENCODERY_CLIENTS_REPORT
set, what was seen is written there: docs/clients.md shows it.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asking
import httpx2 as httpx
import numpy as np
import programs
import pytest
import tiny
from recorder import recorded
from running import serving

from bundle import publish

pytestmark = [pytest.mark.e2e, pytest.mark.clients]

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
JAVASCRIPT = HERE / "javascript"
CLOSE = 1e-6
LOADED = "no such model; loaded: shop-item, shop-user, text"
NOT_FETCHED = "nothing is fetched from any"
EMPTY = "the text is empty or has no token; leave it out"


@dataclass(frozen=True)
class Case:
    """One client.

    Attributes:
        name: as people call it.
        environment: of Python's, one of dev.py's, or `javascript` or `java`.
        program: its function in programs.py or programs.mjs; of Java there is one.
        packages: whose versions are reported.
        error: what its user must see.
        profile: of the server that it is asked at, ENCODERY_COMPATIBILITY.
        model: that it asks for vectors.
    """

    name: str
    environment: str
    program: str
    packages: tuple[str, ...]
    error: str = LOADED
    profile: str = "none"
    model: str = "text"


def of_pictures(name: str, environment: str, program: str, *packages: str) -> Case:
    """A client that sends pictures."""
    return Case(name, environment, program, packages, NOT_FETCHED, model="image")


def of_sounds(name: str, environment: str, program: str, *packages: str) -> Case:
    """A client that sends sounds."""
    return Case(name, environment, program, packages, NOT_FETCHED, model="audio")


CASES = (
    Case("openai", "clients", "openai", ("openai",)),
    Case("openai, async, floats", "clients", "openai_async", ("openai",), "check_embedding_ctx_length=False"),
    Case("tritonclient[http]", "clients", "tritonclient", ("tritonclient",)),
    Case(
        "tritonclient[http], features",
        "clients",
        "tritonclient_features",
        ("tritonclient",),
        "did you mean 'country'?",
        model="shop-user",
    ),
    Case(
        "tritonclient[http], errors",
        "clients",
        "tritonclient_errors",
        ("tritonclient",),
        "what was published",
    ),
    Case("ollama", "clients", "ollama", ("ollama",)),
    Case("cohere, v2", "clients", "cohere", ("cohere",)),
    Case("cohere, v1", "clients", "cohere_v1", ("cohere",)),
    Case("huggingface_hub", "clients", "huggingface_hub", ("huggingface_hub",), EMPTY),
    Case(
        "huggingface_hub, 10,000 words",
        "clients",
        "huggingface_hub_moved",
        ("huggingface_hub",),
        EMPTY,
        "tei",
    ),
    Case("openai 2", "clients-all", "openai", ("openai",)),
    Case("LiteLLM", "clients-all", "litellm", ("litellm",)),
    Case("LangChain, OpenAI", "clients-all", "langchain_openai", ("langchain-openai",)),
    Case(
        "LangChain, TEI's OpenAI route",
        "clients-all",
        "langchain_openai_moved",
        ("langchain-openai",),
        EMPTY,
        "tei",
    ),
    Case(
        "LangChain, huggingface",
        "clients-all",
        "langchain_huggingface",
        ("langchain-huggingface", "huggingface-hub"),
        EMPTY,
        "tei",
    ),
    Case("LangChain, Ollama", "clients-all", "langchain_ollama", ("langchain-ollama",)),
    Case("LlamaIndex, OpenAI", "clients-all", "llama_index_openai", ("llama-index-embeddings-openai",)),
    Case(
        "LlamaIndex, TEI",
        "clients-all",
        "llama_index_tei",
        ("llama-index-embeddings-text-embeddings-inference",),
        "",  # it looks at no status
    ),
    Case("Haystack, OpenAI", "clients-all", "haystack_openai", ("haystack-ai",)),
    Case("Haystack, TEI", "clients-all", "haystack_tei", ("haystack-ai", "huggingface-api-haystack"), EMPTY),
    Case(
        "Haystack, TEI, documents",
        "clients-all",
        "haystack_tei_documents",
        ("haystack-ai", "huggingface-api-haystack"),
        EMPTY,
    ),
    Case("infinity_client", "clients-apart", "infinity", ("infinity_client",)),
    Case("voyageai", "clients-all", "voyageai", ("voyageai",)),
    Case("mistralai", "clients-all", "mistralai", ("mistralai",)),
    Case("ours, in LangChain", "clients-all", "hook_langchain", ("langchain-core",), EMPTY),
    Case("ours, in LlamaIndex", "clients-all", "hook_llama_index", ("llama-index-core",), EMPTY),
    Case("ours, in Haystack", "clients-all", "hook_haystack", ("haystack-ai",), EMPTY),
    Case("ours, with pandas and polars", "clients-all", "frames", ("pandas", "polars"), EMPTY),
    Case("PyTriton", "clients-kserve", "pytriton", ("nvidia-pytriton",), EMPTY),
    Case("KServe", "clients-kserve", "kserve", ("kserve",)),
    Case("KServe, transformer", "clients-kserve", "kserve_transformer", ("kserve",), EMPTY),
    Case("open-inference-openapi", "clients-kserve", "open_inference_openapi", ("open-inference-openapi",)),
    Case("MLServer, codecs", "clients-mlserver", "mlserver", ("mlserver",)),
    Case("mlserver infer", "clients-mlserver", "mlserver_infer", ("mlserver",), EMPTY),
    Case("openai (npm)", "javascript", "openai", ("openai",)),
    Case("ollama (npm)", "javascript", "ollama", ("ollama",)),
    Case("@huggingface/inference", "javascript", "huggingface", ("@huggingface/inference",), EMPTY),
    Case("AI SDK", "javascript", "ai", ("ai", "@ai-sdk/openai-compatible")),
    Case("LangChain.js, OpenAI", "javascript", "langchain", ("@langchain/openai",)),
    Case("the JDK's HttpClient", "java", "jdk", ()),
    of_pictures("openai, pictures", "clients", "openai_pictures", "openai"),
    of_pictures("openai, messages as vLLM reads them", "clients", "openai_messages", "openai"),
    of_pictures("cohere, pictures", "clients", "cohere_pictures", "cohere"),
    of_pictures("tritonclient[http], pictures", "clients", "tritonclient_pictures", "tritonclient"),
    of_sounds("tritonclient[http], sounds", "clients", "tritonclient_sounds", "tritonclient"),
    of_pictures("Jina's form, pictures", "clients", "jina_pictures"),
    of_pictures("LiteLLM, pictures", "clients-all", "litellm_pictures", "litellm"),
    of_pictures("infinity_client, pictures", "clients-apart", "infinity_pictures", "infinity_client"),
    of_sounds("infinity_client, sounds", "clients-apart", "infinity_sounds", "infinity_client"),
)
USERS = [{"history": ["A1", "B1"], "country": "GB"}, {"history": ["C2"]}]


INPUTS: Mapping[str, Any] = {
    "text": programs.TEXTS,
    "shop-user": USERS,
    "image": [base64.b64encode(one).decode() for one in asking.PICTURES],
    "audio": [base64.b64encode(one).decode() for one in asking.SOUNDS],
}
MEDIA = ("image", "audio")  # models that are served by themselves: others are asked for all that are loaded


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny bundles of pictures and of sounds."""
    models = tmp_path_factory.mktemp("media")
    publish(models, [tiny.image_draft()])
    publish(models, [tiny.audio_draft()])
    return models


@pytest.fixture(scope="module")
def urls(published: Path, media: Path) -> Iterator[dict[tuple[str, bool], str]]:
    """A server for each profile that a client needs, and whether it has models of pictures and sounds."""
    wanted = sorted({(case.profile, case.model in MEDIA) for case in CASES})
    with ExitStack() as servers:
        yield {
            (profile, is_media): servers.enter_context(
                serving(media if is_media else published, ENCODERY_COMPATIBILITY=profile)
            )
            for profile, is_media in wanted
        }


@pytest.fixture(scope="module")
def report() -> Iterator[list[dict[str, Any]]]:
    """What every client did, in the order of CASES."""
    rows: list[dict[str, Any]] = []
    yield rows
    if path := os.environ.get("ENCODERY_CLIENTS_REPORT"):
        Path(path).write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")


def command(case: Case) -> list[str]:
    """How its program is started; skips where it is not installed."""
    if case.environment == "java":
        java = shutil.which("java")
        if java is None or "jdk.compiler" not in _output(java, "--list-modules"):
            pytest.skip("there is no JDK")
        return [java, str(HERE / "java" / "Programs.java"), case.program]
    if case.environment == "javascript":
        node = shutil.which("node")
        if node is None or not (JAVASCRIPT / "node_modules").is_dir():
            pytest.skip("not installed; python3 dev.py clients")
        return [node, "programs.mjs", case.program]
    python = ROOT / ".venv" / case.environment / "bin" / "python"
    if not (ROOT / ".venv" / case.environment / "encodery.stamp").exists():  # written when all is installed
        pytest.skip(f"there is no .venv/{case.environment}; python3 dev.py clients")
    return [str(python), str(HERE / "programs.py"), case.program]


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_client_gets_the_vectors_of_encode_and_our_sentence(
    case: Case, urls: dict[tuple[str, bool], str], report: list[dict[str, Any]]
) -> None:
    url = urls[case.profile, case.model in MEDIA]
    inputs = {"model": case.model, "inputs": INPUTS[case.model]}
    expected = httpx.post(f"{url}/encode", json=inputs, trust_env=False).json()["embeddings"]

    with recorded(url) as recorder:
        done = subprocess.run(
            [*command(case), recorder.url, *case.packages],
            cwd=JAVASCRIPT,
            env=os.environ
            | {
                "DIRECT_URL": url,
                "NO_PROXY": "*",
                "HF_HUB_OFFLINE": "0",
                "DO_NOT_TRACK": "1",
                "HAYSTACK_TELEMETRY_ENABLED": "False",
            },
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-2000:]
    seen = json.loads(done.stdout.splitlines()[-1])

    np.testing.assert_allclose(seen["vectors"], expected, atol=CLOSE)
    assert case.error in seen["error"]
    sent = next(line for line in recorder.requests if line.startswith("POST"))
    profile = "" if case.profile == "none" else f" (profile `{case.profile}`)"
    report.append({"client": case.name + profile, "versions": seen["versions"], "sent": sent})


def test_every_client_of_the_core_has_its_program() -> None:
    known = {name for found in programs.PROGRAMS for name in found}

    assert {case.program for case in CASES if case.environment not in ("javascript", "java")} <= known
