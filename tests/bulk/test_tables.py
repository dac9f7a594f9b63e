"""Tables of Arrow are encoded as whole files are, in whatever pieces and processes they come."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tiny
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from bundle import EncoderyError, Store
from encodery.bulk.command import Job, run
from encodery.bulk.errors import BulkError
from encodery.bulk.tables import BundleEncoder

SAME = 1e-5  # float32 through another batch shape
TEXTS = ["hello world", None, "the cat sat", "", "dog", "unheard", "a red lamp"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("models")
    tiny.publish_all(directory)
    return directory


def test_a_table_is_encoded_as_a_file_is(models: Path, tmp_path: Path) -> None:
    table = pa.table({"sku": list("abcdefg"), "text": TEXTS})
    parquet.write_table(table, tmp_path / "in.parquet")
    out = tmp_path / "out.parquet"
    run(Job(tmp_path / "in.parquet", out, "text", None, models, None, tell=lambda line: None))
    of_file = parquet.read_table(out).to_pylist()
    bad = [json.loads(line) for line in (tmp_path / "out.parquet.bad.jsonl").read_text().splitlines()]

    found = BundleEncoder(models, "text")(table)

    rows = found.to_pylist()
    assert found.column_names == ["sku", "text", "embedding", "fault"]
    assert [row["sku"] for row in rows] == list("abcdefg")
    assert {at: row["fault"] for at, row in enumerate(rows) if row["fault"]} == {
        row["row"]: row["reason"] for row in bad
    }
    assert bad
    vectors = {at: row["embedding"] for at, row in enumerate(rows) if row["embedding"] is not None}
    assert list(vectors) == [row["row"] for row in of_file]
    np.testing.assert_allclose(list(vectors.values()), [row["embedding"] for row in of_file], atol=SAME)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(cuts=st.lists(st.integers(0, len(TEXTS)), max_size=4).map(sorted))
def test_pieces_give_what_the_whole_gives(models: Path, cuts: list[int]) -> None:
    encoder = BundleEncoder(models, "text")
    table = pa.table({"text": TEXTS})
    whole = encoder(table)
    bounds = [0, *cuts, len(TEXTS)]

    pieces = [table.slice(at, to - at) for at, to in pairwise(bounds)]
    found = pa.concat_tables([encoder(piece) for piece in pieces])
    chunked = encoder(pa.concat_tables(pieces))

    for other in (found, chunked):
        assert other.schema == whole.schema
        assert other["fault"].to_pylist() == whole["fault"].to_pylist()
        for one, same in zip(other["embedding"].to_pylist(), whole["embedding"].to_pylist(), strict=True):
            assert (one is None) == (same is None)
            np.testing.assert_allclose(one or [], same or [], atol=SAME)


def test_a_table_of_users_keeps_its_other_columns(models: Path) -> None:
    table = pa.table({"id": [1, 2], "country": ["GB", None], "history": [["A1", "B2"], ["C1"]]})

    found = BundleEncoder(models, "shop-user")(table)

    assert found.select(["id", "country", "history"]).equals(table)
    assert found["fault"].to_pylist() == [None, None]
    space = Store(models).load("shop-user").manifest
    assert found.schema.field("embedding").type.list_size == space.dim


def test_it_travels_before_and_after_it_has_loaded(models: Path, tmp_path: Path) -> None:
    """As engines send it: to a process that has nothing but the code."""
    encoder = BundleEncoder(models, "text")
    table = pa.table({"text": ["hello"]})
    for name in ("before", "after"):
        (tmp_path / name).write_bytes(pickle.dumps((encoder, table)))
        expected = encoder(table)["embedding"].to_pylist()
    program = (
        "import pickle, sys\nfor name in sys.argv[1:]:\n"
        "    encoder, table = pickle.load(open(name, 'rb'))\n"
        "    print(encoder(table)['embedding'].to_pylist())"
    )

    command = [sys.executable, "-c", program, str(tmp_path / "before"), str(tmp_path / "after")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    before, after = map(json.loads, done.stdout.splitlines())
    np.testing.assert_allclose(before, expected, atol=SAME)
    assert before == after


def test_the_space_is_held(models: Path) -> None:
    table = pa.table({"text": ["hello"]})
    space = Store(models).load("text").manifest.space

    BundleEncoder(models, "text", space=space)(table)
    with pytest.raises(BulkError, match=f"{space}, not sp_other"):
        BundleEncoder(models, "text", space="sp_other")(table)


@pytest.mark.parametrize(
    ("model", "table", "said"),
    [
        ("text", pa.table({"txt": ["hello"]}), "has no column text; did you mean 'txt'"),
        ("text", pa.table({"text": ["hello"], "embedding": [1]}), "has a column embedding already"),
        ("text", pa.table({"text": ["hello"], "fault": [""]}), "has a column fault already"),
        ("shop-item", pa.table({"id": [7.0]}), "id holds ids as double; cast it"),
        ("absent", pa.table({"text": ["hello"]}), "absent"),
    ],
)
def test_what_no_row_can_be_encoded_by_is_one_sentence(
    models: Path, model: str, table: pa.Table, said: str
) -> None:
    with pytest.raises(EncoderyError, match=said):
        BundleEncoder(models, model)(table)


def test_an_empty_table_stays_empty(models: Path) -> None:
    found = BundleEncoder(models, "text")(pa.table({"text": pa.array([], pa.string())}))

    assert (found.num_rows, found.column_names) == (0, ["text", "embedding", "fault"])
