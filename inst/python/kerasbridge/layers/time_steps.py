"""Run a function over the time axis of a tensor, carrying states along."""

from __future__ import annotations

from typing import Any, Callable, Optional, Sequence

import keras
from keras import ops

from kerasbridge.errors import ArgumentError, UnsupportedError


def _parts(result: Any) -> tuple:
    """Output and list of states that the step function gave back."""
    if not isinstance(result, (list, tuple)) or len(result) != 2:
        raise ArgumentError(
            "The step function must give back two things: its output and the new states.",
            hint="For example list(output, list(state)).",
            argument="step_function",
        )
    output, states = result
    states = list(states) if isinstance(states, (list, tuple)) else [states]
    return ops.convert_to_tensor(output), [ops.convert_to_tensor(s) for s in states]


def _choose(mask: Any, new: Any, old: Any) -> Any:
    """`new` where the sample's mask is true, `old` elsewhere."""
    return ops.where(ops.reshape(mask, (-1, *([1] * (len(new.shape) - 1)))), new, old)


def rnn(
    step_function: Callable,
    inputs: Any,
    initial_states: Sequence,
    go_backwards: bool = False,
    mask: Optional[Any] = None,
    constants: Optional[Sequence] = None,
    unroll: bool = False,
) -> tuple:
    """Call `step_function(input, states)` at each time step.

    Args:
        step_function: takes the input of one step, (samples, ...), and a list of states followed
            by `constants`; gives back its output and the list of new states.
        inputs: (samples, time, ...).
        initial_states: states before the first step, each (samples, ...).
        go_backwards: start at the last step; outputs come in the order they were made.
        mask: (samples, time) or (samples, time, 1); at a false place the output and the states
            of the step before are kept (zeros as output of a first step).
        constants: tensors handed to every step behind the states.
        unroll: write the steps out one by one instead of looping over them.

    Returns:
        The last output, (samples, ...); all outputs, (samples, time, ...); the list of last states.

    Raises:
        ArgumentError: the number of steps is not known, or the step function gives back
            something else.
    """
    steps = inputs.shape[1]
    if steps is None or steps < 1:
        raise ArgumentError(
            f"`inputs` has shape {tuple(inputs.shape)}: the number of time steps must be known.",
            hint="Give the time axis a fixed length, or use a recurrent layer.",
            argument="inputs",
        )
    constants = list(constants or [])
    sequence = ops.moveaxis(inputs, 1, 0)
    masks = None
    if mask is not None:
        masks = ops.cast(ops.convert_to_tensor(mask), "bool")
        if len(masks.shape) == 3:
            masks = ops.squeeze(masks, axis=2)
        masks = ops.transpose(masks)
    if go_backwards:
        sequence = ops.flip(sequence, axis=0)
        masks = None if masks is None else ops.flip(masks, axis=0)

    def one(x, keep, states, previous):
        output, new = _parts(step_function(x, [*states, *constants]))
        if len(new) != len(states):
            raise ArgumentError(
                f"The step function gave back {len(new)} states, {len(states)} go in.",
                hint="Give back a list of as many states as `initial_states` has.",
                argument="step_function",
            )
        if keep is not None:
            previous = ops.zeros_like(output) if previous is None else previous
            output = _choose(keep, output, previous)
            new = [_choose(keep, n, s) for n, s in zip(new, states)]
        return output, new

    states = [ops.convert_to_tensor(s) for s in initial_states]
    output, states = one(sequence[0], None if masks is None else masks[0], states, None)
    if unroll or steps == 1:
        outputs = [output]
        for t in range(1, steps):
            keep = None if masks is None else masks[t]
            output, states = one(sequence[t], keep, states, output)
            outputs.append(output)
        return output, ops.stack(outputs, axis=1), states

    def body(carry, at):
        keep = at[1] if masks is not None else None
        new_output, new_states = one(at[0], keep, list(carry[1:]), carry[0])
        carry = (new_output, *new_states)
        return carry, carry  # TensorFlow's scan wants results of the structure of the carry

    rest = (sequence[1:],) if masks is None else (sequence[1:], masks[1:])
    if not hasattr(ops, "scan"):
        raise UnsupportedError(
            f"Keras {keras.__version__}, which is installed, has no `keras.ops.scan`.",
            hint="It came with Keras 3.4; a recurrent layer such as keras.layers.RNN does without.",
        )
    last, later = ops.scan(body, (output, *states), rest)
    outputs = ops.concatenate([ops.expand_dims(output, 0), later[0]], axis=0)
    return last[0], ops.moveaxis(outputs, 0, 1), list(last[1:])
