"""Recorded answers are replayed against a real server, and judged by the tables of verdicts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from running import serving

from replay import __main__ as command
from replay import recorded, report, verdicts
from replay.compare import Comparing
from replay.recorded import Answer, Recorded
from replay.verdicts import Kept, Table

OWN = Path(__file__).parent / "tei-own" / "answers.jsonl"


def answer(body: Any, status: int = 200, **headers: Any) -> Answer:
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def kinds(theirs: Answer, ours: Answer, **options: bool) -> list[str]:
    return [one.kind for one in Comparing(**options).answers(theirs, ours)]


@pytest.mark.e2e
def test_a_file_is_replayed_against_a_real_server_and_every_answer_has_its_verdict(
    published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(published) as url:
        status = command.main([str(OWN), url, "--show=wrong,kept"])

    shown = capsys.readouterr().out
    assert status == 1  # one is wrong
    assert "wrong: own: a path that nobody has" in shown
    assert "kept: own: a length that was never trained" in shown
    # equal; but for words: the direction, no JSON
    assert re.search(r"^all +1 +2 +1 +1$", shown, re.MULTILINE)


def test_the_file_of_an_unknown_form_is_refused_by_its_line(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_text('{"group": "x"}\n')

    with pytest.raises(ValueError, match="line 1: not a recorded answer"):
        list(recorded.read(file))


def test_a_list_that_was_cut_is_as_long_as_it_was() -> None:
    theirs = answer({"data": [{"index": 0}, "... 3 in all"]})

    assert kinds(theirs, answer({"data": [{"index": 0}, {"index": 1}, {"index": 2}]})) == []
    assert kinds(theirs, answer({"data": [{"index": 0}, {"index": 1}]})) == ["shape"]


def test_a_request_of_which_only_the_start_was_kept_is_not_asked(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    line = {"group": "x", "name": "x", "method": "POST", "path": "/x", "headers": {}}
    bodies = ['{"input": "the cat ... (8245 bytes)', '{"input": "... (8245 bytes)"}', None]
    file.write_text(
        "".join(
            json.dumps(line | {"body": body, "answer": {"status": 200, "body": ""}}) + "\n" for body in bodies
        )
    )

    assert [one.text for one in recorded.read(file)] == ['{"input": "... (8245 bytes)"}', ""]


def test_a_list_that_was_cut_and_bytes_that_are_no_text_are_sent_whole(tmp_path: Path) -> None:
    bodies = [{"data": ["a", "a", "... 5 in all"]}, {"hex": "7b7dff"}, {"base64": "e33/"}]
    lines = [
        {"group": "g", "name": "n", "method": "POST", "path": "/", "headers": {}, "body": body}
        | {"answer": {"status": 200, "headers": {}, "body": ""}}
        for body in bodies
    ]
    file = tmp_path / "answers.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))

    sent = [one.content for one in recorded.read(file)]

    assert sent == [b'{"data": ["a", "a", "a", "a", "a"]}', b"{}\xff", b"{}\xff"]


@pytest.mark.e2e
def test_an_answer_in_binary_is_its_json_and_a_number_of_bytes(published: Path) -> None:
    tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["hello"]}
    body = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    asked = Recorded("g", "n", "POST", "/v2/models/text/infer", {}, body, answer({}))
    with serving(published) as url, httpx.Client(base_url=url, trust_env=False) as client:
        found = recorded.send(client, asked).body

    [output] = found["json"]["outputs"]
    assert found["binary_bytes"] == output["parameters"]["binary_data_size"] == 4 * output["shape"][1]


def test_models_differ_so_numbers_are_compared_by_their_type() -> None:
    theirs, ours = answer({"tokens": 4, "score": 0.5}), answer({"tokens": 7, "score": -0.5})

    assert kinds(theirs, ours) == []
    assert kinds(theirs, ours, is_same_model=True) == ["shape"]


def test_a_program_sees_a_missing_field_another_type_and_another_class() -> None:
    theirs = answer({"a": 1, "b": "x", "error_type": "Empty", "words": "they say"})

    assert kinds(theirs, answer({"b": None, "error_type": "Validation", "words": "we say"})) == [
        "shape",
        "shape",
        "shape",
        "words",
    ]


def test_a_vector_is_a_list_of_numbers_of_any_length_unless_the_model_is_the_same() -> None:
    theirs = answer([{"vector": 3, "first": [0.1, 0.2]}])

    assert kinds(theirs, answer([[1.0, 2.0]])) == []
    assert kinds(theirs, answer([["x"]])) == ["shape"]
    assert kinds(theirs, answer([[0.1, 0.2, 0.3]]), is_same_model=True) == []
    assert kinds(theirs, answer([[0.1, 0.9, 0.3]]), is_same_model=True) == ["shape"]


def test_a_list_that_was_cut_has_its_whole_length() -> None:
    theirs = answer([1, 2, {"and": 2}])

    assert kinds(theirs, answer([5, 6, 7, 8])) == []
    assert kinds(theirs, answer([5, 6])) == ["shape"]
    assert kinds(theirs, answer([5, 6]), is_of_model=True) == []


def test_a_whole_number_in_a_header_stays_one() -> None:
    theirs = answer([], names=["x-compute-time"], x_compute_tokens="4")

    assert kinds(theirs, answer([], x_compute_time="3", x_compute_tokens="9")) == []
    assert kinds(theirs, answer([], x_compute_tokens="9.5")) == ["header", "header"]


def test_a_row_holds_where_all_that_it_names_does() -> None:
    asked = Recorded("g", "n", "POST", "/embed?x=1", {}, b'{"inputs": ""}', answer("", 200))
    row = Kept(request="r", why="w", routes=["POST /emb*"], theirs="2??", ours="422", body='"inputs": ""')
    ours = answer({"error": "no"}, 422)

    assert verdicts.judge(asked, ours, Table(kept=[row])).verdict == "kept"
    assert verdicts.judge(asked, answer({}, 500), Table(kept=[row])).verdict == "wrong"
    assert verdicts.judge(asked, ours, Table()).verdict == "wrong"


def test_a_row_may_hold_for_what_the_other_said() -> None:
    asked = Recorded("g", "n", "POST", "/embed", {}, b"{}", answer({"error": "KeyError: 'price'"}, 500))
    ours = answer({"vectors": []}, 200)
    for said, verdict in (("KeyError", "kept"), ("ValueError", "wrong")):
        row = Kept(request="r", why="w", theirs="500", ours="200", said=said)

        assert verdicts.judge(asked, ours, Table(kept=[row])).verdict == verdict


def test_a_text_for_people_instead_of_json_is_a_matter_of_words_in_an_error_only() -> None:
    assert kinds(answer("no", 422), answer({"error": "no"}, 422)) == ["words"]
    assert kinds(answer("yes"), answer({"yes": 1})) == ["shape"]


@pytest.mark.parametrize("path", sorted(verdicts.TABLES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_table_can_be_read_and_its_rows_have_a_reason(path: Path) -> None:
    table = verdicts.read(path)

    assert table.servers
    for row in table.kept:
        assert row.why.endswith(".")
        assert "|" not in row.why + row.request
        for pattern in (row.body, row.answer, row.differs):
            re.compile(pattern)
    assert len({row.request for row in table.kept}) == len(table.kept)


def test_the_table_for_the_docs_has_a_line_for_each_row_that_was_met() -> None:
    row = Kept(request="an empty text", why="It has no vector.")
    asked = Recorded("g", "n", "POST", "/embed", {}, b"", answer([], 200))
    judged = [verdicts.judge(asked, answer({}, 422), Table(kept=[row])) for _ in range(2)]

    lines = report.table(report.kept(judged)).splitlines()

    assert lines[0].startswith("Of 2 recorded answers 0 are equal")
    assert lines[-1] == "| an empty text | 200 | 422 | It has no vector. | 2 |"
