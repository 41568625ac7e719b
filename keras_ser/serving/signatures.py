"""The signatures of an export: audio in, named predictions out, in bounded memory.

A batch is scored in chunks of clips of similar length, longest first, so that one long clip does not pad many short ones to its
length. An error in a clip names that clip; the server continues.
"""

from collections.abc import Sequence

import tensorflow as tf

from keras_ser.serving.resampling import resample
from keras_ser.serving.wav import UNSOUND, check, decode_wav, joined, sound
from keras_ser.tasks import Task

CHUNK_SECONDS = 320  # padded audio that is scored at once; a longer clip is a chunk of its own


def from_bytes(score, sample_rate: int, max_seconds: float):
    """Make the signature for WAV files of at most `max_seconds`: a tf.function, audio (batch,) string -> {name: (batch, ..)}.

    `score` maps {"waveform": (batch, samples), "length": (batch,)} at `sample_rate` Hz to {name: (batch, ..)}.
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
    """Make the signature for decoded audio: waveform (batch, samples), lengths (batch,) int32 -> {name: (batch, ..)}."""
    signature = [tf.TensorSpec((None, None), tf.float32, "waveform"), tf.TensorSpec((None,), tf.int32, "lengths")]

    @tf.function(input_signature=signature, autograph=False)
    def predict(waveform, lengths):
        batch, samples = tf.shape(waveform)[0], tf.shape(waveform)[1]
        message = joined("expected one length for each of {} clips, received {}.", batch, tf.size(lengths))
        agree = tf.debugging.Assert(tf.size(lengths) == batch, [message])
        with tf.control_dependencies([_check_batch(waveform), agree]):
            lengths = tf.identity(lengths)
        inside = (lengths > 0) & (lengths <= samples)
        short = lengths <= round(max_seconds * sample_rate)
        padding = tf.range(samples)[None, :] >= lengths[:, None]
        valid = tf.reduce_all(sound(waveform) | padding, axis=1)
        too_long = f"expected at most {max_seconds:g} s at {sample_rate} Hz, received a length of {{}}."
        checks = [
            _check_rows(inside, "expected a length of 1 to {} samples, received {}.", samples, lengths),
            _check_rows(short, too_long, lengths),
            _check_rows(valid, UNSOUND),
        ]
        with tf.control_dependencies(checks):
            lengths = tf.identity(lengths)
        return _in_chunks(score, lambda rows, longest: tf.gather(waveform[:, :longest], rows), lengths, sample_rate)

    return predict


def answers(tasks: Sequence[Task], extra: Sequence[str] = ()):
    """Make a function that names a model's outputs; those in `extra` keep their names.

    It maps {task: (batch, classes) or (batch, 1)} to {"<task>/probabilities": (batch, classes), "<task>/label": (batch,) string,
    "<task>/score": (batch,)}, or {"<task>/value": (batch,)} for a continuous task.
    """

    def named(outputs):
        found = {}
        for task in tasks:
            values = tf.cast(outputs[task.name], tf.float32)
            if task.continuous:
                found[f"{task.name}/value"] = values[:, 0]
                continue
            found[f"{task.name}/probabilities"] = values
            found[f"{task.name}/label"] = tf.gather(tf.constant(task.labels), tf.argmax(values, -1))
            found[f"{task.name}/score"] = tf.reduce_max(values, -1)
        return found | {name: outputs[name] for name in extra}

    return named


def _in_chunks(score, rows, lengths, sample_rate: int):
    """Score clips sorted by length, `CHUNK_SECONDS` at a time, and return the predictions in the original order.

    `rows` maps (indices of clips, their longest length) to padded waveforms (clips, longest); `lengths` are (batch,) samples.
    """
    order = tf.argsort(lengths, direction="DESCENDING", stable=True)
    batch = tf.size(lengths)
    spec = tf.function(score, autograph=False).get_concrete_function(
        {"waveform": tf.TensorSpec((None, None), tf.float32), "length": tf.TensorSpec((None,), tf.int32)}
    )
    outputs = spec.structured_outputs
    empty = {
        name: tf.TensorArray(x.dtype, 0, dynamic_size=True, infer_shape=False, element_shape=(None, *x.shape[1:]))
        for name, x in outputs.items()
    }

    def step(done, number, arrays):
        longest = lengths[order[done]]
        many = tf.clip_by_value(CHUNK_SECONDS * sample_rate // longest, 1, batch - done)
        chunk = order[done : done + many]
        found = spec({"waveform": rows(chunk, longest), "length": tf.gather(lengths, chunk)})
        return done + many, number + 1, {name: array.write(number, found[name]) for name, array in arrays.items()}

    start = tf.constant(0), tf.constant(0), empty
    _, _, arrays = tf.while_loop(lambda done, *_: done < batch, step, start, parallel_iterations=1)
    back = tf.math.invert_permutation(order)
    return {
        name: tf.ensure_shape(tf.gather(array.concat(), back), (None, *outputs[name].shape[1:]))
        for name, array in arrays.items()
    }


def _check_batch(clips) -> tf.Operation:
    return tf.debugging.Assert(tf.shape(clips)[0] > 0, ["expected at least one clip, received none."])


def _check_rows(ok, message: str, *values) -> tf.Operation:
    """Name the first clip that is not ok; a value of shape (batch,) stands for that clip's element."""
    first = tf.argmin(tf.cast(ok, tf.int32))
    return check(tf.reduce_all(ok), first, message, *(value[first] if value.shape.rank else value for value in values))
