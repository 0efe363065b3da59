"""SavedModel folders: written for serving, read for inference.

A folder of Keras 3 holds the computation, not the model: it can't be trained. `save_model_tf` therefore
puts the whole model beside it, in `assets.extra`, the place that TensorFlow leaves to applications.
"""

from __future__ import annotations

import inspect
import keyword
import os
import re
from typing import Any, Optional, Union

import numpy as np

from kerasbridge.errors import ArgumentError, DataError, FileError, UnsupportedError
from kerasbridge.files import recover, replacing_folder
from kerasbridge.saving.door import NOT_NUMBERS, few, warn_of
from kerasbridge.saving.legacy import metadata
from kerasbridge.saving.safety.config import check_allow, raise_refused
from kerasbridge.saving.safety.graphs import audit_graph
from kerasbridge.saving.sweeping import has_not_numbers

PathLike = Union[str, "os.PathLike[str]"]
WHOLE_MODEL = os.path.join("assets.extra", "model.keras")


def tensorflow() -> Any:
    """TensorFlow, where it is the backend.

    Raises:
        UnsupportedError: another one is.
    """
    import keras

    if keras.config.backend() != "tensorflow":
        raise UnsupportedError(
            f"SavedModel folders and checkpoints are TensorFlow's; this session runs on {keras.config.backend()}.",
            hint="Use save_model() and save_model_weights(), whose files open on every backend.",
        )
    import tensorflow as tf

    return tf


def export_saved_model(
    model: Any,
    filepath: PathLike,
    overwrite: bool = False,
    input_signature: Any = None,
    verbose: bool = False,
) -> str:
    """Write the computation of a model to a SavedModel folder with one endpoint, `serve`.

    Raises:
        FileError: the folder exists, or its parent doesn't.
        ArgumentError: the model has never seen an input, so that there is nothing to write.
    """
    tensorflow()
    _check_built(model)
    name = os.path.expanduser(os.fspath(filepath))
    with replacing_folder(name, overwrite) as temporary:
        _export(model, temporary, input_signature, verbose)
    return name


def _export(model: Any, folder: str, signature: Any = None, verbose: bool = False) -> None:
    """`model.export()`, which took neither `verbose` nor `input_signature` at first."""
    import keras

    takes = inspect.signature(model.export).parameters
    arguments: dict[str, Any] = {"format": "tf_saved_model"}
    if "verbose" in takes:
        arguments["verbose"] = bool(verbose)
    if "input_signature" in takes:
        signature = _signature(model) if signature is None else signature
        if signature is not None:
            arguments["input_signature"] = signature
    elif signature is not None:
        raise UnsupportedError(
            f"Keras {keras.__version__}, which is installed, exports a model for the inputs that it "
            "has; `input_signature` came later.",
            hint="Install a newer Keras, or leave it out.",
            argument="input_signature",
        )
    model.export(folder, **arguments)


def _signature(model: Any) -> Any:
    """A signature with other names where those of the inputs can't be names of arguments ("in", "x y").

    None where they can, so that Keras makes its own.
    """
    import keras

    inputs = getattr(model, "inputs", None) or []
    try:
        structure = model.input if inputs else None
    except (AttributeError, ValueError):  # a Sequential that has never been called: one tensor
        structure = None
    if isinstance(structure, dict) or all(map(_is_name, _names(inputs))):
        return None
    taken: set = set()
    specs = []
    for tensor, name in zip(inputs, _names(inputs)):
        name = re.sub(r"\W", "_", name)
        while not _is_name(name) or name in taken:
            name += "_"
        taken.add(name)
        specs.append(keras.InputSpec(dtype=tensor.dtype, shape=tensor.shape, name=name))
    return [specs] if isinstance(structure, (list, tuple)) else specs


def _names(tensors: list) -> list:
    return [str(tensor.name) for tensor in tensors]


def _is_name(text: str) -> bool:
    return text.isidentifier() and not keyword.iskeyword(text)


def save_model_tf(
    model: Any, filepath: PathLike, overwrite: bool = True, include_optimizer: bool = True
) -> str:
    """A SavedModel folder that also holds the whole model, so that `load_model_tf` can train on."""
    import keras

    tensorflow()
    _check_built(model)
    name = os.path.expanduser(os.fspath(filepath))
    with replacing_folder(name, overwrite) as temporary:
        _export(model, temporary)
        os.makedirs(os.path.dirname(os.path.join(temporary, WHOLE_MODEL)), exist_ok=True)
        keras.saving.save_model(
            model, os.path.join(temporary, WHOLE_MODEL), include_optimizer=include_optimizer
        )
    return name


def load_model_tf(
    filepath: PathLike,
    custom_objects: Optional[dict[str, Any]] = None,
    compile: bool = True,
    allow: Any = (),
) -> Any:
    """The whole model of a folder that `save_model_tf` wrote, an `InferenceModel` of any other.

    Args:
        allow: as for `load_model`.
    """
    from kerasbridge.saving.models import load_model

    name = _check_folder(filepath)
    whole = os.path.join(name, WHOLE_MODEL)
    if os.path.isfile(whole):
        return load_model(whole, custom_objects=custom_objects, compile=compile, allow=allow)
    return load_saved_model(name, allow=allow)


def load_saved_model(
    filepath: PathLike, endpoint: Optional[str] = None, allow: Any = ()
) -> InferenceModel:
    """The computation of a SavedModel folder, whose operations are looked at first.

    Args:
        endpoint: name of the signature; None takes the one for serving.
        allow: "saved_model" permits operations that reach files, the network or Python, "vocabulary"
            tables read from a file that is no asset of the folder.

    Raises:
        UnsafeFileError: there are such operations; names the function they stand in.
    """
    allowed = set(check_allow(allow))
    name = _check_folder(filepath)
    refused = [found for found in audit_graph(name) if found.word not in allowed]
    if refused:
        raise_refused(refused, f"'{name}'")
    model = InferenceModel(name, endpoint)
    bad = [v.name for v in model.variables if has_not_numbers(v.numpy())]
    if bad:
        warn_of(model, f"'{name}' {NOT_NUMBERS}: {few(bad)}.")
    return model


def _check_built(model: Any) -> None:
    if not getattr(model, "built", False):
        raise ArgumentError(
            "The model has no input shape yet, so its computation can't be written.",
            hint="Say the shape when it is made, or call it on data once.",
            argument="model",
        )


def _check_folder(filepath: PathLike) -> str:
    name = os.path.expanduser(os.fspath(filepath))
    if not os.path.isdir(name):
        recover(os.path.dirname(os.path.abspath(name)))
    if not os.path.isdir(name):
        what = "a file, not a folder" if os.path.exists(name) else "not there"
        raise FileError(
            f"'{name}' is {what}.",
            hint="A SavedModel is a folder with a file saved_model.pb; files are read by load_model().",
            argument="filepath",
        )
    if not os.path.isfile(os.path.join(name, "saved_model.pb")):
        raise FileError(
            f"The folder '{name}' holds no saved_model.pb: not a SavedModel.", argument="filepath"
        )
    return name


class InferenceModel:
    """A SavedModel: `predict` works, training does not.

    Args:
        folder: path of the SavedModel.
        endpoint: name of the signature; None takes "serving_default" or the only one.

    Raises:
        FileError: the folder can't be read.
        ArgumentError: there is no such endpoint.
    """

    def __init__(self, folder: str, endpoint: Optional[str] = None):
        tf = tensorflow()
        try:
            self._loaded = tf.saved_model.load(folder)
        except (OSError, ValueError, tf.errors.OpError) as err:
            raise FileError(
                f"The SavedModel in '{folder}' can't be read: {str(err).splitlines()[0]}",
                argument="filepath",
            ) from err
        signatures = dict(self._loaded.signatures)
        if endpoint is None:
            endpoint = "serving_default" if "serving_default" in signatures else None
            if endpoint is None and len(signatures) == 1:
                endpoint = next(iter(signatures))
        if endpoint not in signatures:
            raise ArgumentError(
                f"The SavedModel has no endpoint '{endpoint or 'serving_default'}'.",
                hint=f"It has: {', '.join(sorted(signatures)) or 'none'}.",
                argument="endpoint",
            )
        self.folder = folder
        self.endpoint = endpoint
        self._function = signatures[endpoint]
        _, keywords = self._function.structured_input_signature
        # the order of the model's own inputs and outputs, where the folder tells it
        inputs, outputs = metadata.order(folder)
        self._specs = {name: keywords[name] for name in metadata.sorted_by(list(keywords), inputs)}
        self.outputs = metadata.sorted_by(list(self._function.structured_outputs), outputs)

    @property
    def variables(self) -> list:
        """The variables of the folder, which can be read but not trained."""
        return list(getattr(self._loaded, "variables", ()))

    @property
    def inputs(self) -> dict:
        """Name -> shape of each input; None for an axis of any length."""
        return {name: tuple(spec.shape) for name, spec in self._specs.items()}

    def _match(self, x: Any) -> dict:
        names = list(self._specs)
        if isinstance(x, dict):
            missing = [name for name in names if name not in x]
            if missing or len(x) != len(names):
                raise DataError(
                    f"The model takes the inputs {', '.join(names)}; given: {', '.join(map(str, x))}.",
                    argument="x",
                )
            parts = [x[name] for name in names]
        else:
            parts = list(x) if isinstance(x, (list, tuple)) else [x]
        if len(parts) != len(names):
            raise DataError(
                f"The model takes {len(names)} input(s), not {len(parts)}: {', '.join(names)}.",
                argument="x",
            )
        arrays = {}
        for name, part in zip(names, parts):
            spec = self._specs[name]
            array = np.asarray(part)
            if spec.dtype.is_floating or spec.dtype.is_integer or spec.dtype.is_bool:
                array = array.astype(spec.dtype.as_numpy_dtype)
            if spec.shape.rank is not None and array.ndim == spec.shape.rank - 1:
                array = array[..., None]
            if not spec.shape[1:].is_compatible_with(array.shape[1:]):
                raise DataError(
                    f"The input '{name}' must have the shape {tuple(spec.shape)}, not {array.shape}.",
                    argument="x",
                )
            arrays[name] = array
        rows = {len(array) for array in arrays.values()}
        if len(rows) != 1:
            raise DataError("The inputs differ in their number of rows.", argument="x")
        return arrays

    def predict(self, x: Any, batch_size: Optional[int] = None) -> Any:
        """Outputs for the rows of `x`, computed `batch_size` (32) rows at a time.

        Returns:
            An array, or a dict of arrays for several outputs.
        """
        import tensorflow as tf

        arrays = self._match(x)
        rows = len(next(iter(arrays.values())))
        size = int(batch_size or 32)
        if rows == 0:
            raise DataError("`x` has no rows.", argument="x")
        found: dict[str, list] = {name: [] for name in self.outputs}
        for start in range(0, rows, size):
            part = {name: tf.constant(a[start : start + size]) for name, a in arrays.items()}
            for name, value in self._function(**part).items():
                found[name].append(value.numpy())
        joined = {name: np.concatenate(parts) for name, parts in found.items()}
        return joined if len(joined) > 1 else next(iter(joined.values()))

    def _refuse(self, *_args: Any, **_kwargs: Any) -> None:
        raise UnsupportedError(
            "A SavedModel holds the computation only: it predicts and can't be trained or evaluated.",
            hint="Train the model it was made from, saved with save_model().",
            argument="object",
        )

    fit = evaluate = compile = train_on_batch = test_on_batch = _refuse

    def __repr__(self) -> str:
        return f"<SavedModel for inference, endpoint '{self.endpoint}', inputs {self.inputs}>"
