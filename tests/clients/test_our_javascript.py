"""Our JavaScript client: its own tests, in Node, and the vectors of a real server."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
from running import ROOT, serving

CLIENT = ROOT / "clients" / "javascript"
PROGRAM = """
import { Client, RequestRefused } from "./index.js";
const client = new Client(process.argv[1], { batchItems: 2 });
const answer = await client.answer(["hello world", "the cat sat on the mat", "a red lamp", "unheard words"]);
const users = await client.encode([{ history: ["A1", "B1"], country: "GB" }], { model: "shop-user" });
const scores = await client.score("hello", ["world", "cat", "hello"], { topK: 2 });
const refused = await client.encode(["dog", "cat", "lamp", ""]).catch((error) => error);
console.log(JSON.stringify({
  vectors: answer.vectors.map((one) => [...one]), warnings: answer.warnings, space: answer.space,
  user: [...users[0]], scores: scores.results, isRefused: refused instanceof RequestRefused,
  param: refused.param, code: refused.code, loaded: (await client.models()).models.length,
}));
"""


@pytest.fixture(scope="module")
def node() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip("there is no node")
    major = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    if int(major.strip().lstrip("v").partition(".")[0]) < 18:
        pytest.skip("fetch came with Node 18")
    return found


def test_its_own_tests_pass(node: str) -> None:
    tests = [str(path) for path in sorted(CLIENT.glob("test/*.mjs"))]
    done = subprocess.run([node, "--test", *tests], cwd=CLIENT, capture_output=True, text=True, check=False)

    assert tests
    assert done.returncode == 0, done.stdout[-4000:]
    assert "fail 0" in done.stdout


@pytest.mark.e2e
def test_it_gets_what_encode_gives(node: str, published: Path) -> None:
    with serving(published) as url:
        command = [node, "--input-type=module", "-e", PROGRAM, url]
        done = subprocess.run(command, cwd=CLIENT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        seen = json.loads(done.stdout)

        def post(route: str, **body: Any) -> Any:
            return httpx.post(url + route, json=body, trust_env=False).json()

        texts = ["hello world", "the cat sat on the mat", "a red lamp", "unheard words"]
        expected = post("/encode", inputs=texts)
        user = post("/encode", model="shop-user", inputs=[{"history": ["A1", "B1"], "country": "GB"}])
        scores = post("/score", query="hello", candidates=["world", "cat", "hello"], top_k=2)

    np.testing.assert_allclose(seen["vectors"], expected["embeddings"], atol=1e-6)
    np.testing.assert_allclose(seen["user"], user["embeddings"][0], atol=1e-6)
    assert (seen["warnings"], seen["space"]) == (expected["warnings"], expected["space"])
    assert [one["index"] for one in seen["scores"]] == [one["index"] for one in scores["results"]]
    assert (seen["isRefused"], seen["code"], seen["param"]) == (True, "empty_input", "inputs[3]")
    assert seen["loaded"] == 3
