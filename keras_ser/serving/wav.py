"""Decode WAV files inside the graph, with ops that every TensorFlow server has.

TensorFlow's own decoder supports 16-bit samples only. This one reads 8, 16, 24 and 32-bit integers and 32 and 64-bit floats,
plain or extensible headers, and other chunks before and after the samples. A damaged file is an error that names the clip.
"""

from typing import NamedTuple

import tensorflow as tf

from keras_ser.audio.channels import CANCELLED_DB, FEWEST, FRAME_SECONDS, OFFSET, SILENT_DB, STEADY
from keras_ser.audio.chunks import RIFF_NAMES
from keras_ser.audio.io import LOUDEST

RATES = (8000, 48000)  # Hz
CHUNKS = 64  # searched for the samples; a file of nothing but tiny chunks would stall the server
# A writer to a pipe cannot go back to fill in the size: it stays 0, (nearly) all ones, or half of that.
PIPED = 0x7FFFF000
UNSOUND = f"it holds samples that are NaN, infinite or beyond {LOUDEST:.0e} of full scale."
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


def joined(message: str, *values) -> tf.Tensor:
    """A string tensor: the message with scalar tensors in place of each {}."""
    first, *rest = message.split("{}")
    shown = [x if x.dtype == tf.string else tf.strings.as_string(x) for x in map(tf.convert_to_tensor, values)]
    return tf.strings.join([first, *(part for pair in zip(shown, rest, strict=True) for part in pair)])


def check(ok, clip, message: str, *values) -> tf.Operation:
    """An op that fails with "clip <number>: <message>" unless `ok`; see `joined`."""
    return tf.debugging.Assert(ok, [joined("clip {}: " + message, clip, *values)])


def sound(waveform):
    """True for usable samples: neither NaN nor infinite nor beyond `LOUDEST`."""
    return tf.abs(waveform) <= LOUDEST


def decode_wav(contents, clip, max_seconds: float):
    """Decode one WAV file, a () string: live channels averaged, without a constant offset (`downmix`).

    Returns:
        float32 (samples,), at least one sample, all `sound`; and the sample rate, int64 () in Hz.

    Raises:
        tf.errors.InvalidArgumentError: At run time, naming `clip`: not a WAV file, an unsupported encoding or rate, a size
            beyond the end of the file, no samples, more than `max_seconds`, samples that are not `sound`.
    """
    header = read_header(contents, clip)
    with tf.control_dependencies([_check_duration(header, clip, max_seconds)]):
        contents = tf.identity(contents)
    bits = tf.gather([bits for _, bits in KINDS], header.kind)
    size = header.frames * header.channels * tf.cast(bits // 8, tf.int64)
    raw = _cut(contents, header.start, size)
    samples = tf.switch_case(tf.cast(header.kind, tf.int32), [lambda k=k: _samples(raw, *k) for k in KINDS])
    samples = tf.reshape(samples, tf.stack([header.frames, header.channels]))
    with tf.control_dependencies([check(tf.reduce_all(sound(samples)), clip, UNSOUND)]):
        waveform = downmix(samples, header.rate)
        return tf.ensure_shape(tf.identity(waveform), (None,)), header.rate


def read_header(contents, clip) -> Header:
    """Read a WAV file's header without decoding samples; see `decode_wav`."""
    size = tf.cast(tf.strings.length(contents), tf.int64)
    # substr fails where it begins beyond the end, not where it ends there
    head = tf.strings.join([_cut(contents, 0, 12), b"\0" * 12])
    riff = (_cut(head, 0, 4) == b"RIFF") & (_cut(head, 8, 4) == b"WAVE")
    expected = "expected a WAV file (RIFF .. WAVE), received {} bytes of something else."
    with tf.control_dependencies([check(riff, clip, expected, size)]):
        contents = tf.identity(contents)
    form, form_size, start, promised = _chunks(contents, size)
    whole = (form > 0) & (form_size >= 16) & (form + 16 <= size)
    checks = [
        check(whole, clip, "its header is cut short or damaged."),
        check(start > 0, clip, f"it holds no chunk of samples (data) among its first {CHUNKS}."),
    ]
    with tf.control_dependencies(checks):
        contents = tf.identity(contents)
    tag, channels, rate, align, bits = (
        _number(contents, form + at, size) for at, size in ((0, 2), (2, 2), (4, 4), (12, 2), (14, 2))
    )
    extended = (tag == EXTENSIBLE) & (form_size >= 26) & (form + 26 <= size)
    tag = tf.where(extended, _number(contents, tf.where(extended, form + 24, form), 2), tag)
    matches = tf.stack([(tag == t) & (bits == b) for t, b in KINDS])
    available = size - start
    written = _number(contents, 4, 4)
    # no samples at all only if the file's own size was filled in and reaches beyond them: other chunks follow
    unfinished = (written + 8 <= start) | (written >= PIPED)
    endless = ((promised == 0) & unfinished) | (promised >= PIPED)
    promised = tf.where(endless, available, promised)
    frames = promised // tf.maximum(align, 1)
    agree = (channels > 0) & (align == channels * bits // 8)
    encodings = "expected PCM of 8, 16, 24 or 32 bits or floats of 32 or 64, received format {} of {} bits."
    rates = f"expected a sample rate of {RATES[0]} to {RATES[1]} Hz, received {{}}."
    cut_short = "cut short: its header promises {} bytes of samples, and {} are there."
    checks = [
        check(tf.reduce_any(matches), clip, encodings, tag, bits),
        check(agree, clip, "its header contradicts itself: {} channels of {} bits in {} bytes.", channels, bits, align),
        check((rate >= RATES[0]) & (rate <= RATES[1]), clip, rates, rate),
        check(promised <= available, clip, cut_short, promised, available),
        check(frames > 0, clip, "it holds no samples."),
    ]
    with tf.control_dependencies(checks):
        kind = tf.argmax(tf.cast(matches, tf.int32))
        return Header(*(tf.identity(x) for x in (kind, channels, rate, start, frames)))


def _check_duration(header: Header, clip, max_seconds: float) -> tf.Operation:
    seconds = tf.cast(header.frames, tf.float64) / tf.cast(header.rate, tf.float64)
    message = f"expected at most {max_seconds:g} s, received {{}} s; cut it."
    # near the limit, enough digits to exceed it
    exact = tf.strings.regex_replace(tf.strings.as_string(seconds, precision=6), "0+$", "")
    shown = tf.where(seconds > max_seconds + 0.1, tf.strings.as_string(seconds, precision=1), exact)
    return check(seconds <= max_seconds, clip, message, shown)


def _chunks(contents, size):
    """(start and size of the "fmt " chunk, start and size of the "data" chunk); a start of 0 means not found."""

    def more(position, form, form_size, start, promised, count):
        return (start == 0) & (position + 8 <= size) & (count < CHUNKS)

    def step(position, form, form_size, start, promised, count):
        name = _cut(contents, position, 4)
        length = _number(contents, position + 4, 4)
        is_form, is_data = name == b"fmt ", name == b"data"
        inside = position + 8
        end = inside + length
        # some writers omit the byte after a chunk of odd size
        unpadded = _is_chunk(contents, end, size) & ~_is_chunk(contents, end + 1, size)
        return (
            end + tf.where(unpadded, tf.constant(0, tf.int64), length % 2),
            tf.where(is_form, inside, form),
            tf.where(is_form, length, form_size),
            tf.where(is_data, inside, start),
            tf.where(is_data, length, promised),
            count + 1,
        )

    state = [tf.constant(x, tf.int64) for x in (12, 0, 0, 0, 0, 0)]
    return tf.while_loop(more, step, state)[1:5]


def _is_chunk(contents, position, size):
    """True if a chunk with a known name, or with a printable name and a size within the file, begins here."""
    head = tf.strings.join([_cut(contents, tf.minimum(position, size), 8), b"\0" * 8])
    name = _cut(head, 0, 4)
    known = tf.reduce_any(name == tf.constant(sorted(RIFF_NAMES)))
    printable = tf.strings.regex_full_match(name, "[ -~]{4}")
    within = position + 8 + _number(head, 4, 4) <= size
    return (position + 8 <= size) & (known | (printable & within))


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


def downmix(samples, rate):
    """Average the live channels of (samples, channels) at `rate` Hz and subtract a constant offset: (samples,).

    See `keras_ser.audio.channels.survey`.
    """
    exact = tf.cast(samples, tf.float64)
    peaks = tf.reduce_max(exact, axis=0) - tf.reduce_min(exact, axis=0)  # (channels,)
    loudest = tf.reduce_max(peaks)
    live = peaks > loudest * 10 ** (SILENT_DB / 20)
    live = tf.cast(live | ~tf.reduce_any(live), tf.float64)
    # the energy of the mix is the mean over all pairs of live channels
    energy = tf.math.reduce_variance(_mean(exact, live))
    energies = tf.reduce_sum(tf.math.reduce_variance(exact, axis=0) * live) / tf.reduce_sum(live)
    cancelled = (tf.reduce_sum(live) > 1) & (energy < energies * 10 ** (CANCELLED_DB / 10))
    first = tf.one_hot(tf.argmax(live), tf.size(live), dtype=tf.float64)
    mix = tf.cast(_mean(exact, tf.where(cancelled, first, live)), tf.float32)
    offset = tf.where(loudest > 0, _offset(tf.cast(mix, tf.float64), rate), 0.0)
    return tf.cast(tf.cast(mix, tf.float64) - offset, tf.float32)


def _mean(samples, weights):
    """(samples, channels) -> (samples,)."""
    return tf.linalg.matvec(samples, weights) / tf.reduce_sum(weights)


def _offset(mix, rate):
    """The constant offset of (samples,); 0 where its mean is small or varies over time."""
    size = tf.maximum(1, tf.cast(tf.round(FRAME_SECONDS * tf.cast(rate, tf.float64)), tf.int32))
    count = tf.size(mix) // size
    frames = tf.reshape(mix[: count * size], [count, size])
    mean, spread = tf.reduce_mean(mix), tf.math.reduce_std(tf.reduce_mean(frames, axis=1))
    steady = (count >= FEWEST) & (tf.abs(mean) > OFFSET) & (tf.abs(mean) > STEADY * spread)
    return tf.where(steady, mean, 0.0)
