"""Fine-tuning a pretrained encoder: whole, its top only, by adapters, or with layers cut out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_training
import torch
from torch import Tensor, nn

from bundle.preprocess.text import Text
from bundle.publish import publish
from bundle.store import Store
from training.errors import ConfigError, InterruptedRunError
from training.text.config.model import LoraConfig, TextModelConfig
from training.text.encoders.lora import LoraLinear, add_lora, merge_lora
from training.text.encoders.pretrained import PretrainedEncoder
from training.text.encoders.tuned import freeze_bottom, keep_layers, set_dropout, tuned
from training.text.pretrained.directory import read_pretrained
from training.text.pretrained.families import FAMILIES
from training.text.rules import check
from training.text.settings import TextRun
from training.text.task import TextTask
from training.text.teacher import PretrainedTeacher
from training.trainer import Trainer

SERVED = 1e-5  # torch against onnxruntime, vectors of length 1
MERGED = 1e-5  # sums of float32 in another order
PAIRS = {"pairs": [{"path": "pairs.tsv.gz", "limit": 200}], "pair_sources": ["made"], "graded": "graded.csv"}
SENTENCES = ["the ship and the harbour", "soup", "a new violin", "coin loan rose seed drum", "unheard"]
IDS = torch.tensor([[2, 5, 9, 17, 3], [2, 30, 3, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


def run_of(directory: Path, *, epochs: int = 3, **changes: Any) -> TextRun:
    """Fine-tuning on a few pairs; `changes` replace whole tables, but add to model and train."""
    model = {"pretrained": str(directory)} | changes.pop("model", {})
    settings = {"epochs": epochs, "batch_size": 32, "learning_rate": 1e-3, "metric": "spearman"}
    settings |= changes.pop("train", {})
    given = {"data": PAIRS, "vocabulary": {"max_length": 32}, "model": model, "train": settings}
    return tiny_training.text_run(**(given | changes))


def weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}


def changed(before: dict[str, Tensor], module: nn.Module) -> set[str]:
    return {name for name, p in module.named_parameters() if name in before and not p.equal(before[name])}


EVERYWHERE = {"rank": 8, "targets": ["query", "value", "dense"]}
# Settings, the learning rate, and parts of the names of weights that move, and that do not.
WAYS: dict[str, tuple[dict[str, Any], float, tuple[str, ...], tuple[str, ...]]] = {
    "full": ({}, 5e-3, ("embeddings", "layer.0", "layer.1"), ()),
    "top": ({"tune": "top", "frozen_layers": 1}, 5e-3, ("layer.1",), ("embeddings", "layer.0")),
    "layers": ({"tune": "top"}, 5e-3, ("layer.0", "layer.1"), ("embeddings",)),
    "cut": ({"layers": [1], "dimensions": [8]}, 5e-3, ("embeddings", "layer.0"), ()),
    "lora": ({"tune": "lora", "lora": EVERYWHERE}, 1e-2, ("down", "up"), ("embeddings", "base", "Norm")),
}


@pytest.mark.parametrize("way", WAYS)
def test_fine_tuning_learns_and_trains_what_it_should(
    way: str, data: Path, teacher_directory: Path, tmp_path: Path
) -> None:
    """The network is random at the start."""
    model, rate, moving, still = WAYS[way]
    task = TextTask(run_of(teacher_directory, epochs=12, model=model, train={"learning_rate": rate}), data)
    start, before = task.evaluate().metrics["spearman"].mean, weights(task.model)
    best = Trainer(task, task.run.train, seed=0, directory=tmp_path).fit().best
    moved = changed(before, task.model)

    assert best > start + 0.1
    assert all(any(part in name for name in moved) for part in moving)
    assert not any(part in name for part in still for name in moved)


TUNED = [{"tune": "lora"}, {"layers": [0], "dimensions": [8], "normalize": False}]


@pytest.mark.parametrize("model", TUNED, ids=["lora", "cut"])
def test_a_tuned_encoder_is_published_as_any_other(
    data: Path, teacher_directory: Path, tmp_path: Path, model: dict[str, Any]
) -> None:
    """Adapters are merged: the vectors stay, and nothing of them is left."""
    task = TextTask(run_of(teacher_directory, epochs=1, model=model), data)
    Trainer(task, task.run.train, seed=0, directory=tmp_path).fit()
    inputs = [Text(text) for text in SENTENCES]
    trained = task._encode(inputs)
    encode = task.encoders()["tiny"]
    (manifest,) = publish(tmp_path / "models", task.drafts(task.score({"tiny": encode})))
    served = Store(tmp_path / "models").load("tiny").encode(inputs)

    np.testing.assert_allclose(encode(inputs), trained, atol=MERGED)
    np.testing.assert_allclose(served, encode(inputs), rtol=SERVED, atol=SERVED)
    assert not any(isinstance(module, LoraLinear) for module in task.model.modules())
    assert manifest.dimensions == [tiny_training.HIDDEN, *model.get("dimensions", [])]
    assert manifest.normalized == model.get("normalize", True)


def test_an_interrupted_run_ends_with_the_same_weights(
    data: Path, teacher_directory: Path, tmp_path: Path
) -> None:
    """With dropout, adapters, and chunks whose forward pass is done twice."""

    def trainer(name: str, stop_at: int) -> Trainer:
        run = run_of(
            teacher_directory, epochs=2, model={"tune": "lora"}, train={"chunk_tokens": 100, "threads": 1}
        )
        task = TextTask(run, data)
        (tmp_path / name).mkdir(exist_ok=True)
        return Trainer(
            task, task.run.train, seed=0, directory=tmp_path / name, stop=lambda state: state.step == stop_at
        )

    whole = trainer("whole", -1)
    whole.fit()
    broken = trainer("broken", 4)
    with pytest.raises(InterruptedRunError):
        broken.fit()
    resumed = trainer("broken", -1)
    resumed.fit()

    assert not changed(weights(whole.task.model), resumed.task.model)


OBJECTIVES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "simcse": ({"simcse": {}}, {"texts": [{"path": "texts.txt", "limit": 100}]}),
    "denoising": ({"denoising": {}}, {"texts": [{"path": "texts.txt", "limit": 100}]}),
    "labels": (
        {"cross_entropy": {}, "supervised_contrast": {}}, {"labels": [{"path": "labels.csv", "limit": 100}]}
    ),
    "graded": ({"cosent": {}}, {"graded_pairs": ["graded.csv"]}),
}  # fmt: skip


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_reaches_the_network(name: str, data: Path, teacher_directory: Path) -> None:
    loss, files = OBJECTIVES[name]
    task = TextTask(run_of(teacher_directory, loss=loss, data=files | {"graded": "graded.csv"}), data)
    task.model.train()
    parts = task.loss(0)
    parts["loss"].backward()
    embeddings = task.model.encoder.backbone.get_submodule("embeddings.word_embeddings")  # type: ignore[union-attr]
    gradient = next(embeddings.parameters()).grad

    assert set(parts) == {"loss", *(key for key in loss)}
    assert gradient is not None
    assert gradient.abs().max() > 0


@pytest.mark.usefixtures("cache")
def test_layers_cut_from_the_teacher_are_distilled_in_its_own_geometry(
    data: Path, teacher_directory: Path, tmp_path: Path
) -> None:
    run = run_of(
        teacher_directory,
        data={"texts": [{"path": "texts.txt", "limit": 300}], "graded": "graded.csv"},
        teacher={"source": str(teacher_directory), "max_tokens": 32},
        loss={"cosine": {}},
        model={"layers": [0]},
        train={"metric": "teacher_cosine"},
    )
    task = TextTask(run, data)
    whole = TextTask(run.model_copy(update={"model": run.model.model_copy(update={"layers": []})}), data)
    start = task.evaluate().metrics["teacher_cosine"].mean
    best = Trainer(task, run.train, seed=0, directory=tmp_path).fit().best

    assert whole.evaluate().metrics["teacher_cosine"].mean == pytest.approx(
        1.0, abs=1e-4
    )  # the teacher itself
    assert best > start + 0.05


@pytest.mark.usefixtures("cache")
def test_a_student_that_may_be_cut_follows_the_teacher_on_its_principal_axes(
    data: Path, teacher_directory: Path
) -> None:
    """Whole and untrained it is the teacher turned: every cosine stays, and the first numbers say most."""
    run = run_of(
        teacher_directory,
        data={"texts": [{"path": "texts.txt", "limit": 300}], "graded": "graded.csv"},
        teacher={"source": str(teacher_directory), "max_tokens": 32},
        loss={"cosine": {}},
        model={"dimensions": [8]},
        train={"metric": "teacher_cosine"},
    )
    task = TextTask(run, data)
    figures = task.evaluate().metrics
    vectors = task._encode([Text(text) for text in (data / "texts.txt").read_text().splitlines()])
    teacher = PretrainedTeacher(teacher_directory, max_tokens=32)
    expected = teacher.encode((data / "texts.txt").read_text().splitlines())

    assert figures["teacher_cosine"].mean == pytest.approx(1.0, abs=1e-4)
    np.testing.assert_allclose(vectors @ vectors.T, expected @ expected.T, atol=1e-5)
    assert (vectors[:, :8] ** 2).sum() > 1.2 * (expected[:, :8] ** 2).sum()


def test_an_int8_table_of_a_pretrained_encoder_is_published_as_it_was_measured(
    data: Path, teacher_directory: Path, tmp_path: Path
) -> None:
    task = TextTask(run_of(teacher_directory, epochs=1, export={"table": "int8"}), data)
    inputs = [Text(text) for text in SENTENCES]
    float32 = task._encode(inputs)
    encode = task.encoders()["tiny"]
    (manifest,) = publish(tmp_path, task.drafts(task.score({"tiny": encode})))
    served = Store(tmp_path).load("tiny").encode(inputs)

    assert 0 < np.abs(encode(inputs) - float32).max() < 0.1
    np.testing.assert_allclose(served, encode(inputs), rtol=SERVED, atol=SERVED)
    assert manifest.parity.batch_max_abs_diff < SERVED


def test_without_dropout_two_passes_in_training_are_the_same(teacher_directory: Path) -> None:
    spec = read_pretrained(teacher_directory)

    def difference(share: float | None) -> float:
        encoder = tuned(spec, TextModelConfig(pretrained="x", dropout=share)).train()
        return float((encoder(IDS, MASK) - encoder(IDS, MASK)).abs().max().detach())

    assert difference(None) > 1e-3  # the directory says 0.1
    assert difference(0.0) == 0.0


def test_bfloat16_is_of_training_only_and_near(teacher_directory: Path) -> None:
    spec = read_pretrained(teacher_directory)
    exact, fast = (
        tuned(spec, TextModelConfig(pretrained="x", dropout=0.0, precision=precision))
        for precision in ("float32", "bfloat16")
    )
    with torch.no_grad():
        off = (fast.train()(IDS, MASK) - exact.train()(IDS, MASK)).abs().max()

        assert 1e-5 < off < 5e-2
        assert fast.eval()(IDS, MASK).equal(exact.eval()(IDS, MASK))
    assert fast.train()(IDS, MASK).dtype == torch.float32


def test_cutting_keeps_the_layers_that_are_named(teacher_directory: Path) -> None:
    """All layers named: the same vectors. The first only: those of a network of that layer."""
    spec = read_pretrained(teacher_directory)

    def vectors(**config: Any) -> Tensor:
        encoder = tuned(spec, TextModelConfig(pretrained="x", **config)).eval()
        with torch.no_grad():
            found: Tensor = encoder(IDS, MASK)
            return found

    with torch.no_grad():
        whole = torch.nn.functional.normalize(PretrainedEncoder(spec)(IDS, MASK), dim=-1)

    torch.testing.assert_close(vectors(layers=[0, 1]), whole)
    assert (vectors(layers=[0]) - whole).abs().max() > 1e-2
    assert (vectors(layers=[0]) - vectors(layers=[1])).abs().max() > 1e-2


def network(family: str) -> nn.Module:
    """Two layers of a family, as transformers makes them."""
    import transformers

    sizes = {"vocab_size": 40, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
    sizes |= {
        "intermediate_size": 12,
        "pad_token_id": 0,
        "dim": 8,
        "n_layers": 2,
        "n_heads": 2,
        "hidden_dim": 12,
        "num_key_value_heads": 2,
        "head_dim": 4,
    }
    auto: Any = transformers  # without types
    config = auto.AutoConfig.for_model(family, **sizes)
    made: nn.Module = auto.AutoModel.from_config(config)
    return made


@pytest.mark.parametrize("family", [name for name, family in FAMILIES.items() if not family.layers])
def test_layers_that_share_something_are_not_cut_out(family: str, teacher_directory: Path) -> None:
    """ALBERT's are all one, and T5's first has the bias of positions of all."""
    spec = replace(read_pretrained(teacher_directory), family=family)
    with pytest.raises(ConfigError, match="share weights, so none can be cut out"):
        keep_layers(PretrainedEncoder(spec, nn.Identity()), [0])


@pytest.mark.parametrize("family", [name for name, family in FAMILIES.items() if family.layers])
def test_every_family_can_be_cut_frozen_and_adapted(family: str, teacher_directory: Path) -> None:
    """The layers and projections are where the table says; a frozen layer and a cut one are not trained."""
    spec = replace(read_pretrained(teacher_directory), family=family, hidden_size=8, layers=2)
    frozen, cut, adapted = (PretrainedEncoder(spec, network(family)) for _ in range(3))
    freeze_bottom(frozen, 1)
    keep_layers(cut, [1])
    add_lora(adapted.backbone, FAMILIES[family].adapted, LoraConfig(rank=2))
    trained = {name for name, p in frozen.named_parameters() if p.requires_grad}
    adapters = [name for name, module in adapted.named_modules() if isinstance(module, LoraLinear)]

    assert trained
    assert all(".1." in name or "norm." in name.removeprefix("backbone.") for name in trained)
    assert len(adapters) == 2 * len(FAMILIES[family].adapted)
    set_dropout(cut, 0.0)
    assert cut.train()(IDS, MASK).equal(cut(IDS, MASK))
    for encoder in (frozen, cut, adapted):
        assert encoder.eval()(IDS, MASK).shape == (2, 8)
    assert sum(p.numel() for p in cut.parameters()) < sum(p.numel() for p in frozen.parameters())


def test_an_adapter_by_hand_and_merged() -> None:
    """W = I, rank 1, alpha 3: y = x + 3 (A x) B with A = (1, 1), B = (1, 2): (1, 2) gives (10, 20)."""
    net = nn.Sequential(nn.Linear(2, 2, bias=False))
    with torch.no_grad():
        net[0].weight.copy_(torch.eye(2))
    before = net(torch.tensor([[1.0, 2.0]]))
    add_lora(net, ["0"], LoraConfig(rank=1, alpha=3.0))
    adapted = net[0]
    assert isinstance(adapted, LoraLinear)
    started = net(torch.tensor([[1.0, 2.0]]))
    with torch.no_grad():
        adapted.down.copy_(torch.tensor([[1.0, 1.0]]))
        adapted.up.copy_(torch.tensor([[1.0], [2.0]]))
    learned = net(torch.tensor([[1.0, 2.0]]))
    merge_lora(net)

    assert started.equal(before)
    assert learned.tolist() == [[10.0, 20.0]]
    assert net(torch.tensor([[1.0, 2.0]])).tolist() == [[10.0, 20.0]]
    assert isinstance(net[0], nn.Linear)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"layers": [0, 2]}, "model.layers is [0, 2]; "),
        ({"layers": [1, 0]}, "model.layers is [1, 0]; "),
        ({"tune": "top", "frozen_layers": 2}, "model.frozen_layers is 2 of 2: nothing of it"),
        ({"tune": "lora", "lora": {"targets": ["kwery"]}}, "model.lora.targets has 'kwery'; the network's"),
        ({"dimensions": [32]}, "model.dimensions has 32; it must be smaller than the encoder's own 32"),
    ],
)
def test_what_the_network_does_not_have_is_refused(
    data: Path, teacher_directory: Path, model: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        _ = TextTask(run_of(teacher_directory, model=model), data).model

    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"poolings": ["max"]}}, "model.poolings says nothing about a pretrained encoder"),
        ({"vocabulary": {"size": 99}}, "vocabulary.size says nothing about a pretrained encoder"),
        ({"rates": {"table": 0.1}}, "rates.table says nothing about a pretrained encoder"),
        ({"export": {"layers": "float16"}}, "export.layers says nothing about a pretrained encoder"),
        ({"model": {"window": {}}}, "model.window says nothing about a pretrained encoder"),
        ({"model": {"frozen_layers": 1}}, 'model.frozen_layers needs model.tune = "top"'),
        ({"model": {"lora": {"rank": 2}}}, 'model.lora needs model.tune = "lora"'),
    ],
)
def test_settings_that_a_pretrained_encoder_does_not_read_are_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        check(run_of(Path("anywhere"), **changes))

    assert str(caught.value).startswith(message)


def test_settings_of_a_pretrained_encoder_are_refused_without_one() -> None:
    with pytest.raises(ConfigError, match=r"model\.tune says nothing about an encoder without"):
        check(tiny_training.text_run(model={"tune": "lora"}))
