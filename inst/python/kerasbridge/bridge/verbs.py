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
    "warm_up": "kerasbridge.training:warm_up",
    "train_on_batch": "kerasbridge.training:train_on_batch",
    "test_on_batch": "kerasbridge.training:test_on_batch",
    "predict_on_batch": "kerasbridge.training:predict_on_batch",
    "fit_pulled": "kerasbridge.training.pulling:fit_pulled",
    "evaluate_pulled": "kerasbridge.training.pulling:evaluate_pulled",
    "predict_pulled": "kerasbridge.training.pulling:predict_pulled",
    "best_weights": "kerasbridge.training:best_weights",
    "best_weights_callback": "kerasbridge.training:BestWeights",
    "latest_checkpoint": "kerasbridge.training:latest_checkpoint",
    "hook_list": "kerasbridge.bridge.hooks:hook_list",
    # models
    "sequential": "kerasbridge.bridge.models:sequential",
    "functional": "kerasbridge.bridge.models:functional",
    "add_layer": "kerasbridge.bridge.models:add_layer",
    "pop_layer": "kerasbridge.bridge.models:pop_layer",
    "get_layer": "kerasbridge.bridge.models:get_layer",
    "docstring": "kerasbridge.bridge.models:docstring",
    "gpu_status": "kerasbridge.environment.graphics:status",
    "gpu_cards": "kerasbridge.environment.graphics:cards",
    "require_gpu": "kerasbridge.environment.graphics:require",
    "keras_settings": "kerasbridge.environment.settings:origins",
    "describe_model": "kerasbridge.bridge.models:describe_model",
    "describe_object": "kerasbridge.bridge.objects:describe_object",
    "freeze": "kerasbridge.bridge.models:freeze",
    "reset_states": "kerasbridge.bridge.models:reset_states",
    # older names
    "make_variable": "kerasbridge.bridge.older:make_variable",
    "shape_tensor": "kerasbridge.bridge.older:shape_tensor",
    "is_placeholder": "kerasbridge.bridge.older:is_placeholder",
    "is_sparse": "kerasbridge.bridge.older:is_sparse",
    "print_tensor": "kerasbridge.bridge.older:print_tensor",
    "sparse_labels": "kerasbridge.bridge.older:sparse_labels",
    "node": "kerasbridge.bridge.older:node",
    "function_model": "kerasbridge.bridge.older:function_model",
    "gradients": "kerasbridge.layers.gradients:gradients",
    "rnn": "kerasbridge.layers.time_steps:rnn",
    "local_conv_1d": "kerasbridge.layers.local_convolution:local_conv_1d",
    "local_conv_2d": "kerasbridge.layers.local_convolution:local_conv_2d",
    "class_from_r": "kerasbridge.bridge.classes_from_r:class_from_r",
    # saving
    "save_model": "kerasbridge.saving:save_model",
    "load_model": "kerasbridge.bridge.files:load_model",
    "convert_model": "kerasbridge.saving.legacy:convert_model",
    "inspect_model": "kerasbridge.bridge.files:inspect_model",
    "model_details": "kerasbridge.saving.manifest:details",
    "attach_detail": "kerasbridge.saving.manifest:attach",
    "save_weights": "kerasbridge.saving:save_weights",
    "load_weights": "kerasbridge.bridge.files:load_weights",
    # data
    "start_workers": "kerasbridge.data.workers:Workers",
    "row_source": "kerasbridge.data.rows:row_source",
    "on_the_asking_thread": "kerasbridge.data.indexed:on_the_asking_thread",
    "generator_next": "kerasbridge.data.stepping:next_batch",
    "read_hdf5": "kerasbridge.data.hdf5:read_rows",
    "load_dataset": "kerasbridge.bridge.datasets:load",
    "source_csv": "kerasbridge.data.sources:CsvSource",
    "source_parquet": "kerasbridge.data.sources:ParquetSource",
    "source_hdf5": "kerasbridge.data.sources:Hdf5Source",
    "source_npy": "kerasbridge.data.sources:NpySource",
    "source_text": "kerasbridge.data.sources:TextSource",
    "source_images": "kerasbridge.data.sources:ImageSource",
    "source_timeseries": "kerasbridge.data.sources:TimeseriesSource",
    "source_function": "kerasbridge.data.sources:FunctionSource",
    "adapt": "kerasbridge.data.adapting:adapt",
    "get_vocabulary": "kerasbridge.data.adapting:get_vocabulary",
    "image_generator": "kerasbridge.bridge.images:new",
    "image_generator_fit": "kerasbridge.bridge.images:fit",
    "image_flow": "kerasbridge.bridge.images:flow",
    "densenet": "kerasbridge.layers.densenet:densenet",
    # tables
    "table_prepare": "kerasbridge.bridge.tables:prepare",
    "table_block": "kerasbridge.bridge.tables:block",
    "table_classes": "kerasbridge.bridge.tables:classes",
    "schema_learn": "kerasbridge.bridge.tables:learn",
    "schema_describe": "kerasbridge.bridge.tables:describe",
    "schema_with_target": "kerasbridge.bridge.tables:with_target",
    "schema_of": "kerasbridge.bridge.tables:schema_of",
    "schema_attach": "kerasbridge.data.attached:attach_schema",
    "features_learn": "kerasbridge.bridge.tables:features_learn",
    "features_learn_source": "kerasbridge.bridge.tables:features_learn_source",
    "source_columns": "kerasbridge.bridge.tables:source_columns",
    "features_encode": "kerasbridge.bridge.tables:features_encode",
    "features_describe": "kerasbridge.bridge.tables:features_describe",
    "features_layers": "kerasbridge.bridge.tables:features_layers",
    "tabular_model": "kerasbridge.bridge.tables:tabular_model",
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
    "export_saved_model": "kerasbridge.saving:export_saved_model",
    "get_config": "kerasbridge.saving:get_config",
    "from_config": "kerasbridge.saving:from_config",
    "keep": "kerasbridge.saving.keeping:keep",
    "revive": "kerasbridge.saving.keeping:revive",
    "sharing": "kerasbridge.saving.keeping:sharing",
    "load_config": "kerasbridge.saving:load_config",
    "load_model_tf": "kerasbridge.bridge.files:load_model_tf",
    "load_saved_model": "kerasbridge.bridge.files:load_saved_model",
    "load_weights_tf": "kerasbridge.bridge.files:load_weights_tf",
    "model_from_bytes": "kerasbridge.bridge.files:model_from_bytes",
    "model_from_json": "kerasbridge.saving:model_from_json",
    "model_from_yaml": "kerasbridge.saving:model_from_yaml",
    "model_to_bytes": "kerasbridge.bridge.convert:model_octets",
    "model_to_json": "kerasbridge.saving:model_to_json",
    "model_to_yaml": "kerasbridge.saving:model_to_yaml",
    "register_object": "kerasbridge.saving:register_object",
    "set_custom_objects": "kerasbridge.saving:set_custom_objects",
    "get_state_tree": "kerasbridge.saving:get_state_tree",
    "set_state_tree": "kerasbridge.saving:set_state_tree",
    "save_config": "kerasbridge.saving:save_config",
    "save_model_tf": "kerasbridge.saving:save_model_tf",
    "save_weights_tf": "kerasbridge.saving:save_weights_tf",
    # serving
    "serve_start": "kerasbridge.serving:ModelServer",
    # runtime
    "set_random_seed": "kerasbridge.runtime:set_random_seed",
    "deterministic": "kerasbridge.runtime.determinism:deterministic",
    "configure_devices": "kerasbridge.runtime.device_settings:configure",
    "device_settings": "kerasbridge.runtime.device_settings:as_values",
    "devices": "kerasbridge.runtime.devices:running",
    "device_scope": "kerasbridge.runtime.devices:Scope",
    "device_memory": "kerasbridge.runtime.memory:usage",
    "train_on_cluster": "kerasbridge.cluster:train_on_cluster",
    "several_devices": "kerasbridge.runtime.spreading:Spread",
    "copy_on_devices": "kerasbridge.runtime.spreading:copy_on_devices",
    "check_tensorflow": "kerasbridge.runtime.starting:check_tensorflow",
    "tensorboard_start": "kerasbridge.runtime.tensorboard:tensorboard_start",
    "tensorboard_stop": "kerasbridge.runtime.tensorboard:tensorboard_stop",
}


def lookup(verb: str) -> Callable:
    """The function behind a verb.

    Raises:
        KeyError: there is no such verb (a mistake in this package, never of its user).
    """
    return load(_VERBS[verb])


def load(path: str) -> Callable:
    """The function that "module:name" stands for."""
    module, name = path.split(":")
    return getattr(importlib.import_module(module), name)
