"""JSON lines that only grow, cut short at every place."""

import pytest

from repcon_jax.errors import CheckpointError
from repcon_jax.records.lines import append_lines, read_lines

VALUES = [{"a": 1}, {"b": [0.1, None, "é"]}, {}]


def test_what_was_appended_is_read_in_order(tmp_path):
    file = tmp_path / "folder" / "lines.jsonl"
    assert read_lines(file) == []
    append_lines(file, VALUES[:1])
    append_lines(file, VALUES[1:])
    append_lines(file, [])
    assert read_lines(file) == VALUES
    assert len(file.read_text().splitlines()) == 3


def test_a_kill_at_any_byte_costs_at_most_the_last_line_and_swallows_no_later_one(tmp_path):
    file = tmp_path / "lines.jsonl"
    append_lines(file, VALUES[:2])
    whole = file.read_bytes()
    first = whole.index(b"\n")
    for end in range(first + 1, len(whole) + 1):
        file.write_bytes(whole[:end])
        before = read_lines(file)
        assert before == VALUES[: 1 if end < len(whole) - 1 else 2]
        append_lines(file, [{"c": 2}])
        assert read_lines(file) == [*before, {"c": 2}]


@pytest.mark.parametrize("content", [b"notes\n", b"[1]\n", b"3\n", b'{"a": 1}\nnotes\n', b"\xff\xfe\x00\n", b"\0\0\0"])
def test_a_foreign_file_is_refused_in_a_sentence(content, tmp_path):
    file = tmp_path / "lines.jsonl"
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"lines\.jsonl .*; move it away or use another work directory\.$"):
        read_lines(file)


def test_a_folder_in_its_place_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_lines(tmp_path)
