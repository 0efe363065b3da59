"""Vocabularies of lookup layers (StringLookup, IntegerLookup, TextVectorization) in files of whole models.

Keras writes what such a layer learnt by `adapt()` beside the weights of a `.keras` file, a word a line, and
into no `.h5` file. One that was read from a file of the computer stands as that file's name in every
format. Here the words themselves go into the configuration where else they would be lost.
"""

from __future__ import annotations

import contextlib
from typing import Any, Iterator, Optional

from kerasbridge.errors import UnsupportedError
from kerasbridge.saving.programs import each_layer

_GIVEN = ("input_vocabulary", "input_idf_weights")  # what `get_config()` has of a lookup layer


@contextlib.contextmanager
def vocabularies_kept(model: Any, ending: str) -> Iterator[None]:
    """While Keras writes `model` into a file with this ending, no vocabulary is left out.

    Raises:
        UnsupportedError: a layer has files of its own, for which an `.h5` file has no place.
    """
    changed = []
    try:
        for layer in each_layer(model):
            if not hasattr(layer, _GIVEN[0]):
                _check_own_files(layer, ending)
                continue
            held = vars(layer)
            learnt = _learnt(layer, ending)
            if learnt is not None:
                changed.append((layer, {name: held[name] for name in _GIVEN}))
                for name, value in zip(_GIVEN, learnt):
                    setattr(layer, name, value)
        yield
    finally:
        for layer, before in changed:
            for name, value in before.items():
                setattr(layer, name, value)


def without_words(model: Any) -> list:
    """Names of the lookup layers that have no vocabulary: nothing can be looked up."""
    found = [layer for layer in each_layer(model) if hasattr(layer, _GIVEN[0])]
    return [x.name for x in found if not x.get_vocabulary(include_special_tokens=False)]


def _learnt(layer: Any, ending: str) -> Optional[tuple]:
    """The words of a lookup layer and their weights (or None), where its file would not have them."""
    given = layer.input_vocabulary
    if given is not None and not isinstance(given, str):
        return None
    words = layer.get_vocabulary(include_special_tokens=False)
    # (of weights that are filled up Keras reads none back)
    filled_up = layer.output_mode == "tf_idf" and layer.pad_to_max_tokens
    read_back = ending == ".keras" and not filled_up and all(map(_is_line, words))
    if not words or (given is None and read_back):
        return None
    if layer.output_mode != "tf_idf":
        return [_plain(word) for word in words], None
    # with those of the words that stand for others: their weights are no mean of the rest
    words = layer.get_vocabulary(include_special_tokens=True)
    weights = layer.idf_weights_const.numpy()[: len(words)].tolist()
    return [_plain(word) for word in words], weights


def _plain(word: Any) -> Any:
    return word if isinstance(word, str) else int(word)


def _is_line(word: Any) -> bool:
    """Whether Keras reads a word back that it wrote as a line."""
    return not isinstance(word, str) or word.splitlines() == [word]


def _check_own_files(layer: Any, ending: str) -> None:
    cls = type(layer)
    if ending == ".h5" and not cls.__module__.startswith("keras.") and hasattr(cls, "save_assets"):
        raise UnsupportedError(
            f"The layer '{layer.name}' ({cls.__name__}) saves files of its own, for which an .h5 file has no place.",
            hint="Save as .keras.",
        )
