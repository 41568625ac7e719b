"""WAV files decoded inside the graph, by ops that every TensorFlow server has.

TensorFlow's own decoder takes 16-bit samples only; here RIFF is read by hand: 8, 16, 24 and 32-bit integers, 32 and 64-bit
floats, plain or extensible headers, other chunks before and after the samples. What a file promises and does not hold is
an error that names the clip.
"""

from typing import NamedTuple

import tensorflow as tf

from keras_ser.audio.io import LOUDEST
from keras_ser.serving.mixing import mixed

RATES = (8000, 48000)  # Hz
CHUNKS = 64  # to look through for the samples; a file of nothing but tiny chunks would hold the server up
# Writers to a pipe can't go back to fill the size in: it stays 0, (nearly) all ones, or half of that.
PIPED = 0x7FFFF000
UNSOUND = f"it holds samples that are NaN, infinite or beyond {LOUDEST:.0e} of full scale"
# (format tag, bits): PCM, then IEEE floats
KINDS = ((1, 8), (1, 16), (1, 24), (1, 32), (3, 32), (3, 64))
EXTENSIBLE = 0xFFFE


class Header(NamedTuple):
    """Where a WAV keeps its samples; int64 tensors of shape ()."""

    kind: tf.Tensor  # index into KINDS
    channels: tf.Tensor
    rate: tf.Tensor  # Hz
    start: tf.Tensor  # byte of the first sample
    frames: tf.Tensor  # samples a channel


def check(ok, clip, *message) -> tf.Operation:
    """An op that fails with "clip <number>: <message>" unless `ok`; message: strings and scalar tensors."""
    words = [part if isinstance(part, str) else tf.strings.as_string(part) for part in message]
    return tf.debugging.Assert(ok, [tf.strings.join(["clip ", tf.strings.as_string(clip), ": ", *words])])


def sound(waveform):
    """Which samples are numbers that can be reckoned with: neither NaN nor infinite nor absurdly large."""
    return tf.abs(waveform) <= LOUDEST


def decode_wav(contents, clip, max_seconds: float):
    """The bytes of one WAV file -> its samples, live channels averaged, without a constant offset (`serving.mixing`).

    Args:
        contents: () string.
        clip: () int, the number that errors name.
        max_seconds: longer clips are refused, before they are decoded.

    Returns:
        float32 (samples,), at least one sample, all `sound`; and the sample rate, int64 () Hz.

    Raises:
        tf.errors.InvalidArgumentError: when it runs: no WAV, an encoding or a rate that is not read, a size beyond the
            end of the file, no samples, more than `max_seconds`, samples that are not `sound`.
    """
    header = read_header(contents, clip)
    with tf.control_dependencies([_check_duration(header, clip, max_seconds)]):
        contents = tf.identity(contents)
    bits = tf.gather([bits for _, bits in KINDS], header.kind)
    size = header.frames * header.channels * tf.cast(bits // 8, tf.int64)
    raw = _cut(contents, header.start, size)
    samples = tf.switch_case(tf.cast(header.kind, tf.int32), [lambda k=k: _samples(raw, *k) for k in KINDS])
    samples = tf.reshape(samples, tf.stack([header.frames, header.channels]))
    with tf.control_dependencies([check(tf.reduce_all(sound(samples)), clip, UNSOUND, ".")]):
        waveform = mixed(samples, header.rate)
        return tf.ensure_shape(tf.identity(waveform), (None,)), header.rate


def read_header(contents, clip) -> Header:
    """See `decode_wav`; nothing is decoded."""
    size = tf.cast(tf.strings.length(contents), tf.int64)
    # a cut that begins beyond the end is an error, one that ends there is not
    head = tf.strings.join([_cut(contents, 0, 12), b"\0" * 12])
    riff = (_cut(head, 0, 4) == b"RIFF") & (_cut(head, 8, 4) == b"WAVE")
    with tf.control_dependencies(
        [check(riff, clip, "expected a WAV file (RIFF .. WAVE), received ", size, " bytes of something else.")]
    ):
        contents = tf.identity(contents)
    form, form_size, start, promised = _chunks(contents, size)
    with tf.control_dependencies(
        [
            check((form > 0) & (form_size >= 16) & (form + 16 <= size), clip, "its header is cut short or damaged."),
            check(start > 0, clip, f"it holds no chunk of samples (data) among its first {CHUNKS}."),
        ]
    ):
        contents = tf.identity(contents)
    tag, channels = _number(contents, form, 2), _number(contents, form + 2, 2)
    rate, align, bits = _number(contents, form + 4, 4), _number(contents, form + 12, 2), _number(contents, form + 14, 2)
    extended = (tag == EXTENSIBLE) & (form_size >= 26) & (form + 26 <= size)
    tag = tf.where(extended, _number(contents, tf.where(extended, form + 24, form), 2), tag)
    matches = tf.stack([(tag == t) & (bits == b) for t, b in KINDS])
    kind = tf.argmax(tf.cast(matches, tf.int32))
    there = size - start
    written = _number(contents, 4, 4)
    # no samples at all, where the file's own size was filled in and reaches beyond them: other chunks follow
    unfinished = (written + 8 <= start) | (written >= PIPED)
    endless = ((promised == 0) & unfinished) | (promised >= PIPED)
    promised = tf.where(endless, there, promised)
    frames = promised // tf.maximum(align, 1)
    known = tf.reduce_any(matches)
    with tf.control_dependencies(
        [
            check(
                known,
                clip,
                "expected PCM of 8, 16, 24 or 32 bits or floats of 32 or 64, received format ",
                tag,
                " of ",
                bits,
                " bits.",
            ),
            check(
                (channels > 0) & (align == channels * bits // 8),
                clip,
                "its header contradicts itself: ",
                channels,
                " channels of ",
                bits,
                " bits in ",
                align,
                " bytes.",
            ),
            check(
                (rate >= RATES[0]) & (rate <= RATES[1]),
                clip,
                f"expected a sample rate of {RATES[0]} to {RATES[1]} Hz, received ",
                rate,
                ".",
            ),
            check(
                promised <= there,
                clip,
                "cut short: its header promises ",
                promised,
                " bytes of samples, and ",
                there,
                " are there.",
            ),
            check(frames > 0, clip, "it holds no samples."),
        ]
    ):
        return Header(*(tf.identity(x) for x in (kind, channels, rate, start, frames)))


def _check_duration(header: Header, clip, max_seconds: float) -> tf.Operation:
    seconds = tf.cast(header.frames, tf.float64) / tf.cast(header.rate, tf.float64)
    shown = tf.strings.as_string(seconds, precision=1)
    return check(seconds <= max_seconds, clip, f"expected at most {max_seconds:g} s, received ", shown, " s; cut it.")


def _chunks(contents, size):
    """(start and size of the "fmt " chunk, start and size of the "data" chunk); a start of 0 = not found."""
    nothing = tf.constant(0, tf.int64)

    def more(position, form, form_size, start, promised, count):
        return (start == 0) & (position + 8 <= size) & (count < CHUNKS)

    def step(position, form, form_size, start, promised, count):
        name = _cut(contents, position, 4)
        length = _number(contents, position + 4, 4)
        is_form, is_data = name == b"fmt ", name == b"data"
        inside = position + 8
        return (
            inside + length + length % 2,
            tf.where(is_form, inside, form),
            tf.where(is_form, length, form_size),
            tf.where(is_data, inside, start),
            tf.where(is_data, length, promised),
            count + 1,
        )

    state = (tf.constant(12, tf.int64), nothing, nothing, nothing, nothing, tf.constant(0))
    _, form, form_size, start, promised, _ = tf.while_loop(more, step, state)
    return form, form_size, start, promised


def _cut(contents, position, size):
    return tf.strings.substr(contents, tf.cast(position, tf.int64), tf.cast(size, tf.int64))


def _number(contents, position, size: int):
    """A little-endian unsigned number of 2 or 4 bytes, int64 ()."""
    raw = _cut(contents, position, size)
    parts = tf.cast(tf.io.decode_raw(raw, tf.uint8), tf.int64)  # (size,)
    return tf.reduce_sum(parts * tf.constant([256**i for i in range(size)], tf.int64))


def _samples(raw, tag: int, bits: int):
    """The bytes of the samples -> float32 (samples,), full scale = 1."""
    if tag == 3:
        return tf.cast(tf.io.decode_raw(raw, {32: tf.float32, 64: tf.float64}[bits]), tf.float32)
    if bits == 8:
        return (tf.cast(tf.io.decode_raw(raw, tf.uint8), tf.float32) - 128.0) / 128.0
    if bits == 24:
        parts = tf.cast(tf.reshape(tf.io.decode_raw(raw, tf.uint8), (-1, 3)), tf.int32)
        # in the upper bytes of 32, so that the sign is right
        whole = tf.bitwise.left_shift(parts, tf.constant([8, 16, 24]))
        return tf.cast(tf.reduce_sum(whole, axis=1), tf.float32) / 2.0**31
    return tf.cast(tf.io.decode_raw(raw, {16: tf.int16, 32: tf.int32}[bits]), tf.float32) / 2.0 ** (bits - 1)
