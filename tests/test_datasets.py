"""Rows from files and tables: what is an input, what is expected, and what is wrong with a row in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import prompt_registry_plugin as pr
from prompt_registry_plugin.datasets.examples import load_examples


def load_pairs(data: Any) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """(inputs, expectations) of each row."""
    return [(dict(example.inputs), dict(example.expectations)) for example in load_examples(data)]


def test_a_csv_file_has_a_column_for_each_input(tmp_path: Path) -> None:
    """Quoted cells, expectations by name and by prefix, facts one a line, empty cells left out."""
    path = tmp_path / "rows.csv"
    path.write_text(
        "question,inputs.style,expected_response,expectations.tone,expected_facts\n"
        '"What, now?",short,yes,warm,"a\nb"\n'
        'Why,,no,,"[""c""]"\n',
        encoding="utf-8-sig",
    )
    assert load_pairs(path) == [
        (
            {"question": "What, now?", "style": "short"},
            {"expected_response": "yes", "tone": "warm", "expected_facts": ["a", "b"]},
        ),
        ({"question": "Why"}, {"expected_response": "no", "expected_facts": ["c"]}),
    ]
    path.write_text("a,b\n1\n")
    with pytest.raises(pr.errors.InvalidExample, match="another number of cells"):
        load_examples(path)
    with pytest.raises(pr.errors.InvalidExample, match="cannot read"):
        load_examples(tmp_path / "none.csv")


class Frame:
    """As a pandas frame is, for what is asked of it."""

    columns = ("question", "expected_response")

    def to_dict(self, orient: str) -> list[dict[str, Any]]:
        assert orient == "records"
        return [{"question": "q", "expected_response": "a"}, {"question": "r", "expected_response": float("nan")}]


def test_tables_are_rows() -> None:
    """A frame, and what iterates over mappings as a Hugging Face data set does; columns of mappings stand as they are."""
    assert load_pairs(Frame()) == [({"question": "q"}, {"expected_response": "a"}), ({"question": "r"}, {})]

    class Hugging(list[dict[str, Any]]):
        column_names = ("inputs", "outputs")

        def to_dict(self) -> dict[str, list[Any]]:
            raise AssertionError("the rows are iterated over")

    rows = Hugging([{"inputs": {"q": 1}, "outputs": "x"}, {"inputs": '{"q": 2}', "outputs": "y"}])
    assert load_pairs(rows) == [({"q": 1}, {"expected_response": "x"}), ({"q": 2}, {"expected_response": "y"})]
    with pytest.raises(pr.errors.InvalidExample, match="is not JSON"):
        load_examples(Hugging([{"inputs": "{", "outputs": "x"}]))


def test_pandas_frames_and_parquet_files(tmp_path: Path) -> None:
    """The real ones, where they are installed."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"n": [1, 2], "tags": [["a"], ["b"]], "expected_response": ["x", None]})
    expected = [({"n": 1, "tags": ["a"]}, {"expected_response": "x"}), ({"n": 2, "tags": ["b"]}, {})]
    assert load_pairs(frame) == expected
    pytest.importorskip("pyarrow")
    frame.to_parquet(tmp_path / "rows.parquet")
    assert load_pairs(tmp_path / "rows.parquet") == expected
