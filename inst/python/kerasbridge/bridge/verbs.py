"""The engine's verbs: the name R says -> the function that does it, imported on first use."""

from __future__ import annotations

import importlib
from typing import Callable

_VERBS = {
    # training
    "compile": "kerasbridge.training:compile",
    "fit": "kerasbridge.training:fit",
    "evaluate": "kerasbridge.training:evaluate",
    "predict": "kerasbridge.training:predict",
    "train_on_batch": "kerasbridge.training:train_on_batch",
    "test_on_batch": "kerasbridge.training:test_on_batch",
    "predict_on_batch": "kerasbridge.training:predict_on_batch",
    "fit_pulled": "kerasbridge.training.pulling:fit_pulled",
    "evaluate_pulled": "kerasbridge.training.pulling:evaluate_pulled",
    "predict_pulled": "kerasbridge.training.pulling:predict_pulled",
    # models
    "sequential": "kerasbridge.bridge.models:sequential",
    "functional": "kerasbridge.bridge.models:functional",
    "add_layer": "kerasbridge.bridge.models:add_layer",
    "pop_layer": "kerasbridge.bridge.models:pop_layer",
    "get_layer": "kerasbridge.bridge.models:get_layer",
    "docstring": "kerasbridge.bridge.models:docstring",
    "describe_model": "kerasbridge.bridge.models:describe_model",
    "freeze": "kerasbridge.bridge.models:freeze",
    "reset_states": "kerasbridge.bridge.models:reset_states",
    # saving
    "save_model": "kerasbridge.saving:save_model",
    "load_model": "kerasbridge.saving:load_model",
    "save_weights": "kerasbridge.saving:save_weights",
    "load_weights": "kerasbridge.saving:load_weights",
    # data
    "generator_next": "kerasbridge.data.stepping:next_batch",
    "read_hdf5": "kerasbridge.data.hdf5:read_rows",
    "load_dataset": "kerasbridge.bridge.datasets:load",
    "adapt": "kerasbridge.data.adapting:adapt",
    "get_vocabulary": "kerasbridge.data.adapting:get_vocabulary",
    "image_generator": "kerasbridge.bridge.images:new",
    "image_generator_fit": "kerasbridge.bridge.images:fit",
    "image_flow": "kerasbridge.bridge.images:flow",
    "densenet": "kerasbridge.layers.densenet:densenet",
    # texts and sequences
    "tokenizer_new": "kerasbridge.bridge.text:tokenizer_new",
    "tokenizer_count": "kerasbridge.bridge.text:tokenizer_count",
    "tokenizer_number": "kerasbridge.bridge.text:tokenizer_number",
    "tokenizer_sequences": "kerasbridge.bridge.text:tokenizer_sequences",
    "tokenizer_texts_matrix": "kerasbridge.bridge.text:tokenizer_texts_matrix",
    "tokenizer_matrix": "kerasbridge.bridge.text:tokenizer_matrix",
    "save_tokenizer": "kerasbridge.data.text:save_tokenizer",
    "load_tokenizer": "kerasbridge.data.text:load_tokenizer",
    "text_words": "kerasbridge.bridge.text:words",
    "text_hashing_trick": "kerasbridge.bridge.text:hashing_trick",
    "pad_sequences": "kerasbridge.bridge.text:pad",
    "skipgrams": "kerasbridge.bridge.text:skipgrams",
    "make_sampling_table": "kerasbridge.data.sequences:make_sampling_table",
    "windows": "kerasbridge.bridge.text:windows",
    # runtime
    "set_random_seed": "kerasbridge.runtime:set_random_seed",
}


def lookup(verb: str) -> Callable:
    """The function behind a verb.

    Raises:
        KeyError: there is no such verb (a mistake in this package, never of its user).
    """
    module, name = _VERBS[verb].split(":")
    return getattr(importlib.import_module(module), name)
