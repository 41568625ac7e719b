"""What stands around a whole model in an export: audio in, named answers out, in bounded memory.

A batch is scored in chunks of clips of like length, longest first, so that one long clip among many short ones does not make
all of them long. What is wrong with a clip is an error that names it; the server goes on.
"""

from collections.abc import Mapping, Sequence

import tensorflow as tf

from keras_ser.serving.resample import resample
from keras_ser.serving.wav import UNSOUND, check, decode_wav, sound
from keras_ser.tasks import Task

CHUNK_SECONDS = 320  # of padded audio that are scored at once; a longer clip is a chunk of its own


def from_bytes(score, sample_rate: int, max_seconds: float):
    """The endpoint for WAV files.

    Args:
        score: {"waveform": (batch, samples), "length": (batch,)} -> {name: (batch, ..)}.
        sample_rate: Hz of the model.
        max_seconds: of a clip.

    Returns:
        tf.function: audio (batch,) string -> {name: (batch, ..)}.
    """

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="audio")], autograph=False)
    def predict_bytes(audio):
        def decode(given):
            clip, contents = given
            waveform, rate = decode_wav(contents, clip, max_seconds)
            return resample(waveform, rate, sample_rate)

        with tf.control_dependencies([_check_batch(audio)]):
            numbered = tf.range(tf.size(audio)), tf.identity(audio)
        waveforms = tf.map_fn(decode, numbered, fn_output_signature=tf.RaggedTensorSpec((None,), tf.float32))
        lengths = tf.cast(waveforms.row_lengths(), tf.int32)
        return _in_chunks(score, lambda rows, longest: tf.gather(waveforms, rows).to_tensor(), lengths, sample_rate)

    return predict_bytes


def from_waveforms(score, sample_rate: int, max_seconds: float):
    """The endpoint for decoded audio at the model's rate: waveform (batch, samples), lengths (batch,) -> {name: (batch, ..)}."""

    signature = [tf.TensorSpec((None, None), tf.float32, "waveform"), tf.TensorSpec((None,), tf.int32, "lengths")]

    @tf.function(input_signature=signature, autograph=False)
    def predict(waveform, lengths):
        batch, samples = tf.shape(waveform)[0], tf.shape(waveform)[1]
        agree = tf.debugging.Assert(
            tf.size(lengths) == batch,
            [tf.strings.format("expected one length for each of {} clips, received {}.", (batch, tf.size(lengths)))],
        )
        with tf.control_dependencies([_check_batch(waveform), agree]):
            lengths = tf.identity(lengths)
        inside = (lengths > 0) & (lengths <= samples)
        short = lengths <= int(max_seconds * sample_rate)
        padding = tf.range(samples)[None, :] >= lengths[:, None]
        heard = tf.reduce_all(sound(waveform) | padding, axis=1)
        checks = [
            _check_rows(inside, "expected a length of 1 to ", samples, " samples, received ", lengths),
            _check_rows(
                short, f"expected at most {max_seconds:g} s at {sample_rate} Hz, received a length of ", lengths
            ),
            _check_rows(heard, UNSOUND),
        ]
        with tf.control_dependencies(checks):
            lengths = tf.identity(lengths)
        return _in_chunks(score, lambda rows, longest: tf.gather(waveform[:, :longest], rows), lengths, sample_rate)

    return predict


def answers(tasks: Sequence[Task], temperature: Mapping[str, float], extra: Sequence[str] = ()):
    """A model's outputs -> named answers.

    Args:
        tasks: whose outputs are answered.
        temperature: task -> T; probabilities are softmax(log p / T). 1 leaves them as they are.
        extra: further outputs to hand on.

    Returns:
        {task: (batch, classes) or (batch, 1)} -> {"<task>/probabilities": (batch, classes), "<task>/label": (batch,) string,
        "<task>/score": (batch,)}, or {"<task>/value": (batch,)} of a continuous task.
    """

    def named(outputs):
        found = {}
        for task in tasks:
            values = tf.cast(outputs[task.name], tf.float32)
            if task.continuous:
                found[f"{task.name}/value"] = values[:, 0]
                continue
            if temperature.get(task.name, 1.0) != 1.0:
                values = tf.nn.softmax(tf.math.log(tf.maximum(values, 1e-37)) / temperature[task.name])
            found[f"{task.name}/probabilities"] = values
            found[f"{task.name}/label"] = tf.gather(tf.constant(task.labels), tf.argmax(values, -1))
            found[f"{task.name}/score"] = tf.reduce_max(values, -1)
        return found | {name: outputs[name] for name in extra}

    return named


def _in_chunks(score, rows, lengths, sample_rate: int):
    """`score` over clips sorted by length, `CHUNK_SECONDS` at a time, back in the order in which they came.

    Args:
        score: see `from_bytes`.
        rows: (numbers of clips, their longest length) -> (clips, longest) padded waveforms.
        lengths: (batch,) int32 samples.
        sample_rate: Hz.
    """
    order = tf.argsort(lengths, direction="DESCENDING", stable=True)
    batch = tf.size(lengths)
    spec = tf.function(score, autograph=False).get_concrete_function(
        {"waveform": tf.TensorSpec((None, None), tf.float32), "length": tf.TensorSpec((None,), tf.int32)}
    )
    names = list(spec.structured_outputs)
    empty = [
        tf.TensorArray(x.dtype, 0, dynamic_size=True, infer_shape=False, element_shape=(None, *x.shape[1:]))
        for x in spec.structured_outputs.values()
    ]

    def more(done, number, arrays):
        return done < batch

    def step(done, number, arrays):
        longest = lengths[order[done]]
        many = tf.clip_by_value(CHUNK_SECONDS * sample_rate // longest, 1, batch - done)
        chunk = order[done : done + many]
        found = spec({"waveform": rows(chunk, longest), "length": tf.gather(lengths, chunk)})
        return done + many, number + 1, [a.write(number, found[n]) for a, n in zip(arrays, names, strict=True)]

    _, _, arrays = tf.while_loop(more, step, (tf.constant(0), tf.constant(0), empty), parallel_iterations=1)
    back = tf.math.invert_permutation(order)
    found = {name: tf.gather(array.concat(), back) for name, array in zip(names, arrays, strict=True)}
    return {name: tf.ensure_shape(found[name], (None, *spec.structured_outputs[name].shape[1:])) for name in names}


def _check_batch(clips) -> tf.Operation:
    return tf.debugging.Assert(tf.shape(clips)[0] > 0, ["expected at least one clip, received none."])


def _check_rows(ok, *message) -> tf.Operation:
    """Names the first clip that is not ok; tensors of shape (batch,) in the message stand for that clip's element."""
    first = tf.argmin(tf.cast(ok, tf.int32))
    parts = [part[first] if not isinstance(part, str) and part.shape.rank else part for part in message]
    return check(tf.reduce_all(ok), first, *parts, ".")
