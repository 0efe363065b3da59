"""One model on several devices: each computes a part of every batch.

On TensorFlow this is `tf.distribute.MirroredStrategy`, on JAX Keras' own distribution API. The result is that
of one device with the same batches. TensorFlow by itself gives the devices parts of unequal size at the end of
an epoch and weighs them alike; `Mirrored` cuts every batch as evenly as it goes and weighs parts by
their rows, so that gradients, losses and metrics are those of the whole batch.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
import weakref
from typing import Any, Optional, Sequence, Union

from kerasbridge.errors import ArgumentError, UnsupportedError
from kerasbridge.runtime.devices import running, standard_name
from kerasbridge.runtime.keras_version import keras_before
from kerasbridge.runtime.starting import start


def chosen(
    devices: Union[str, int, Sequence[str]], kinds: Sequence[str] = ("GPU", "CPU")
) -> list[str]:
    """Names of devices: "all" cards (or virtual processors where there is no card), a number, or names.

    Raises:
        ArgumentError: there are not as many, or not these.
    """
    by_kind = [[row["device"].lower() for row in running(kind)] for kind in kinds]
    present = next((names for names in by_kind if names), [])
    if devices == "all":
        return present
    if isinstance(devices, int):
        # as many as asked for of one kind: virtual processors stand in for cards
        fitting = next((names for names in by_kind if len(names) >= devices), None)
        if devices < 1 or fitting is None:
            counts = ", ".join(f"{len(n)} of kind {k}" for k, n in zip(kinds, by_kind))
            raise ArgumentError(
                f"{devices} devices are asked for; there are {counts}.",
                hint="virtual_devices(2), before Keras starts, makes two of the processor to try it out.",
                argument="devices",
            )
        return fitting[:devices]
    names = [standard_name(name) for name in devices]
    known = [name for group in by_kind for name in group]
    absent = [name for name in names if name not in known]
    if absent or len(set(names)) != len(names) or not names:
        raise ArgumentError(
            f"`devices` names {', '.join(absent) or 'a device twice, or none'}; there are "
            f"{', '.join(known)}.",
            argument="devices",
        )
    return names


@functools.cache
def _mirrored_class() -> type:
    import tensorflow as tf

    class Mirrored(tf.distribute.MirroredStrategy):
        """MirroredStrategy with even parts of every batch, weighed by their rows."""

        def experimental_distribute_dataset(self, dataset: Any, options: Any = None) -> Any:
            parts = self.num_replicas_in_sync
            if not _can_be_cut(dataset.element_spec):
                return super().experimental_distribute_dataset(dataset, options)
            fill = getattr(_share, "fill", False)
            cut = dataset.flat_map(lambda *batch: _parts(batch, parts, fill))
            return self.distribute_datasets_from_function(lambda context: cut, options)

        def run(self, fn: Any, args: Any = (), kwargs: Any = None, options: Any = None) -> Any:
            weights = self._weights(args)
            if weights is None:
                return super().run(fn, args, kwargs, options)

            @functools.wraps(fn)
            def weighed(*args: Any, **kwargs: Any) -> Any:
                index = tf.distribute.get_replica_context().replica_id_in_sync_group
                _share.weight = tf.gather(weights, index)
                try:
                    return fn(*args, **kwargs)
                finally:
                    _share.weight = None

            return super().run(weighed, args, kwargs, options)

        def reduce(self, reduce_op: Any, value: Any, axis: Any = None) -> Any:
            # Keras builds a model on the average of the parts of a batch, for their form alone; parts of
            # different lengths have none
            parts = self.experimental_local_results(value)
            shapes = {
                tuple(str(getattr(leaf, "shape", "")) for leaf in tf.nest.flatten(part))
                for part in parts
            }
            if axis is None and len(shapes) > 1:
                return parts[-1]
            return super().reduce(reduce_op, value, axis)

        def _weights(self, args: Any) -> Any:
            """For each device its rows over its even share of the rows of all."""
            leaves = tf.nest.flatten(args)
            first = next((leaf for leaf in leaves if leaf is not None), None)
            parts = self.experimental_local_results(first) if first is not None else ()
            if len(parts) != self.num_replicas_in_sync or not hasattr(parts[0], "shape"):
                return None
            if not all(tf.is_tensor(part) and part.shape.rank for part in parts):
                return None
            rows = [tf.cast(tf.shape(part)[0], "float32") for part in parts]
            whole = tf.add_n(rows)
            return tf.stack([one * len(rows) / tf.maximum(whole, 1.0) for one in rows])

        def spread(self, batch: Any) -> Any:
            """A batch in memory as parts on the devices, as `run` takes them."""
            count = self.num_replicas_in_sync
            rows = next(int(leaf.shape[0]) for leaf in tf.nest.flatten(batch) if leaf is not None)
            edges = [(i * rows // count, (i + 1) * rows // count) for i in range(count)]
            if rows < count and getattr(_share, "fill", False):
                edges = [(0, rows)] * count

            def part(leaf: Any) -> Any:
                return self.experimental_distribute_values_from_function(
                    lambda context: tf.convert_to_tensor(
                        leaf[slice(*edges[context.replica_id_in_sync_group])]
                    )
                )

            return tf.nest.map_structure(lambda leaf: None if leaf is None else part(leaf), batch)

    return Mirrored


@functools.cache
def _strategy(devices: tuple) -> Any:
    """The strategy over these devices; one for the process: models of one can't be used in another."""
    if len(devices) > 1 and keras_before(3, 9):
        raise UnsupportedError(
            f"Keras {sys.modules['keras'].__version__}, which is installed, trains on one device of TensorFlow.",
            hint="Keras 3.9 and later train on several.",
            argument="devices",
        )
    import tensorflow as tf

    names = [name.upper() for name in devices]
    # sums over processors don't go through collective operations: a process can have those for one
    # number of devices only
    sums = None if names[0].startswith("GPU") else tf.distribute.ReductionToOneDevice()
    return _mirrored_class()(names, cross_device_ops=sums)


@functools.cache
def _parallel_class() -> type:
    import keras

    class Parallel(keras.distribution.DataParallel):
        """DataParallel that gives a batch whole to every device where its rows can't be cut evenly."""

        def get_data_layout(self, data_shape: Any) -> Any:
            layout = super().get_data_layout(data_shape)
            if data_shape and data_shape[0] and data_shape[0] % self.device_mesh.shape[0]:
                return keras.distribution.TensorLayout([None] * len(data_shape), self.device_mesh)
            return layout

    return Parallel


@contextlib.contextmanager
def any_rows(*sizes: tuple):
    """Within the block, steps of JAX on several devices take batches of any number of rows, as one device does.

    Keras cuts all batches of a run as it cut the first, and JAX cuts none whose rows aren't a multiple of the
    number of devices. Where there may be such a batch, Keras gives every device the whole of each one, and
    `cut` leaves it its part of those that can be cut: of the others every device computes the whole.

    Args:
        sizes: (rows, rows of a batch) of each set of data; None as rows where they aren't known.
    """
    found = _cut_on_jax()
    if found is None or "get_data_layout" in vars(found[0]):  # or this is a run within a run
        yield
        return
    distribution, devices = found
    if all(_is_even(rows, size, devices) for rows, size in sizes):
        yield
        return
    keras = sys.modules["keras"]

    def whole(data_shape: Any) -> Any:
        return keras.distribution.TensorLayout([None] * len(data_shape), distribution.device_mesh)

    whole.cut, whole.devices = distribution.get_data_layout, devices
    distribution.get_data_layout = whole
    try:
        yield
    finally:
        del distribution.get_data_layout


def cut(data: Any) -> Any:
    """What a step on JAX gets, a batch or an iterator over batches, with each device's part of `any_rows`."""
    keras = sys.modules["keras"]
    distribution = keras.distribution.distribution()
    whole = None if distribution is None else vars(distribution).get("get_data_layout")
    if whole is None:
        return data
    import jax

    def part(leaf: Any) -> Any:
        if leaf.shape[0] % whole.devices:
            return leaf
        return keras.distribution.distribute_tensor(leaf, whole.cut(leaf.shape))

    def parts(batch: Any) -> Any:
        return jax.tree_util.tree_map(part, batch)

    return map(parts, data) if hasattr(data, "__next__") else parts(data)


def _cut_on_jax() -> Optional[tuple]:
    """The distribution by which Keras cuts batches on JAX, and over how many devices; None where it doesn't."""
    keras = sys.modules.get("keras")
    if keras is None or keras.config.backend() != "jax":
        return None
    distribution = keras.distribution.distribution()
    if distribution is None or sys.modules["jax"].process_count() > 1:
        return None
    mesh = distribution.device_mesh
    name = getattr(distribution, "batch_dim_name", None) or mesh.axis_names[0]
    devices = mesh.shape[list(mesh.axis_names).index(name)]
    return (distribution, devices) if devices > 1 else None


def _is_even(rows: Optional[int], size: Optional[int], devices: int) -> bool:
    if rows is None:
        return False
    size = max(1, min(size or 32, rows))
    return not (size % devices or rows % size % devices)


def weights_on_devices(y: Any, sample_weight: Any, class_weight: Any = None) -> Any:
    """The weights with which Keras gives one batch to several devices on JAX; elsewhere those given.

    Keras before 3.15 fails there where a part of the batch is missing: weights of one stand in.

    Raises:
        UnsupportedError: targets are missing, which nothing can stand in for.
    """
    keras = sys.modules["keras"]
    if keras.config.backend() != "jax" or not keras_before(3, 15):
        return sample_weight
    if keras.distribution.distribution() is None:
        return sample_weight
    import numpy as np

    from kerasbridge.runtime.structures import flatten

    targets = flatten(y)
    if any(one is None for one in targets):
        raise UnsupportedError(
            f"Keras {keras.__version__}, which is installed, gives several devices of JAX no batch without "
            "targets.",
            hint="Give targets, use `fit()` and `evaluate()`, or Keras 3.15 and later.",
            argument="y",
        )
    if sample_weight is None and class_weight is None:
        return np.ones((np.shape(targets[0])[0],), keras.config.floatx())
    return sample_weight


_share = threading.local()


def _can_be_cut(spec: Any) -> bool:
    import tensorflow as tf

    leaves = tf.nest.flatten(spec)
    return bool(leaves) and all(
        isinstance(leaf, tf.TensorSpec) and leaf.shape.rank for leaf in leaves
    )


def _parts(batch: tuple, count: int, fill: bool) -> Any:
    """A dataset of the `count` parts of one batch.

    Where it has fewer rows than that some parts are empty; with `fill` each is the whole batch.
    """
    import tensorflow as tf

    # a dataset of bare tensors or dicts hands over one argument, one of tuples several
    value = batch[0] if len(batch) == 1 and not isinstance(batch[0], tuple) else batch
    rows = tf.cast(tf.shape(tf.nest.flatten(value)[0])[0], "int64")

    def part(index: Any) -> Any:
        whole = tf.logical_and(fill, rows < count)
        first = tf.where(whole, tf.zeros_like(rows), index * rows // count)
        last = tf.where(whole, rows, (index + 1) * rows // count)
        cut = tf.nest.map_structure(lambda leaf: leaf[first:last], value)
        return cut

    return tf.data.Dataset.range(count).map(part)


def is_ours(strategy: Any) -> bool:
    """Whether a strategy was made here (and cuts batches as this module says)."""
    return type(strategy).__name__ == "Mirrored" and hasattr(strategy, "spread")


def strategy_of(model: Any) -> Any:
    """The strategy of several devices that a model was made under here; None elsewhere."""
    strategy = getattr(model, "distribute_strategy", None)
    several = is_ours(strategy) and strategy.num_replicas_in_sync > 1
    return strategy if several else None


@contextlib.contextmanager
def weighed_gradients(model: Any, layers: Sequence[Any]):
    """Within the block, a device's loss counts by its share of the rows.

    It is the loss that gradients are taken of; what is reported is weighed by rows already.

    Args:
        layers: all layers of the model, those inside others too.
    """
    optimizer = getattr(model, "optimizer", None)
    if strategy_of(model) is None or optimizer is None:
        yield
        return
    scale = optimizer.scale_loss

    def scale_loss(loss: Any) -> Any:
        weight = getattr(_share, "weight", None)
        return scale(loss if weight is None else loss * _as(weight, loss))

    object.__setattr__(optimizer, "scale_loss", scale_loss)
    _share.fill = _need_rows(layers)
    try:
        yield
    finally:
        _share.fill = False
        object.__delattr__(optimizer, "scale_loss")


def _need_rows(layers: Sequence[Any]) -> bool:
    """Whether a device without rows would spoil the model: a layer takes statistics of its batch."""
    import keras

    return any(isinstance(layer, keras.layers.BatchNormalization) for layer in layers)


def _as(weight: Any, loss: Any) -> Any:
    import tensorflow as tf

    return tf.cast(weight, loss.dtype)


class Spread:
    """Between `enter` and `leave`, models are made for several devices.

    Args:
        devices: "all", a number, or names of devices.
        layout: None for data parallelism; on JAX, pairs of (pattern of a variable's path, for each of
            its axes "model" or None): those variables are cut along the axes named "model".
    """

    def __init__(
        self, devices: Union[str, int, Sequence[str]] = "all", layout: Optional[dict] = None
    ):
        keras = start()
        backend = keras.config.backend()
        if backend not in ("tensorflow", "jax"):
            raise UnsupportedError(
                f"Several devices need the backend tensorflow or jax; this is {backend}.",
                argument="devices",
            )
        if layout and backend != "jax":
            raise UnsupportedError(
                "Weights can be cut over devices with the backend jax only.",
                hint='use_backend("jax") at the start of a session; without `layout`, batches are cut.',
                argument="layout",
            )
        self.devices = chosen(devices)
        self._keras, self._before = keras, None
        self._stack = contextlib.ExitStack()
        if backend == "tensorflow":
            self._strategy, self._distribution = _strategy(tuple(self.devices)), None
        else:
            self._strategy, self._distribution = None, self._of_jax(layout)

    def _of_jax(self, layout: Optional[dict]) -> Any:
        api = self._keras.distribution
        if not layout:
            mesh = api.DeviceMesh((len(self.devices),), ["batch"], self.devices)
            return _parallel_class()(device_mesh=mesh)
        mesh = api.DeviceMesh((1, len(self.devices)), ["batch", "model"], self.devices)
        table = api.LayoutMap(mesh)
        for pattern, axes in layout.items():
            wrong = [axis for axis in axes if axis not in (None, "model")]
            if wrong:
                raise ArgumentError(
                    f"`layout` names the axis '{wrong[0]}'; it can be 'model' or nothing.",
                    argument="layout",
                )
            table[pattern] = api.TensorLayout(list(axes))
        return api.ModelParallel(layout_map=table, batch_dim_name="batch")

    def enter(self) -> None:
        if self._strategy is not None:
            self._stack.enter_context(self._strategy.scope())
            return
        self._before = self._keras.distribution.distribution()
        self._keras.distribution.set_distribution(self._distribution)

    def leave(self) -> None:
        self._stack.close()
        if self._distribution is not None:
            self._keras.distribution.set_distribution(self._before)


_templates: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def copy_on_devices(model: Any, gpus: Optional[Sequence[int]] = None) -> Any:
    """A copy of a model on several devices, whose weights go back to it after training.

    Args:
        gpus: their number (one value) or positions from 1; None for all there are. Virtual processors stand
            in where there are too few cards.

    Returns:
        The copy, not compiled; the model itself where that is one device.

    Raises:
        ArgumentError: there are not as many, or the model isn't built.
    """
    keras = start()
    cards = [row["device"].lower() for row in running("GPU")]
    others = [row["device"].lower() for row in running("CPU")]
    numbers = [int(one) for one in gpus or ()]
    if not numbers:
        wanted = cards if cards else others[: len(others) if len(others) > 1 else 1]
        numbers = list(range(1, len(wanted) + 1))
    elif len(numbers) == 1:
        numbers = list(range(1, numbers[0] + 1))
    if len(numbers) <= 1:
        return model
    present = cards if max(numbers) <= len(cards) else others
    if max(numbers) > len(present) or len(others) < 2 and present is others:
        raise ArgumentError(
            f"`gpus` asks for {max(numbers)} graphics cards; Keras sees {len(cards)} here.",
            hint=f"virtual_devices({max(numbers)}), before Keras starts, makes as many of the processor to "
            "try it out.",
            argument="gpus",
        )
    if not model.built:
        raise ArgumentError(
            "`model` isn't built, so its weights can't be copied.",
            hint="Give its first layer an input_shape.",
            argument="model",
        )
    spread = Spread([present[one - 1] for one in numbers])
    spread.enter()
    try:
        copy = keras.models.clone_model(model)
        copy.set_weights(model.get_weights())
    finally:
        spread.leave()
    _templates[copy] = weakref.ref(model)
    return copy


def give_back(model: Any) -> None:
    """After training: the weights of a copy made here go to the model that it was made of."""
    template = _templates.get(model, lambda: None)()
    if template is not None:
        template.set_weights(model.get_weights())
