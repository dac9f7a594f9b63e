"""The text task from files to published bundles, on sentences whose topics are known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_training
import torch

from bundle.manifest import ERROR
from bundle.preprocess.text import Text
from bundle.publish import publish
from bundle.store import Store
from training.commands import evaluate, train
from training.errors import ConfigError, InterruptedRunError
from training.text.data.examples import TextExamples
from training.text.data.readers import Labelled, Pairs, ScoredPairs, Triplets, read_texts
from training.text.metrics import cosines
from training.text.settings import TextRun
from training.text.task import TextTask
from training.text.teacher import PretrainedTeacher
from training.trainer import Trainer

SERVED = 1e-5  # torch against onnxruntime, vectors of length 1
SENTENCES = ["the ship and the harbour", "soup", "a new violin", "coin loan rose seed drum", "unheard"]

PAIRS = {"data": {"pairs": [{"path": "pairs.tsv.gz"}], "pair_sources": ["made"], "graded": "graded.csv"}}
TEXTS = {"data": {"texts": [{"path": "texts.txt"}], "graded": "graded.csv"}}
LABELS = {"data": {"labels": [{"path": "labels.csv"}], "graded": "graded.csv"}}
MODEL = {"embedding_dim": 16, "poolings": ["weighted"], "hidden": {"widths": [24], "output_dim": 16}}


def training(metric: str, epochs: int = 6) -> dict[str, Any]:
    return {"train": {"epochs": epochs, "batch_size": 64, "learning_rate": 5e-3, "metric": metric}}


@pytest.fixture
def run_of(teacher_directory: Path) -> Callable[..., TextRun]:
    """A run whose teacher is the tiny one, tokenizer and all."""
    teacher = {
        "teacher": {"source": str(teacher_directory)},
        "vocabulary": {"source": "teacher", "max_length": 32},
    }
    return lambda **changes: tiny_training.text_run(**(teacher | changes))


def fitted(run: TextRun, data: Path, directory: Path) -> tuple[TextTask, float]:
    """A trained task, and its best figure."""
    directory.mkdir(exist_ok=True)
    task = TextTask(run, data)
    state = Trainer(task, run.train, seed=run.seed, directory=directory).fit()
    return task, state.best


@pytest.mark.usefixtures("cache")
def test_distillation_learns_the_teachers_vectors(
    run_of: Callable[..., TextRun], data: Path, teacher_directory: Path, tmp_path: Path
) -> None:
    """Chance: the teacher's vector of another text, of the same length on the whole."""
    run = run_of(
        **TEXTS,
        **training("teacher_cosine", 12),
        loss={"cosine": {}, "teacher_infonce": {"weight": 0.2}, "similarity_kl": {"weight": 0.5}},
        model=MODEL | {"embedding_dim": 32, "init": "teacher", "hidden": {"widths": [32], "output_dim": 32}},
    )
    teacher = PretrainedTeacher(teacher_directory)
    vectors = teacher.encode(read_texts(data, run.data.texts[0]))
    chance = float(cosines(vectors, np.roll(vectors, 1, axis=0)).mean())
    _, learned = fitted(run, data, tmp_path / "run")

    assert chance < 0.8
    assert learned > chance + 0.5 * (1 - chance)


@pytest.mark.usefixtures("cache")
def test_each_distance_to_the_teacher_by_itself_learns(
    run_of: Callable[..., TextRun], data: Path, tmp_path: Path
) -> None:
    """From random embeddings, whose own figure is the chance."""
    model = MODEL | {"hidden": {"output_dim": 32}}
    for name in ("mse", "cosine"):  # a contrast alone leaves out what all vectors share
        run = run_of(**TEXTS, **training("teacher_cosine", 10), loss={name: {}}, model=model)
        before = TextTask(run, data).evaluate().metrics["teacher_cosine"].mean
        _, after = fitted(run, data, tmp_path / name)

        assert after > before + 0.3, name


@pytest.mark.usefixtures("cache")
def test_the_texts_of_pairs_are_learned_from_the_teacher_as_well(
    run_of: Callable[..., TextRun], data: Path
) -> None:
    """12 texts of a file and, of the same number of pairs, two each."""
    files = {"texts": [{"path": "texts.txt", "limit": 12}], "pairs": [{"path": "pairs.tsv.gz", "limit": 12}]}
    train = training("teacher_cosine", 1)["train"] | {"batch_size": 4}
    settings = {"loss": {"cosine": {}}, "train": train}
    alone, together = (
        TextTask(run_of(**settings, data=files | {"pair_texts": given}), data) for given in (False, True)
    )

    assert (alone.steps_per_epoch, together.steps_per_epoch) == (2, 7)  # a fifth is held out


@pytest.mark.usefixtures("cache")
def test_training_may_cut_texts_sooner_than_the_encoder(run_of: Callable[..., TextRun], data: Path) -> None:
    """Longer texts are learned from as far as `max_tokens`; what is published reads on."""
    given = training("teacher_cosine", 1)["train"]
    run = run_of(**TEXTS, loss={"cosine": {}}, train=given | {"max_tokens": 4})
    task = TextTask(run, data)
    (texts,) = task._learning.objectives[0]._texts
    whole, longest = task.preprocessor.prepare([Text("ship " * 20)], "end"), texts.lengths.max()

    assert (longest, whole[0].cost) == (4, 20)


@pytest.mark.usefixtures("cache")
def test_a_translation_learns_the_teachers_vector_of_the_first_text_of_its_pair(
    run_of: Callable[..., TextRun], data: Path, teacher_directory: Path
) -> None:
    """The teacher is not asked about the second one; a first one that stands twice has one vector."""
    firsts = ["ship and harbour", "soup with pepper", "ship and harbour", "the violin"]
    seconds = ["sailor near", "bread", "old sailor", "the drum"]
    rows = zip(firsts, seconds, strict=True)
    (data / "translations.tsv").write_text("".join(f"made\t{a}\t{b}\n" for a, b in rows))
    run = run_of(
        loss={"cosine": {}},
        teacher={"source": str(teacher_directory), "centred": True},
        **training("teacher_cosine", 1),
        model=MODEL | {"hidden": {"output_dim": 32}},
        data={"texts": ["texts.txt"], "pairs": ["translations.tsv"], "pair_texts": "translations"},
    )
    task = TextTask(run, data)
    count = len(task._examples.texts[0])
    objective: Any = task._learning.objectives[0]
    first, second = (objective._teachers(np.arange(start, start + 4)).numpy() for start in (count, count + 4))
    everything = PretrainedTeacher(teacher_directory).encode([*task._examples.texts[0], *firsts, *firsts])
    moved = everything - everything.mean(0)
    moved = moved[count : count + 4] / np.linalg.norm(moved[count : count + 4], axis=1, keepdims=True)

    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first[0], first[2])
    np.testing.assert_allclose(first @ first.T, moved @ moved.T, atol=1e-2)  # turned, of half precision


@pytest.mark.usefixtures("cache")
def test_spans_of_the_texts_are_learned_from_besides(run_of: Callable[..., TextRun], data: Path) -> None:
    words = [word for topic in tiny_training.TOPICS.values() for word in topic]
    (data / "long.txt").write_text("".join(" ".join(words[i : i + 12]) + "\n" for i in range(12)))
    settings = {"loss": {"cosine": {}}, "train": training("teacher_cosine", 1)["train"] | {"batch_size": 4}}
    alone, more = (
        TextTask(run_of(**settings, data={"texts": ["long.txt"], "spans": given}), data) for given in (0, 24)
    )

    assert (alone.steps_per_epoch, more.steps_per_epoch) == (2, 7)


@pytest.mark.usefixtures("cache")
def test_texts_of_a_file_of_their_own_are_measured_against_the_teacher(
    run_of: Callable[..., TextRun], data: Path, teacher_directory: Path
) -> None:
    """Between the texts that are learned and those of pairs, each with its own vector of the teacher."""
    (data / "own.txt").write_text("ship and harbour\nsoup with pepper\nthe violin\n")
    run = run_of(
        loss={"cosine": {}},
        **training("teacher_cosine", 1),
        model=MODEL | {"hidden": {"output_dim": 32}},
        data={
            "texts": [{"path": "texts.txt", "limit": 12}],
            "pairs": [{"path": "pairs.tsv.gz", "limit": 12}],
            "pair_texts": True,
            "validation": {"texts": ["own.txt"]},
        },
    )
    task = TextTask(run, data)
    found = task.evaluate().metrics["teacher_cosine"]
    texts = ["ship and harbour", "soup with pepper", "the violin"]
    vectors = task._encode([Text(text) for text in texts])
    targets = task._learning.objectives[0]._teachers(np.array([12, 13, 14])).numpy()  # type: ignore[attr-defined]

    assert found.n == 3
    assert found.mean == pytest.approx(cosines(vectors, targets).mean(), abs=1e-5)
    whole = PretrainedTeacher(teacher_directory).encode(texts)
    np.testing.assert_allclose(
        targets @ targets.T, whole @ whole.T, atol=5e-3
    )  # turned, and of half precision


@pytest.mark.usefixtures("cache")
def test_the_teachers_similarities_across_pairs_are_learned(
    run_of: Callable[..., TextRun], data: Path, tmp_path: Path
) -> None:
    """No text's own vector is asked for: only what of the one side is near to what of the other."""
    run = run_of(
        data=PAIRS["data"] | {"pair_texts": True},
        loss={"pair_similarity_kl": {}},
        **training("pair_similarity", 12),
        model=MODEL | {"hidden": {"output_dim": 32}},
    )
    before = TextTask(run, data).evaluate().metrics["pair_similarity"].mean
    _, after = fitted(run, data, tmp_path / "run")

    assert after > before / 2  # the divergence, which is negative here, halves at least


def test_the_sides_of_pairs_find_their_targets() -> None:
    """Two texts of a file, then three pairs: firsts, seconds. The second first has no token."""
    examples = TextExamples(
        texts=[["x", "y"], ["a", "", "c"], ["d", "e", "f"]],
        pairs=Pairs(["a", "", "c"], ["d", "e", "f"]),
        triplets=Triplets([], [], []),
        graded=ScoredPairs([], [], np.zeros(0)),
        labelled=Labelled([], np.zeros(0, np.int64), []),
    )
    kept = np.array([0, 1, 2, 4, 5, 6, 7])
    first, second = examples.sides(kept, np.arange(1, 8, dtype=np.float16)[:, None])

    assert first.ravel().tolist() == [3, 0, 4]
    assert second.ravel().tolist() == [5, 6, 7]


def test_pairs_learn_the_topics(data: Path, tmp_path: Path) -> None:
    """ScoredPairs 1 for the same topic and 0 otherwise: chance is a correlation of 0."""
    task, spearman = fitted(tiny_training.text_run(), data, tmp_path / "run")

    assert spearman > 0.6
    assert task.evaluate().metrics["pair_first_hit"].mean >= 1 / 120  # of 120 held-out pairs, by chance one


def test_labels_learn_the_topics(data: Path, tmp_path: Path) -> None:
    """Five topics: chance is 0.2."""
    run = tiny_training.text_run(**LABELS, **training("accuracy"), loss={"cross_entropy": {}})
    _, accuracy = fitted(run, data, tmp_path / "run")

    assert accuracy > 0.7


@pytest.mark.usefixtures("cache")
def test_all_objectives_together_learn(run_of: Callable[..., TextRun], data: Path, tmp_path: Path) -> None:
    run = run_of(
        data=TEXTS["data"] | PAIRS["data"] | LABELS["data"],
        loss={"cosine": {}, "infonce": {"weight": 0.3}, "cross_entropy": {"weight": 0.3}},
        **training("spearman", 12),
        model=MODEL | {"dimensions": [8, 4]},
    )
    before = TextTask(run, data).evaluate().metrics
    task, _ = fitted(run, data, tmp_path / "run")
    after = task.evaluate().metrics

    assert set(after) == {"spearman", "teacher_cosine", "pair_mrr@10", "pair_first_hit", "accuracy"}
    assert after["spearman"].mean > 0.6
    assert after["accuracy"].mean > 0.6
    assert after["teacher_cosine"].mean > before["teacher_cosine"].mean + 0.2


@pytest.mark.parametrize("table", ["float32", "int8"])
def test_a_published_bundle_gives_the_vectors_of_torch(data: Path, tmp_path: Path, table: str) -> None:
    run = tiny_training.text_run(
        export={"table": table}, **training("spearman", 1), model=MODEL | {"dimensions": [8]}
    )
    task, _ = fitted(run, data, tmp_path / "run")
    encode = task.encoders()["tiny"]
    metrics = task.score({"tiny": encode})
    (manifest,) = publish(tmp_path / "models", task.drafts(metrics))
    inputs = [Text(text) for text in SENTENCES]
    served = Store(tmp_path / "models").load("tiny").encode(inputs)

    np.testing.assert_allclose(served, encode(inputs), atol=SERVED)
    np.testing.assert_allclose(np.linalg.norm(served, axis=1), 1.0, atol=1e-6)
    assert manifest.dimensions == [16, 8]
    assert {name.removesuffix(ERROR) for name in metrics} == {
        "spearman graded",
        "spearman graded at 8 dimensions",
    }
    assert len(metrics) == 4


def test_the_same_seed_gives_the_same_task(data: Path) -> None:
    first, second, other = (TextTask(tiny_training.text_run(seed=seed), data) for seed in (0, 0, 1))

    assert first.tokenizer_json == second.tokenizer_json
    assert flat(first).equal(flat(second))
    assert not flat(first).equal(flat(other))
    assert first.loss(3)["loss"].item() == second.loss(3)["loss"].item()


def flat(task: TextTask) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in task.model.parameters()])


def test_tables_have_rates_of_their_own_and_no_decay(data: Path) -> None:
    task = TextTask(tiny_training.text_run(rates={"table": 0.5}), data)
    rest, table, weights = task.parameter_groups(0.1)
    counted = sum(p.numel() for group in (rest, table, weights) for p in group["params"])

    assert (rest["lr"], table["lr"], weights["lr"]) == (0.1, 0.5, 0.1)
    assert (table["weight_decay"], weights["weight_decay"]) == (0.0, 0.0)
    assert counted == flat(task).numel()


class Untouchable:
    """A teacher that must not be asked."""

    digest, dim = "untouchable", tiny_training.HIDDEN

    def encode(self, texts: Any) -> Any:
        raise AssertionError("asked")

    token_vectors = encode


def test_a_teacher_that_only_lends_its_vocabulary_is_not_asked(
    run_of: Callable[..., TextRun], data: Path
) -> None:
    run = run_of(data=TEXTS["data"] | PAIRS["data"], **training("pair_first_hit"))
    task = TextTask(run, data, Untouchable())

    assert task.steps_per_epoch > 0


def test_scoring_needs_neither_the_corpus_nor_a_pass_of_the_teacher(
    run_of: Callable[..., TextRun], data: Path, tmp_path: Path
) -> None:
    """Only the graded pairs are there."""
    (tmp_path / "graded.csv").write_bytes((data / "graded.csv").read_bytes())
    run = run_of(**TEXTS, loss={"cosine": {}}, **training("spearman"))
    task = TextTask(run, tmp_path)
    score = task.score({"tiny": lambda inputs: np.eye(len(inputs), 4, dtype=np.float32)})["spearman graded"]

    assert set(score.baselines) == {"teacher"}
    assert abs(score.value) < 0.3  # vectors that know nothing


def test_files_and_settings_of_the_data_are_in_its_digest(data: Path, tmp_path: Path) -> None:
    whole = TextTask(tiny_training.text_run(), data).data_sha256
    limited = PAIRS["data"] | {"pairs": [{"path": "pairs.tsv.gz", "limit": 100}]}

    assert whole == TextTask(tiny_training.text_run(seed=3), data).data_sha256
    assert whole != TextTask(tiny_training.text_run(data=limited), data).data_sha256


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"pairs.tsv": "a\tb\tc\n"}, "data.pairs has 1 usable examples; at least 2 are needed"),
        ({"pairs.tsv": ""}, "data.pairs has 0 usable examples"),
        ({"graded.csv": "a,b,1\na,,0\n"}, "graded.csv, pair 2: a sentence has no token; leave it out"),
    ],
)
def test_data_that_cannot_be_learned_from_is_refused(
    tmp_path: Path, files: dict[str, str], message: str
) -> None:
    for name, content in (
        {"pairs.tsv": "a\tb\tc\nd\te\tf\n", "graded.csv": "a,b,1\nb,c,0\n"} | files
    ).items():
        (tmp_path / name).write_text(content)
    run = tiny_training.text_run(
        data={"pairs": [{"path": "pairs.tsv"}], "graded": "graded.csv"}, vocabulary={"min_count": 1}
    )
    with pytest.raises(ConfigError) as caught:
        _ = TextTask(run, tmp_path).model

    assert str(caught.value).startswith(message)


def test_an_encoder_wider_than_the_teacher_is_refused_before_its_pass(
    run_of: Callable[..., TextRun], data: Path
) -> None:
    run = run_of(**TEXTS, loss={"cosine": {}}, model={"hidden": {"output_dim": 33}}, **training("spearman"))
    with pytest.raises(ConfigError, match="but the teacher's vectors have 32 dimensions"):
        TextTask(run, data)


CONFIG = """
kind = "text"
name = "tiny"
description = "a tiny encoder"

[data]
pairs = [{ path = "pairs.tsv.gz" }]
graded = "graded.csv"

[vocabulary]
size = 200
max_length = 32

[model]
embedding_dim = 16
[model.hidden]
widths = []
output_dim = 16

[loss.infonce]
weight = 1.0

[train]
epochs = 2
batch_size = 64
learning_rate = 5e-3
metric = "spearman"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(CONFIG)
    return path


def test_train_publishes_and_evaluate_finds_the_same_figures(
    config: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models, run = tmp_path / "models", tmp_path / "run"
    (manifest,) = train(config, data=data, models=models, run=run)
    said = capsys.readouterr().err
    found = evaluate(config, data=data, models=models)

    assert {path.name for path in run.iterdir()} == {
        ".lock", "config.json", "log.jsonl", "checkpoint.pt", "best.pt", "curves.png", "metrics.json",
    }  # fmt: skip
    assert f"published tiny/1, space {manifest.space}" in said
    assert "| spearman graded |" in said
    assert found["spearman graded"].value == pytest.approx(
        manifest.trained.metrics["spearman graded"].value, abs=1e-3
    )
    assert found["spearman graded"].value > 0.3


def test_a_run_directory_of_another_config_is_refused(config: Path, data: Path, tmp_path: Path) -> None:
    train(config, data=data, models=tmp_path / "models", run=tmp_path / "run")
    config.write_text(CONFIG.replace("epochs = 2", "epochs = 3"))
    with pytest.raises(ConfigError, match=r"holds a run of another config; give --run another directory"):
        train(config, data=data, models=tmp_path / "models", run=tmp_path / "run")


def test_a_config_may_be_corrected_before_the_first_checkpoint(
    config: Path, data: Path, tmp_path: Path
) -> None:
    config.write_text(CONFIG.replace("pairs.tsv.gz", "no-such.tsv"))
    with pytest.raises(ConfigError, match=r"no-such\.tsv does not exist"):
        train(config, data=data, models=tmp_path / "models", run=tmp_path / "run")
    config.write_text(CONFIG.replace("epochs = 2", "epochs = 1"))

    assert train(config, data=data, models=tmp_path / "models", run=tmp_path / "run")


class InterruptedTeacher(Untouchable):
    """Somebody presses Ctrl-C during its pass."""

    def encode(self, texts: Any) -> Any:
        raise KeyboardInterrupt


@pytest.mark.usefixtures("cache")
def test_a_run_stopped_while_its_teacher_works_ends_with_a_sentence(
    config: Path, data: Path, tmp_path: Path
) -> None:
    config.write_text(
        CONFIG.replace("[data]", '[data]\ntexts = [{ path = "texts.txt" }]')
        .replace("[loss.infonce]", "[loss.cosine]")
        .replace("[train]", '[teacher]\nsource = "anywhere"\n\n[train]')
    )

    def make(settings: Any, directory: Path, models: Path) -> TextTask:
        return TextTask(settings, directory, InterruptedTeacher())

    with pytest.raises(InterruptedRunError, match="run the same command to go on"):
        train(config, data=data, models=tmp_path / "models", run=tmp_path / "run", make=make)
