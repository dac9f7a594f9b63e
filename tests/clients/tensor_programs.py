"""Programs of clients of the Open Inference Protocol: Triton's, KServe's, MLServer's, the generated one."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from asking import ABSENT, MODEL, TEXTS, caught


def tritonclient(url: str) -> tuple[Any, str]:
    import numpy as np
    from tritonclient import http

    client = http.InferenceServerClient(url.removeprefix("http://"))
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(MODEL, "1")
    [spec] = client.get_model_metadata(MODEL)["inputs"]
    rows = []
    for binary in (True, False):  # both ways there and both ways back
        tensor = http.InferInput(spec["name"], [2], spec["datatype"])
        tensor.set_data_from_numpy(np.array(TEXTS, dtype=object), binary_data=binary)
        output = http.InferRequestedOutput("embedding", binary_data=not binary)
        rows += [client.infer(MODEL, [tensor]), client.infer(MODEL, [tensor], outputs=[output])]
    rows += [client.infer(MODEL, [tensor], request_compression_algorithm=way) for way in ("gzip", "deflate")]
    found = [result.as_numpy("embedding") for result in rows]
    assert all(np.abs(one - found[0]).max() < 1e-5 for one in found)
    return found[0].tolist(), caught(lambda: client.infer(ABSENT, [tensor]))


def tritonclient_features(url: str) -> tuple[Any, str]:
    """A user of a recommender, one tensor per feature."""
    import numpy as np
    from tritonclient import http

    def tensor(name: str, values: Any) -> http.InferInput:
        array = np.array(values, dtype=object)
        made = http.InferInput(name, list(array.shape), "BYTES")
        made.set_data_from_numpy(array)
        return made

    client = http.InferenceServerClient(url.removeprefix("http://"))
    features = [tensor("history", [["A1", "B1"], ["C2", ""]]), tensor("country", ["GB", ""])]
    found = client.infer("shop-user", features).as_numpy("embedding")
    return found.tolist(), caught(lambda: client.infer("shop-user", [tensor("contry", ["GB"])]))


def tritonclient_errors(url: str) -> tuple[Any, str]:
    """Every call that this server has no answer to is an error that can be printed."""
    import numpy as np
    from tritonclient import http

    client = http.InferenceServerClient(url.removeprefix("http://"))
    tensor = http.InferInput("text", [2], "BYTES")
    tensor.set_data_from_numpy(np.array(TEXTS, dtype=object))
    classes = [http.InferRequestedOutput("embedding", class_count=2)]
    calls = (
        lambda: client.get_model_config(ABSENT),
        lambda: client.get_model_metadata(MODEL, "7"),
        client.get_inference_statistics,
        lambda: client.get_inference_statistics(MODEL),
        client.get_trace_settings,
        lambda: client.update_log_settings({"log_verbose_level": 1}),
        client.get_system_shared_memory_status,
        lambda: client.register_cuda_shared_memory("region", b"", 0, 8),
        lambda: client.infer(MODEL, [tensor], outputs=classes),
    )
    for call in calls:
        told = caught(call)
        assert told.startswith(("InferenceServerException: [404] ", "InferenceServerException: [400] ")), told
    assert caught(lambda: client.unload_model(MODEL)).startswith("InferenceServerException: [409] ")
    assert client.get_model_config(MODEL)["input"][0]["data_type"] == "TYPE_STRING"
    assert {one["name"] for one in client.get_model_repository_index()} >= {MODEL}
    found = client.infer(MODEL, [tensor]).as_numpy("embedding")
    return found.tolist(), caught(lambda: client.load_model(MODEL, config="{}"))


def pytriton(url: str) -> tuple[Any, str]:
    """PyTriton's client asks for readiness, metadata and configuration before anything else."""
    import numpy as np
    from pytriton.client import ModelClient

    with ModelClient(url, MODEL) as client:
        assert client.model_config.max_batch_size == 0  # the batch is in the shape of a sample
        found = client.infer_sample(text=np.char.encode(np.array(TEXTS), "utf-8"))["embedding"]
        return found.tolist(), caught(lambda: client.infer_sample(text=np.array([b""])))


def kserve(url: str) -> tuple[Any, str]:
    """KServe's own client."""
    import numpy as np
    from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

    def asked(texts: list[str], binary: bool = True) -> InferRequest:
        tensor = InferInput("text", [len(texts)], "BYTES")
        tensor.set_data_from_numpy(np.array(texts, dtype=object), binary_data=binary)
        return InferRequest(model_name=MODEL, infer_inputs=[tensor], request_id="7")

    async def run() -> tuple[Any, str]:
        async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
            assert await client.is_server_live(url)
            assert await client.is_server_ready(url)
            assert await client.is_model_ready(url, MODEL)
            assert not await client.is_model_ready(url, ABSENT)
            found = [
                (await client.infer(url, asked(TEXTS, binary), model_name=MODEL)).outputs[0].as_numpy()
                for binary in (True, False)
            ]
            assert np.abs(found[0] - found[1]).max() < 1e-5
            try:
                await client.infer(url, asked(TEXTS), model_name=ABSENT)
            except Exception as error:
                return found[0].tolist(), f"{type(error).__name__}: {error}"
        raise AssertionError

    return asyncio.run(run())


def kserve_transformer(url: str) -> tuple[Any, str]:
    """A transformer in front of this server, which is its predictor."""
    from kserve import InferInput, InferRequest, Model, context
    from kserve.predictor_config import PredictorConfig

    host = url.removeprefix("http://")
    context.set_predictor_config(PredictorConfig(host, predictor_protocol="v2"))
    transformer = Model(MODEL)

    async def ask(texts: list[str]) -> Any:
        request = InferRequest(
            model_name=MODEL, infer_inputs=[InferInput("text", [len(texts)], "BYTES", data=texts)]
        )
        return (await transformer.predict(request)).outputs[0].as_numpy().tolist()

    async def run() -> tuple[Any, str]:
        found = await ask(TEXTS)
        try:
            await ask([""])
        except Exception as error:
            return found, f"{type(error).__name__}: {error}"
        raise AssertionError

    return asyncio.run(run())


def open_inference_openapi(url: str) -> tuple[Any, str]:
    """The client that is generated from the specification."""
    from open_inference.openapi.client import OpenInferenceClient
    from open_inference.openapi.types import InferenceRequest, RequestInput

    client = OpenInferenceClient(base_url=url)
    client.check_server_liveness()
    client.check_server_readiness()
    client.check_model_readiness(MODEL)
    assert client.read_server_metadata().name == "encodery"
    assert client.read_model_metadata(MODEL).outputs[0].datatype == "FP32"

    def asked(texts: list[str]) -> InferenceRequest:
        tensor = RequestInput(name="text", shape=[len(texts)], datatype="BYTES", data=texts)
        return InferenceRequest(inputs=[tensor])

    [output] = client.model_infer(MODEL, request=asked(TEXTS)).outputs
    values, dim = output.data.__root__, output.shape[1]
    rows = [values[start : start + dim] for start in range(0, len(values), dim)]
    return rows, caught(lambda: client.model_infer(ABSENT, request=asked(["a"])))


def mlserver(url: str) -> tuple[Any, str]:
    """Requests by MLServer's codecs, and answers of its types."""
    import urllib.error
    import urllib.request

    from mlserver.codecs import Base64Codec, NumpyCodec, NumpyRequestCodec, StringCodec
    from mlserver.types import (
        InferenceErrorResponse,
        InferenceRequest,
        InferenceResponse,
        MetadataModelResponse,
        RepositoryIndexResponse,
    )

    def ask(path: str, request: InferenceRequest | None = None) -> bytes:
        body = None if request is None else request.model_dump_json().encode()
        headers = {"Content-Type": "application/json"}
        return urllib.request.urlopen(urllib.request.Request(f"{url}{path}", body, headers)).read()

    infer = f"/v2/models/{MODEL}/infer"
    texts = InferenceRequest(inputs=[StringCodec.encode_input("text", TEXTS)])
    answer = InferenceResponse.model_validate_json(ask(infer, texts))
    found = NumpyCodec.decode_output(answer.outputs[0])
    assert (NumpyRequestCodec.decode_response(answer) == found).all()
    coded = [Base64Codec.encode_input("text", [text.encode() for text in TEXTS], use_bytes=False)]
    again = InferenceResponse.model_validate_json(ask(infer, InferenceRequest(inputs=coded)))
    assert abs(NumpyCodec.decode_output(again.outputs[0]) - found).max() < 1e-5
    assert MetadataModelResponse.model_validate_json(ask(f"/v2/models/{MODEL}")).inputs[0].name == "text"
    index = urllib.request.Request(f"{url}/v2/repository/index", b"{}")
    assert RepositoryIndexResponse.model_validate_json(urllib.request.urlopen(index).read()).root
    try:
        ask(f"/v2/models/{ABSENT}/infer", texts)
    except urllib.error.HTTPError as error:
        return found.tolist(), InferenceErrorResponse.model_validate_json(error.read()).error
    raise AssertionError


def mlserver_infer(url: str) -> tuple[Any, str]:
    """A file of requests, by the command `mlserver infer`."""
    command = Path(sys.executable).with_name("mlserver")
    with tempfile.TemporaryDirectory() as directory:
        lines, answers = Path(directory, "in"), Path(directory, "out")
        for_text = {"name": "text", "shape": [1], "datatype": "BYTES"}
        lines.write_text(
            "".join(json.dumps({"inputs": [{**for_text, "data": [text]}]}) + "\n" for text in [*TEXTS, ""])
        )
        host = url.removeprefix("http://")
        subprocess.run(
            [command, "infer", "-u", host, "-m", MODEL, "-i", lines, "-o", answers, "-r", "1", "-s", "1"],
            check=True,
            capture_output=True,
        )
        found = [json.loads(line) for line in answers.read_text().splitlines()]
    found.sort(key=lambda answer: answer["parameters"]["batch_index"])
    return [one["outputs"][0]["data"] for one in found[:2]], found[2]["error"]["msg"]
