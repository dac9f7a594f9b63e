"""A run that starts from a published bundle: the same vectors at first, and a new space at the end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tiny_pretrained
import tiny_training
import torch
from onnx import numpy_helper

from bundle.errors import BundleError
from bundle.preprocess.text import Text
from bundle.publish import publish
from bundle.store import Store
from training.config import parse_config
from training.errors import ConfigError
from training.export import run_torch
from training.layers import Int8Table
from training.text.encoders.form import FORM
from training.text.encoders.legacy import legacy_form
from training.text.encoders.pretrained import PretrainedEncoder
from training.text.encoders.weights import load_weights, places_of
from training.text.imported import imported
from training.text.rules import check
from training.text.settings import TextRun
from training.text.start import Start, read_start
from training.text.task import TextTask
from training.trainer import Trainer

BUNDLED = Path(__file__).parents[3] / "models"
SAME = 1e-5  # float32: other kernels, padded rows
TEXTS = ["ship", "the ship of the sailor near the harbour", "bread and coin", "rose hedge " * 12, "Zürich?"]
PLAIN, SMALL = {"table": "float32", "layers": "float32"}, {"table": "int8", "layers": "float16"}
CLASSIC: dict[str, dict[str, Any]] = {
    "plain": {"model": {"poolings": ["mean"], "embedding_dim": 16, "hidden": {"output_dim": 16}}},
    "all": {
        "model": {
            "poolings": ["weighted", "max", "first"],
            "embedding_dim": 12,
            "window": {"width": 3, "embedding_dim": 6, "output_dim": 8},
            "bigrams": {"buckets": 64, "embedding_dim": 6},
            "hidden": {"widths": [24, 20], "activation": "silu", "output_dim": 16},
            "normalize": False,
            "dimensions": [8],
        },
        "export": SMALL,
        "train": {"epochs": 1, "batch_size": 64, "learning_rate": 1e-4, "metric": "spearman"},
    },
}


def published(run: TextRun, data: Path, models: Path, work: Path) -> TextTask:
    """Train a run, and publish it."""
    work.mkdir(exist_ok=True)
    task = TextTask(run, data, models=models)
    Trainer(task, run.train, seed=run.seed, directory=work).fit()
    publish(models, task.drafts(task.score(task.encoders())))
    return task


def run_from(start: str, *, epochs: int = 2, **changes: Any) -> TextRun:
    """Go on from a published encoder; `changes` replace whole tables, but add to model and train."""
    model = {"start": start} | changes.pop("model", {})
    train = {"epochs": epochs, "batch_size": 32, "learning_rate": 5e-3, "metric": "spearman", "threads": 1}
    train |= changes.pop("train", {})
    given = {"model": model, "vocabulary": {}, "train": train, "name": "tuned"}
    return tiny_training.text_run(**(given | changes))


def off(start: Start, models: Path, texts: list[str]) -> float:
    """How far torch is from the bundle."""
    bundle = Store(models).load(start.manifest.name, start.manifest.version)
    inputs = [Text(text) for text in texts]
    prepared = bundle.preprocessor.prepare(inputs, "end")
    vectors = run_torch(start.encoder, bundle.preprocessor, prepared)
    served = np.concatenate([bundle.run([one]) for one in prepared])
    return float(np.abs(vectors - served).max())


@pytest.fixture(scope="module")
def models(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two classic encoders. Read only."""
    root = tmp_path_factory.mktemp("models")
    for name, changes in CLASSIC.items():
        published(tiny_training.text_run(name=name, **changes), data, root, root.parent / f"run-{name}")
    return root


@pytest.mark.parametrize("name", ["text", "text-small"])
def test_a_bundled_encoder_has_its_vectors_in_torch(name: str) -> None:
    """Both were published before graphs said their form."""
    start = read_start(BUNDLED, name)
    texts = ["x", "Unhappy customers write twice, politely at first.", "a long one with many words " * 20]

    assert start.storage == {"table": "int8", "layers": "float32"}
    assert off(start, BUNDLED, texts) <= SAME
    assert all(weight.dtype == torch.float32 for weight in start.encoder.parameters())


@pytest.mark.parametrize("name", CLASSIC)
def test_a_classic_encoder_has_its_vectors_in_torch(name: str, models: Path) -> None:
    start = read_start(models, f"{name}@1")

    assert off(start, models, TEXTS) <= SAME
    assert start.storage == {"plain": PLAIN, "all": SMALL}[name]
    assert not any(isinstance(module, Int8Table) for module in start.encoder.modules())


# To the weights of their norms 1 is added, and a graph keeps the sum.
ADDED = ("gemma", "gemma2", "gemma3_text")
# Of each mechanism one; an import takes seconds. Tiny networks with rows for padding (roberta) take
# unknown words for it, so packed ones cannot be imported; deberta-v2 is refused as gemma is.
KEPT = ("albert", "bert", "deberta", "distilbert", "electra", "llama", "modernbert", "mpnet", "mt5", "qwen3")


@pytest.mark.parametrize("family", KEPT)
def test_an_imported_encoder_has_its_vectors_in_torch(family: str, tmp_path: Path) -> None:
    """Nothing but the bundle is read: the directory is gone by then."""
    directory = tiny_pretrained.write_network(tmp_path / "network", family)
    dense = {"in_features": 16, "out_features": 8, "bias": True, "activation_function": "x.Tanh"}
    tiny_pretrained.write_modules(
        directory, ("Pooling", {"pooling_mode": "max"}), ("Dense", dense), ("Normalize", {})
    )
    tiny_pretrained.write_dense(directory / "2_Dense", 16, 8)
    publish(tmp_path / "models", [imported(directory, "mine")])
    directory.rename(tmp_path / "gone")
    start = read_start(tmp_path / "models", "mine")

    assert isinstance(start.encoder, PretrainedEncoder)
    assert start.encoder.spec.family == family
    assert off(start, tmp_path / "models", TEXTS) <= SAME


def test_an_import_whose_graph_does_not_keep_its_weights_is_no_start(tmp_path: Path) -> None:
    directory = tiny_pretrained.write_network(tmp_path / "network", ADDED[0])
    publish(tmp_path / "models", [imported(directory, "mine")])
    with pytest.raises(
        ConfigError, match=r"does not keep backbone\.layers\.0\.input_layernorm\.weight as it was"
    ):
        read_start(tmp_path / "models", "mine")


# Of a classic encoder: parts of the names of weights that move, and that do not.
WAYS = {
    "full": (("table", "windows.linear", "bigrams", "log_weights", "hidden.layers.1", "hidden.skip"), ()),
    "layers": (("windows.linear", "hidden.layers.1", "hidden.skip"), ("table", "log_weights")),
    "head": (("hidden.skip", "hidden.layers.7"), ("table", "log_weights", "windows", "hidden.layers.1")),
}


@pytest.mark.parametrize("tune", WAYS)
def test_what_is_tuned_moves_and_the_rest_stays(tune: str, data: Path, models: Path, tmp_path: Path) -> None:
    task = TextTask(run_from("all", model={"tune": tune}), data, models=models)
    before = {name: weight.detach().clone() for name, weight in task.model.named_parameters()}
    first = task.evaluate().metrics["spearman"].mean
    Trainer(task, task.run.train, seed=0, directory=tmp_path).fit()
    moved = {name for name, weight in task.model.named_parameters() if not weight.equal(before[name])}
    moving, still = WAYS[tune]

    assert task.evaluate().metrics["spearman"].mean >= first
    assert all(any(part in name for name in moved) for part in moving)
    assert not any(part in name for part in still for name in moved)


def test_a_tuned_start_is_published_in_its_form_and_in_a_new_space(
    data: Path, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And it may be gone on from again."""
    place = tmp_path / "models"
    publish(place, [_again(models, "all", data)])
    task = published(run_from("all", train={"learning_rate": 0.05}), data, place, tmp_path / "run")
    before, after = (Store(place).manifest(name, "1") for name in ("all", "tuned"))
    card = (place / "tuned" / "1" / "README.md").read_text()
    again = read_start(place, "tuned")

    assert after.space != before.space
    assert (after.dimensions, after.normalized, after.metric) == ([16, 8], False, "inner_product")
    assert f"Started from all/1, space {before.space}; its vectors are of another space" in card
    assert f"starts from all/1, space {before.space}; what is trained is a new" in capsys.readouterr().err
    assert again.storage == SMALL
    assert off(again, place, TEXTS) <= SAME
    assert task.data_sha256 != TextTask(run_from("tuned"), data, models=place).data_sha256


def _again(models: Path, name: str, data: Path) -> Any:
    """The draft of an encoder from which nothing was learned."""
    task = TextTask(run_from(name, name=name), data, models=models)
    return task.drafts(task.score(task.encoders()))[0]


def test_an_untouched_start_comes_out_as_it_went_in(data: Path, models: Path) -> None:
    """Expanded rows of an int8 table are rounded to what they were."""
    bundle = Store(models).load("all")
    encode = TextTask(run_from("all"), data, models=models).encoders()["tuned"]
    inputs = [Text(text) for text in TEXTS]

    np.testing.assert_allclose(encode(inputs), bundle.encode(inputs), atol=SAME, rtol=SAME)


def test_adapters_go_on_from_an_imported_encoder(data: Path, teacher_directory: Path, tmp_path: Path) -> None:
    publish(tmp_path / "models", [imported(teacher_directory, "small", max_length=32)])
    everywhere = {"rank": 8, "targets": ["query", "value", "dense"]}
    model = {"tune": "lora", "lora": everywhere}
    run = run_from("small", epochs=4, model=model, train={"learning_rate": 1e-2})
    task = TextTask(run, data, models=tmp_path / "models")
    start = task.evaluate().metrics["spearman"].mean
    best = Trainer(task, run.train, seed=0, directory=tmp_path).fit().best

    assert task.max_length == 32
    assert best > start + 0.05


@pytest.mark.parametrize(
    ("start", "says"),
    [
        ("nothing", "there is no model nothing"),
        ("text@99", "text has no version 99"),
        ("../text", "a name is"),
    ],
)
def test_a_start_that_is_not_there_is_refused(start: str, says: str, data: Path) -> None:
    with pytest.raises(BundleError, match=says):
        _ = TextTask(run_from(start), data, models=BUNDLED).model


def test_a_start_that_takes_no_texts_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model\.start is 'retail-user', which takes .*, no texts"):
        read_start(BUNDLED, "retail-user")


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "two starts": ({"model": {"start": "a", "pretrained": "b"}}, "are two starts; give one"),
    "a width": ({"model": {"start": "a", "embedding_dim": 8}}, r"model\.embedding_dim says nothing about"),
    "dimensions": ({"model": {"start": "a", "dimensions": [8]}}, r"model\.dimensions says nothing"),
    "a vocabulary": ({"vocabulary": {"size": 100}}, r"vocabulary\.size says nothing"),
    "a storage": ({"export": {"table": "int8"}}, r"export\.table says nothing"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_settings_that_a_start_has_of_its_own_are_refused(case: str) -> None:
    changes, says = REFUSED[case]
    with pytest.raises(ConfigError, match=says):
        check(run_from("a", **changes))


@pytest.mark.parametrize(
    ("start", "model", "says"),
    [
        ("all", {"tune": "lora"}, "'lora'; a classic encoder is tuned by full, layers, head"),
        ("all", {"precision": "bfloat16"}, r"model\.precision says nothing about a classic encoder"),
        ("text-small", {"tune": "head"}, "'head'; a pretrained encoder is tuned by full, top, lora"),
    ],
)
def test_ways_of_tuning_that_an_encoder_has_not_are_refused(
    start: str, model: dict[str, Any], says: str, data: Path, models: Path
) -> None:
    place = BUNDLED if start == "text-small" else models
    with pytest.raises(ConfigError, match=says):
        _ = TextTask(run_from(start, model=model), data, models=place).model


@pytest.mark.parametrize(
    ("start", "model", "rate"),
    [
        ("text-small", {}, "table"),
        ("text-small", {"tune": "lora"}, "token_weights"),
        ("all", {"tune": "layers"}, "table"),
        ("all", {"tune": "head"}, "token_weights"),
        ("plain", {}, "token_weights"),  # its pooling has none
    ],
)
def test_a_rate_of_what_a_start_does_not_train_is_refused(
    start: str, model: dict[str, Any], rate: str, data: Path, models: Path
) -> None:
    place = BUNDLED if start == "text-small" else models
    task = TextTask(run_from(start, model=model, rates={rate: 0.1}), data, models=place)

    what = rate.replace("_", " ")
    with pytest.raises(ConfigError, match=rf"rates\.{rate} says nothing about this run, .* no {what}; leave"):
        task.parameter_groups(0.1)


def test_a_graph_that_lacks_a_weight_is_refused(models: Path) -> None:
    start = read_start(models, "plain")
    graph = onnx.load_from_string((models / "plain" / "1" / "model.onnx").read_bytes()).graph
    places = places_of(start.encoder, graph)
    bias, lacking = "hidden.layers.0.bias", {key: place for key, place in places.items() if "bias" not in key}

    with pytest.raises(ConfigError, match=rf"does not keep {bias} as it was in training"):
        load_weights(start.encoder, graph, lacking)
    with pytest.raises(ConfigError, match="has other sizes than its form"):
        load_weights(start.encoder, graph, places | {bias: places["table.weight"]})


def test_weights_of_another_form_are_caught_by_golden_vectors(
    models: Path, tmp_path: Path, data: Path
) -> None:
    """Here the form says another pooling than the graph has; the weights fit both."""
    draft = _again(models, "plain", data)
    model = onnx.load_from_string(draft.graph)
    form = next(one for one in model.metadata_props if one.key == FORM)
    form.value = form.value.replace('"poolings": ["mean"]', '"poolings": ["max"]')
    publish(tmp_path, [replace(draft, graph=model.SerializeToString())])

    with pytest.raises(ConfigError, match=r"model\.start = 'plain': torch is .* off its golden vectors"):
        read_start(tmp_path, "plain")


def test_a_graph_of_unknown_form_is_refused() -> None:
    bias = numpy_helper.from_array(np.zeros(3, np.float32), "model.other.bias")
    graph = onnx.helper.make_graph([], "encoder", [], [], [bias])

    with pytest.raises(ConfigError, match="does not say its form"):
        legacy_form(graph, "a card", normalized=True)


def test_a_start_is_a_name_in_toml() -> None:
    raw = tiny_training.text_run().model_dump(exclude_none=True)
    run = parse_config(raw | {"model": {"start": "text@2", "tune": "layers"}, "vocabulary": {}})

    assert isinstance(run, TextRun)
    assert (run.model.start, run.model.tune) == ("text@2", "layers")
