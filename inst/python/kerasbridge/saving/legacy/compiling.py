"""Rules for how a model was compiled: losses, metrics and optimizers of old as today's.

Reads the training settings of `.h5` files (Keras 1 to 3) and of `.keras` files of Keras 2. Losses and
metrics stand there as the user typed them ("mse", "acc"), as names of functions, or as objects.
"""

from __future__ import annotations

import inspect
from typing import Any, Callable, Optional

import keras

from kerasbridge.saving.legacy import values
from kerasbridge.saving.legacy.context import Context
from kerasbridge.saving.legacy.reading import major

# short or older name -> the name of the function today
ALIASES = {
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error",
    "bce": "binary_crossentropy",
    "cce": "categorical_crossentropy",
    "kld": "kl_divergence",
    "kullback_leibler_divergence": "kl_divergence",
    "kldivergence": "kl_divergence",
    "logcosh": "log_cosh",
    "cosine": "cosine_similarity",
    "cosine_proximity": "cosine_similarity",
    "squared_hinge": "squared_hinge",
}
# words that stand for a metric chosen by loss and shapes; Keras resolves them
_CHOSEN_BY_LOSS = ("accuracy", "acc", "crossentropy", "ce")

_METRIC_NAMES = {
    "CosineProximity": "CosineSimilarity",
    "KLDivergence": "KLDivergence",
    "LogCoshError": "LogCoshError",
}
_LOSS_NAMES = {"CosineProximity": "CosineSimilarity", "LogCosh": "LogCosh"}
_REDUCTIONS = {"auto": "sum_over_batch_size", "sum_over_batch_size": "sum_over_batch_size"}


def _function(module: Any, name: str) -> Optional[Callable]:
    full = ALIASES.get(name.lower(), name)
    found = getattr(module, full, None)
    if (
        callable(found)
        and not isinstance(found, type)
        and full not in ("get", "serialize", "deserialize")
    ):
        return found
    return None


def _known(module: Any, name: str) -> bool:
    """Whether Keras itself finds a function by this name."""
    try:
        return callable(module.get(name))
    except ValueError:
        return False


def _kept(cls: type, config: dict) -> dict:
    """The options that a class takes; functions wrapped by older classes (`fn`) are their own now."""
    takes = set(inspect.signature(cls.__init__).parameters) | {"name", "dtype"}
    return {key: value for key, value in config.items() if key in takes}


def _nested(value: Any, one: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict) and not values.is_object(value):
        return {key: _nested(part, one) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_nested(part, one) for part in value]
    return None if value is None else one(value)


# ---- losses ------------------------------------------------------------------------------------------
def loss(value: Any, ctx: Context) -> Any:
    """Losses of `compile()`, in the structure they were given."""

    def one(item: Any) -> Any:
        if values.is_object(item) and item["class_name"] != "function":
            return _loss_object(item, ctx)
        name = item["config"] if isinstance(item, dict) else item
        custom = ctx.custom(name)
        if custom is not None:
            return custom() if isinstance(custom, type) else custom
        bare = name.rpartition(">")[2] if isinstance(name, str) else name
        function = _function(keras.losses, bare)
        if function is not None:
            return bare if _known(keras.losses, bare) else function
        if isinstance(bare, str) and isinstance(getattr(keras.losses, bare, None), type):
            return getattr(keras.losses, bare)()
        raise ctx.refusal(
            f"the loss '{name}' is not part of Keras.",
            hint=f"Give it: `custom_objects = list({name} = <function>)`, or say `compile = FALSE`.",
        )

    return _nested(value, one)


def _loss_object(item: dict, ctx: Context) -> Any:
    name, config = item["class_name"], dict(item["config"] or {})
    custom = ctx.custom(item.get("registered_name"), name)
    if isinstance(custom, type):
        return custom.from_config(config)
    bare = name.rpartition(">")[2]
    if bare == "LossFunctionWrapper":
        function = config.get("fn")
        return loss(function if function is not None else config.get("name"), ctx)
    cls = getattr(keras.losses, _LOSS_NAMES.get(bare, bare), None)
    if not isinstance(cls, type):
        raise ctx.refusal(f"the loss '{name}' is not part of Keras.")
    if config.get("reduction") in _REDUCTIONS:
        config["reduction"] = _REDUCTIONS[config["reduction"]]
    return cls(**_kept(cls, config))


# ---- metrics -----------------------------------------------------------------------------------------
def metrics(value: Any, ctx: Context) -> Any:
    """Metrics of `compile()`; TensorFlow 2 stored a list for each output, also where there is one."""

    def one(item: Any) -> Any:
        if values.is_object(item) and item["class_name"] != "function":
            return _metric_object(item, ctx)
        return _metric_name(item["config"] if isinstance(item, dict) else item, None, ctx)

    found = _nested(value, one)
    if isinstance(found, list) and len(found) == 1 and isinstance(found[0], list):
        found = found[0]
    return found or None


def _metric_name(name: Any, shown: Optional[str], ctx: Context) -> Any:
    custom = ctx.custom(name)
    if custom is not None:
        if isinstance(custom, type):
            return custom()
        return (
            custom if shown in (None, name) else keras.metrics.MeanMetricWrapper(custom, name=shown)
        )
    bare = name.rpartition(">")[2] if isinstance(name, str) else ""
    if bare.lower() in _CHOSEN_BY_LOSS and shown in (None, bare):
        return bare
    function = _function(keras.metrics, bare)
    if function is not None:
        if shown in (None, bare) and _known(keras.metrics, bare):
            return bare
        return keras.metrics.MeanMetricWrapper(function, name=shown or bare)
    if isinstance(getattr(keras.metrics, bare, None), type):
        return getattr(keras.metrics, bare)()
    if shown in (None, bare) and _known(
        keras.metrics, bare
    ):  # "cosine_similarity": a name of a class
        return bare
    raise ctx.refusal(
        f"the metric '{name}' is not part of Keras.",
        hint=f"Give it: `custom_objects = list({name} = <function>)`, or say `compile = FALSE`.",
    )


def _metric_object(item: dict, ctx: Context) -> Any:
    name, config = item["class_name"], dict(item["config"] or {})
    custom = ctx.custom(item.get("registered_name"), name)
    if isinstance(custom, type):
        return custom.from_config(config)
    bare = name.rpartition(">")[2]
    if bare in ("MeanMetricWrapper", "SumOverBatchSizeMetricWrapper"):
        function = config.get("fn", config.get("name"))
        if isinstance(function, dict):
            function = function.get("config")
        return _metric_name(function, config.get("name"), ctx)
    cls = getattr(keras.metrics, _METRIC_NAMES.get(bare, bare), None)
    if not isinstance(cls, type):
        from kerasbridge import layers as own

        cls = getattr(own, bare) if bare in own.__all__ else None
    if cls is None:
        raise ctx.refusal(f"the metric '{name}' is not part of Keras.")
    if "thresholds" in config and config.get("num_thresholds"):
        config.pop("thresholds" if bare == "AUC" else "num_thresholds")  # AUC: worked out again
    kept = _kept(cls, config)
    kept.pop("dtype", None) if not isinstance(kept.get("dtype"), str) else None
    return cls(**kept)


# ---- optimizers --------------------------------------------------------------------------------------
_OPTIMIZER_NAMES = {"rmsprop": "RMSprop", "sgd": "SGD", "adamw": "AdamW"}
_OPTIMIZER_DROPPED = {"is_legacy_optimizer", "jit_compile", "schedule_decay", "name", "momentums"}


def optimizer(value: Any, ctx: Context) -> Any:
    """An optimizer with today's names: `lr` is `learning_rate`, `decay` a schedule.

    Keras 2 divided the rate by `1 + decay * step`: that is `InverseTimeDecay`.
    """
    if isinstance(value, str):
        value = {"class_name": value, "config": {}}
    if not values.is_object(value):
        raise ctx.refusal(f"the optimizer is not described: {value!r:.80}.")
    name, config = value["class_name"], dict(value["config"] or {})
    custom = ctx.custom(value.get("registered_name"), name)
    if isinstance(custom, type):
        return custom.from_config(config)
    bare = name.rpartition(">")[2]
    if bare in ("LossScaleOptimizer", "LossScaleOptimizerV3", "LossScaleOptimizerV1"):
        inner = optimizer(config.get("inner_optimizer", config.get("optimizer")), ctx)
        if (major(ctx.version) or 0) < 3:
            # the scale comes back by itself: compile() sets it for models in half precision
            return inner
        return keras.optimizers.LossScaleOptimizer(
            inner,
            **{k: config[k] for k in ("initial_scale", "dynamic_growth_steps") if k in config},
        )
    bare = _OPTIMIZER_NAMES.get(bare.lower(), bare[:1].upper() + bare[1:])
    cls = getattr(keras.optimizers, bare, None)
    if not (isinstance(cls, type) and issubclass(cls, keras.optimizers.Optimizer)):
        raise ctx.refusal(f"the optimizer '{name}' is not part of Keras.")
    if "lr" in config:
        config.setdefault("learning_rate", config.pop("lr"))
    decay = config.pop("decay", None) or 0.0
    if bare == "Nadam":  # there the word meant how its momentum grows, which Keras 3 has fixed
        decay = 0.0
    rate = config.get("learning_rate")
    if values.is_object(rate):
        config["learning_rate"] = _schedule(rate, ctx)
    elif decay:
        config["learning_rate"] = keras.optimizers.schedules.InverseTimeDecay(
            initial_learning_rate=rate, decay_steps=1, decay_rate=decay
        )
    if config.get("epsilon", 0) is None:
        config["epsilon"] = 1e-7
    takes = set(inspect.signature(cls.__init__).parameters)
    lost = [
        key
        for key in config
        if key not in takes and key not in _OPTIMIZER_DROPPED and config[key] not in (None, False)
    ]
    if lost:
        raise ctx.refusal(
            f"the optimizer's option `{lost[0]} = {config[lost[0]]!r}` has no counterpart today.",
            hint="Say `compile = FALSE` and compile the model anew.",
        )
    return cls(**{key: config[key] for key in config if key in takes and key != "name"})


def _schedule(value: dict, ctx: Context) -> Any:
    name, config = value["class_name"], dict(value["config"] or {})
    custom = ctx.custom(value.get("registered_name"), name)
    if isinstance(custom, type):
        return custom.from_config(config)
    cls = getattr(keras.optimizers.schedules, name.rpartition(">")[2], None)
    if not isinstance(cls, type):
        raise ctx.refusal(f"the schedule '{name}' of the learning rate is not part of Keras.")
    takes = set(inspect.signature(cls.__init__).parameters)
    return cls(
        **{k: v for k, v in config.items() if k in takes and not (k == "name" and v is None)}
    )


def compile_model(model: Any, training: dict, ctx: Context) -> None:
    """Compiles a model as the file says.

    Args:
        training: the attribute `training_config` of an `.h5` file, or `compile_config` of a
            `.keras` file.

    Raises:
        UnsupportedError: a loss, a metric or the optimizer is not known.
    """
    described = training.get("optimizer_config", training.get("optimizer"))
    model.compile(
        optimizer=optimizer(described, ctx) if described else None,
        loss=loss(training.get("loss"), ctx),
        metrics=metrics(training.get("metrics"), ctx),
        loss_weights=training.get("loss_weights"),
        weighted_metrics=metrics(training.get("weighted_metrics"), ctx),
    )
