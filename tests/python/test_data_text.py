"""Words, the tokenizer, hashing and storage."""

from __future__ import annotations

import hashlib
import math
import subprocess
import sys

import numpy as np
import pytest
from kerasbridge.data import text
from kerasbridge.errors import ArgumentError, DataError, FileError

TEXTS = ["The cat sat.", "The dog sat on the cat", "", "Ünïcode cat"]


def learnt(**settings):
    return text.Tokenizer(**settings).fit_on_texts(TEXTS)


def test_words_are_lowered_split_and_cleaned():
    assert text.text_to_word_sequence("Good-day,  SUN!\n") == ["good", "day", "sun"]
    assert text.text_to_word_sequence("a;B", filters="", lower=False, split=";") == ["a", "B"]
    assert text.text_to_word_sequence("") == []
    with pytest.raises(ArgumentError, match="split"):
        text.text_to_word_sequence("a", split="")


def test_numbers_go_by_count_then_by_first_appearance():
    tokenizer = learnt()
    assert tokenizer.word_index == {
        "the": 1, "cat": 2, "sat": 3, "dog": 4, "on": 5, "ünïcode": 6,
    }  # fmt: skip
    assert tokenizer.word_counts["the"] == 3
    assert tokenizer.word_docs == {"the": 2, "cat": 3, "sat": 2, "dog": 1, "on": 1, "ünïcode": 1}
    assert tokenizer.index_docs[2] == 3
    assert tokenizer.document_count == 4


def test_unknown_words_are_dropped_or_become_the_token():
    assert learnt().texts_to_sequences(["the bird sat", ""]) == [[1, 3], []]
    tokenizer = learnt(oov_token="?")
    assert tokenizer.word_index["?"] == 1
    assert tokenizer.texts_to_sequences(["the bird sat"]) == [[2, 1, 4]]
    assert tokenizer.sequences_to_texts([[2, 1, 4]]) == ["the ? sat"]


def test_num_words_keeps_the_most_frequent():
    assert learnt(num_words=3).texts_to_sequences(["the cat sat"]) == [[1, 2]]
    assert learnt(num_words=3, oov_token="?").texts_to_sequences(["the cat sat"]) == [[2, 1, 1]]


def test_characters_and_ready_tokens():
    characters = text.Tokenizer(char_level=True).fit_on_texts(["Aba"])
    assert characters.word_index == {"a": 1, "b": 2}
    tokens = text.Tokenizer().fit_on_texts([["New York", "is"], ["is"]])
    assert tokens.word_index == {"is": 1, "new york": 2}


def test_learning_twice_adds():
    tokenizer = learnt().fit_on_texts(["dog dog dog dog"])
    assert tokenizer.word_index["dog"] == 1
    assert tokenizer.document_count == 5


def test_matrices_follow_their_formulas():
    tokenizer = learnt()
    sequences = [[1, 1, 2], []]
    count = tokenizer.sequences_to_matrix(sequences, "count")
    assert count.tolist() == [[0, 2, 1, 0, 0, 0, 0], [0] * 7]
    binary = tokenizer.sequences_to_matrix(sequences)
    assert binary.tolist() == [[0, 1, 1, 0, 0, 0, 0], [0] * 7]
    np.testing.assert_allclose(
        tokenizer.sequences_to_matrix(sequences, "freq"), count / np.array([[3], [1]])
    )
    weighted = tokenizer.sequences_to_matrix(sequences, "tfidf")
    assert weighted[0, 1] == pytest.approx((1 + math.log(2)) * math.log(1 + 4 / (1 + 2)))
    assert weighted[0, 2] == pytest.approx(math.log(1 + 4 / (1 + 3)))
    assert (weighted[1] == 0).all()
    assert tokenizer.texts_to_matrix(["the the cat"], "count").tolist() == [count[0].tolist()]


def test_a_matrix_needs_a_size_and_a_known_mode():
    with pytest.raises(ArgumentError, match="columns"):
        text.Tokenizer().sequences_to_matrix([[1]])
    with pytest.raises(ArgumentError, match="mode"):
        learnt().sequences_to_matrix([[1]], "tf")
    with pytest.raises(DataError, match="negative"):
        learnt().sequences_to_matrix([[-1]])
    assert text.Tokenizer(num_words=4).sequences_to_matrix([[1, 9]], "count").tolist() == [
        [0, 1, 0, 0]
    ]


def test_a_tokenizer_that_knows_nothing_says_so():
    with pytest.raises(DataError, match="no words"):
        text.Tokenizer().texts_to_sequences(["a"])


def test_hashes_are_the_same_in_every_process():
    expected = [int(hashlib.md5(w.encode()).hexdigest(), 16) % 49 + 1 for w in ("a", "bé", "a")]
    assert text.text_hashing_trick("a bé A", 50) == expected
    code = "from kerasbridge.data.text import text_hashing_trick as t; print(t('a bé A', 50))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == str(expected)
    assert text.text_hashing_trick("aa b", 10, hash_function=len) == [3, 2]
    with pytest.raises(ArgumentError, match="whole number"):
        text.text_hashing_trick("a", 10, hash_function=lambda w: 1.5)


def test_stored_and_read_again(tmp_path):
    tokenizer = learnt(num_words=5, oov_token="<ü>", filters=".")
    file = tmp_path / "t.json"
    text.save_tokenizer(tokenizer, file)
    again = text.load_tokenizer(file)
    assert vars(again) == vars(tokenizer)
    assert [p.name for p in tmp_path.iterdir()] == ["t.json"]
    again.fit_on_texts(["new"])
    assert "new" in again.word_index


@pytest.mark.parametrize("content", [b"\x80\x04\x95", b"{}", b"[1]", b'{"format": "x"}'])
def test_other_files_are_refused(tmp_path, content):
    file = tmp_path / "t.json"
    file.write_bytes(content)
    with pytest.raises(FileError, match="not a stored tokenizer"):
        text.load_tokenizer(file)


def test_newer_damaged_and_missing_files_are_told_apart(tmp_path):
    file = tmp_path / "t.json"
    stored = learnt().to_json()
    file.write_text(stored.replace('"format_number": 1', '"format_number": 9'), encoding="utf-8")
    with pytest.raises(FileError, match="format 9"):
        text.load_tokenizer(file)
    file.write_text(stored.replace('"word_docs"', '"other"'), encoding="utf-8")
    with pytest.raises(FileError, match="damaged"):
        text.load_tokenizer(file)
    with pytest.raises(FileError, match="can't be read"):
        text.load_tokenizer(tmp_path / "none.json")
    with pytest.raises(FileError, match="none. does not exist"):
        text.save_tokenizer(learnt(), tmp_path / "none" / "t.json")
