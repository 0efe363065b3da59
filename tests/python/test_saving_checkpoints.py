"""TensorFlow checkpoints: which optimizer's state they hold, and what an error leaves."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest
from kerasbridge.errors import FileError
from kerasbridge.runtime.keras_version import keras_before
from kerasbridge.saving import load_weights_tf, save_weights_tf

pytestmark = pytest.mark.skipif(
    keras.config.backend() != "tensorflow", reason="checkpoints are TensorFlow's"
)
L = keras.layers
X, Y = np.ones((4, 3), "float32"), np.ones((4, 2), "float32")


def made(optimizer="adam", trained=True, units=2, seed=0):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input((3,)), L.Dense(4), L.Dense(units, name="last")])
    if optimizer:
        model.compile(optimizer, "mse")
    if optimizer and trained:
        model.fit(X, Y, epochs=3, verbose=0)
    return model


def state(model):
    return [np.asarray(v) for v in getattr(model.optimizer, "variables", ())]


def equal(one, two):
    return len(one) == len(two) and all(np.array_equal(a, b) for a, b in zip(one, two))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Optimizer -> (path, weights, its state), as written by models that trained with it."""
    out = {}
    for optimizer in ("adam", "sgd", "nadam", "ftrl", None):
        path = tmp_path_factory.mktemp("ck") / "w"
        model = made(optimizer)
        save_weights_tf(model, path)
        out[optimizer] = path, model.get_weights(), state(model) if optimizer else []
    return out


@pytest.mark.skipif(not keras_before(3, 3), reason="newer ones have it")
def test_what_a_checkpoint_of_an_older_keras_lacks_is_said(tmp_path):
    with pytest.warns(UserWarning, match="without the optimizer's state: .* since 3.3"):
        save_weights_tf(made(), tmp_path / "w")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_weights_tf(made(None), tmp_path / "none")
    model = made(seed=1)
    load_weights_tf(model, tmp_path / "w")
    assert equal(model.get_weights(), made().get_weights())


@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("optimizer", ["adam", "sgd", "nadam", "ftrl"])
def test_the_state_of_the_same_optimizer_comes_back(files, optimizer, trained):
    path, weights, wanted = files[optimizer]
    model = made(optimizer, trained, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DeprecationWarning)  # of numpy 2, about Keras
        report = load_weights_tf(model, path)
    assert equal(model.get_weights(), weights) and equal(state(model), wanted)
    assert report.names("loaded")[-1] == "last" and not report.notes
    model.fit(X, Y, verbose=0)
    assert int(keras.ops.convert_to_numpy(model.optimizer.iterations)) == 4


PAIRS = [
    (there, here)
    for there in ("adam", "sgd", "nadam")
    for here in ("adam", "sgd", "rmsprop", "adagrad")
    if there != here
]


@pytest.mark.parametrize(("there", "here"), PAIRS)
def test_of_another_optimizer_the_weights_are_loaded(files, there, here):
    path, weights, held = files[there]
    model = made(here, seed=1)
    before = state(model)
    says = f"another optimizer, {len(held)} arrays, where this {type(model.optimizer).__name__} keeps {len(before)}"
    with pytest.warns(UserWarning, match=says):
        report = load_weights_tf(model, path)
    assert equal(model.get_weights(), weights) and equal(state(model), before)
    assert len(report.notes) == 1 and "compile the model with that optimizer" in report.notes[0]
    model.fit(X, Y, verbose=0)
    assert int(keras.ops.convert_to_numpy(model.optimizer.iterations)) == 4


def test_with_and_without_an_optimizer(files):
    for optimizer in ("adam", "sgd"):
        model = made(None, seed=1)
        load_weights_tf(model, files[optimizer][0])
        assert equal(model.get_weights(), files[optimizer][1])
    for trained in (True, False):
        model = made("adam", trained, seed=1)
        before = state(model)
        assert not load_weights_tf(model, files[None][0]).notes
        assert equal(model.get_weights(), files[None][1]) and equal(state(model), before)


@pytest.mark.parametrize("optimizer", ["adam", "sgd", None])
def test_of_another_model_the_error_says_which_weight_and_leaves_all(files, optimizer):
    for here in ("adam", None):
        model = made(here, False, units=3)
        before = model.get_weights()
        with pytest.raises(
            FileError, match=r"does not hold .*: '.*last.*' has the shape \("
        ) as caught:
            load_weights_tf(model, files[optimizer][0])
        assert "same layers" in caught.value.hint
        assert equal(model.get_weights(), before)
    deeper = keras.Sequential([keras.Input((3,)), L.Dense(4), L.Dense(2), L.Dense(2)])
    before = deeper.get_weights()
    with pytest.raises(FileError, match="does not hold the weights of this model"):
        load_weights_tf(deeper, files[optimizer][0])
    assert equal(deeper.get_weights(), before)


def test_a_checkpoint_of_keras_2_is_told(tmp_path):
    import tensorflow as tf

    root = tf.train.Checkpoint()
    layer = tf.train.Checkpoint(kernel=tf.Variable(np.ones((3, 2), "float32")))
    setattr(root, "layer_with_weights-0", layer)
    root.write(str(tmp_path / "w"))
    with pytest.raises(FileError, match="written by Keras 2") as caught:
        load_weights_tf(made(None), tmp_path / "w")
    assert ".h5" in caught.value.hint
