"""A source-filter synthesiser of speech-like utterances: voice, emotion and words change the cues that the literature names.

Glottal pulses s (the derivative of Rosenberg's flow, with jitter and shimmer per cycle) and noise e pass through a
cascade of second-order resonators that move with the vowels (Klatt 1980), and through a channel:

    s(p) = d/dp flow(p),  flow(p) = (1 - cos(pi p / p_1)) / 2          for p < p_1 (opening)
                          flow(p) = cos(pi (p - p_1) / (2 (p_2 - p_1)))  for p_1 <= p < p_2 (closing), 0 after it
    y_n = A x_n + B y_(n-1) + C y_(n-2),  C = -exp(-2 pi b / r),  B = 2 exp(-pi b / r) cos(2 pi f / r),  A = 1 - B - C

with p the phase within a cycle, f and b a formant's frequency and bandwidth, and r the sample rate. The words are fixed
sentences of meaningless consonant-vowel syllables, spoken with pauses.

An emotion shifts pitch level, range and final contour, rate, pauses, loudness, spectral tilt, jitter and breath, in the
directions on which the reviews agree: Murray & Arnott 1993 (J. Acoust. Soc. Am. 93, table I), Banse & Scherer 1996 (J. Pers. Soc.
Psychol. 70), Juslin & Laukka 2003 (Psychol. Bull. 129, table 7), and Cahn 1990 (J. Am. Voice I/O Soc. 8) for surprise. Speakers
differ in all of these, and in the strength and manner of expression; the microphone's gain and colour change with every clip. The
average spectrum therefore does not determine the emotion; pitch movement and timing matter.

Reference:
    Rosenberg (1971), J. Acoust. Soc. Am. 49; Klatt (1980), J. Acoust. Soc. Am. 67; Peterson & Barney (1952), ibid. 24.
"""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import butter, sosfilt

SAMPLE_RATE = 16000
BLOCK = 80  # samples over which the vocal tract is constant (5 ms)
# Decibels by which 5 kHz is raised over 0 Hz in every voice: the spectrum of the cascade alone falls more steeply than speech.
RADIATION = 8.0
# F1 to F3 in Hz, men (Peterson & Barney 1952).
VOWELS = {
    "i": (270, 2290, 3010),
    "e": (530, 1840, 2480),
    "a": (730, 1090, 2440),
    "o": (570, 840, 2410),
    "u": (300, 870, 2240),
    "@": (490, 1350, 1690),
}
BANDWIDTHS = np.array([70.0, 90.0, 140.0, 220.0, 300.0])
NASAL = (270, 1150, 2300)
LIQUID = (360, 1250, 2500)
# Kind, and for noises the band in Hz.
CONSONANTS = {
    "s": ("fricative", 4300, 7400),
    "S": ("fricative", 2000, 5200),
    "f": ("fricative", 1200, 7400),
    "t": ("stop", 2800, 6500),
    "k": ("stop", 1300, 3200),
    "p": ("stop", 300, 1500),
    "m": ("voiced", *NASAL[:2]),
    "l": ("voiced", *LIQUID[:2]),
}

# Part of a manner -> (whether deviations are added or multiplied, their spread over speakers, over clips).
PARTS = {
    "pitch": ("sum", 0.5, 0.8),
    "span": ("factor", 0.06, 0.12),
    "final": ("sum", 0.4, 0.8),
    "accent": ("sum", 0.25, 0.4),
    "rate": ("factor", 0.025, 0.05),
    "pauses": ("factor", 0.1, 0.3),
    "loudness": ("sum", 0.75, 1.2),
    "tilt": ("sum", 0.75, 1.2),
    "jitter": ("factor", 0.1, 0.2),
    "breath": ("factor", 0.1, 0.3),
    "tremor": ("factor", 0.1, 0.3),
}
# Emotion -> the values of `PARTS`. pitch in semitones; span as a factor on pitch movements; final = semitones that the last
# syllable moves by; accent = semitones of the stressed syllables; rate and pauses as factors; loudness in dB; tilt in dB from 0 to
# 5 kHz; jitter in percent; breath = share of aspiration noise; tremor in semitones.
MANNERS = {
    "anger": (3.5, 1.5, -6.0, 4.0, 1.18, 0.4, 7.0, 6.0, 1.6, 0.02, 0.1),
    "disgust": (-2.0, 1.1, -6.0, 2.0, 0.72, 1.3, -1.0, 1.0, 2.0, 0.03, 0.1),
    "fear": (6.0, 0.6, 0.0, 0.5, 1.35, 1.4, -1.0, 0.0, 3.2, 0.08, 0.9),
    "happiness": (4.5, 1.8, 3.0, 3.5, 1.08, 0.6, 3.5, 2.5, 0.5, 0.02, 0.1),
    "neutral": (0.0, 1.0, -2.0, 1.5, 1.0, 1.0, 0.0, 0.0, 0.6, 0.02, 0.1),
    "sadness": (-1.5, 0.4, -2.0, 0.4, 0.74, 2.2, -6.0, -6.0, 1.0, 0.05, 0.3),
    "surprise": (4.0, 1.4, 10.0, 2.0, 0.95, 0.8, 2.0, 1.0, 0.8, 0.03, 0.1),
}


def voice(gender: str, rng: np.random.Generator) -> SimpleNamespace:
    """Draw a voice for a gender ("female" or "male"), with its own way of expressing every emotion.

    Returns:
        pitch in Hz, tract (a factor on the formants), formants (5,), rate, tilt, jitter, breath, loudness, expression, and
        habits: emotion -> part of a manner -> deviation.
    """
    female = gender == "female"
    draws = {"sum": rng.normal, "factor": rng.lognormal}
    habits = {
        emotion: {part: draws[kind](0, spread) for part, (kind, spread, _) in PARTS.items()} for emotion in MANNERS
    }
    return SimpleNamespace(
        habits=habits,
        pitch=(205 if female else 118) * 2 ** (rng.normal(0, 1.8) / 12),
        tract=(1.16 if female else 1.0) * rng.lognormal(0, 0.04),
        formants=tuple(rng.lognormal(0, 0.03, size=5)),
        rate=rng.lognormal(0, 0.09),
        tilt=(-3.0 if female else -1.0) + rng.normal(0, 2.5),
        jitter=rng.lognormal(0, 0.25),
        breath=rng.lognormal(0.3 if female else 0.0, 0.3),
        loudness=rng.normal(0, 2.0),
        expression=float(np.clip(rng.normal(1.25, 0.15), 0.9, 1.6)),
    )


def sentence(rng: np.random.Generator) -> list[tuple[str, str, float, bool]]:
    """Draw the syllables of a nonsense sentence: (consonant, vowel, length of the vowel in seconds, stressed)."""
    count = int(rng.integers(6, 9))
    vowels = rng.choice([vowel for vowel in VOWELS if vowel != "@"], size=count)
    consonants = rng.choice(list(CONSONANTS), size=count)
    stressed = rng.random(count) < 0.4
    stressed[int(rng.integers(1, count - 1))] = True
    return [
        (
            str(consonants[place]),
            str(vowels[place]) if stressed[place] or rng.random() < 0.6 else "@",
            (0.125 if stressed[place] else 0.085) * rng.lognormal(0, 0.1),
            bool(stressed[place]),
        )
        for place in range(count)
    ]


def _performance(voice: SimpleNamespace, emotion: str, rng: np.random.Generator) -> SimpleNamespace:
    """Draw the manner of one utterance: the emotion's, scaled by the speaker's expression, with speaker and clip deviations."""
    rest, target = (dict(zip(PARTS, MANNERS[name], strict=True)) for name in ("neutral", emotion))
    habit, x, found = voice.habits[emotion], voice.expression * rng.normal(1.0, 0.15), {}
    for part, (kind, _, spread) in sorted(PARTS.items(), key=lambda item: item[1][0] == "factor"):
        if kind == "sum":
            found[part] = rest[part] + x * (target[part] - rest[part]) + habit[part] + rng.normal(0, spread)
        else:
            found[part] = rest[part] * (target[part] / rest[part]) ** x * habit[part] * rng.lognormal(0, spread)
    return SimpleNamespace(**found)


def utterance(voice: SimpleNamespace, emotion: str, words: list, rng: np.random.Generator) -> np.ndarray:
    """Synthesise `words` (a `sentence`) said by `voice` in the manner of `emotion`; `rng` determines everything else.

    Returns:
        float64 (samples,), within [-0.98, 0.98], at SAMPLE_RATE.
    """
    manner = _performance(voice, emotion, rng)
    pitch, voicing, tract, noises = _score(voice, manner, words, rng)
    source = _glottis(pitch, voicing, manner.jitter * voice.jitter / 100, rng)
    breath = manner.breath * voice.breath
    source += breath * rng.standard_normal(len(source)) * np.repeat(voicing, BLOCK)
    speech = _filter(source, tract)
    for start, samples, (low, high), level in noises:
        speech[start : start + samples] += level * _noise(samples, low, high, rng)
    tilt = RADIATION + voice.tilt + manner.tilt
    speech = _equalise(speech, lambda frequency: tilt * (np.minimum(frequency, 6000.0) - 1000.0) / 5000.0)
    speech /= np.sqrt(np.mean(speech**2)) + 1e-9
    level = -27 + voice.loudness + manner.loudness + rng.normal(0, 4.0)
    return _record(speech, level, rng)


def _score(voice: SimpleNamespace, manner: SimpleNamespace, words: list, rng: np.random.Generator):
    """Plan an utterance in blocks: pitch in Hz and voicing, (blocks,) each, formants in Hz (blocks, 5), noise bursts."""
    rate = voice.rate * manner.rate
    count = len(words)
    gap_after = int(rng.integers(2, count - 1)) if rng.random() < min(0.9, 0.35 * manner.pauses) else -1
    levels, voiced, formants, noises = [], [], [], []

    def extend(seconds, tone, loud, shape):
        """Append a stretch; return its first sample and its length in samples."""
        blocks = max(1, round(seconds / rate * SAMPLE_RATE / BLOCK))
        first = len(levels) * BLOCK
        levels.extend(np.linspace(*tone, blocks) if isinstance(tone, tuple) else [tone] * blocks)
        voiced.extend([loud] * blocks)
        formants.extend([shape] * blocks)
        return first, blocks * BLOCK

    tone = manner.span * rng.normal(0.5, 0.5)
    for place, (consonant, vowel, seconds, stressed) in enumerate(words):
        # Pitch declines over a phrase; stress and chance move it, and the emotion scales it.
        slope = manner.span * (1.0 - 2.5 * place / count)
        kind, low, high = CONSONANTS[consonant]
        shape = VOWELS[vowel]
        if kind == "fricative":
            span = extend(0.08, tone, 0.0, shape)
            noises.append((*span, (low, high), 0.05 * rng.lognormal(0, 0.2)))
        elif kind == "stop":
            extend(0.045, tone, 0.0, shape)
            span = extend(0.015, tone, 0.0, shape)
            noises.append((*span, (low, high), 0.09 * rng.lognormal(0, 0.2)))
        else:
            extend(0.06, tone, 0.45, NASAL if consonant == "m" else LIQUID)
        target = slope + manner.span * rng.normal(0, 0.8) + (manner.accent if stressed else 0.0)
        if place == count - 1:
            extend(0.5 * seconds, (tone, slope), 1.0, shape)
            extend(1.7 * seconds, (slope, slope + manner.final), 0.9, shape)
            extend(0.06, slope + manner.final, 0.0, shape)
        else:
            extend(0.5 * seconds, (tone, target), 1.0 if stressed else 0.75, shape)
            tone = target - 0.3 * (manner.accent if stressed else 0.0)
            extend(0.5 * seconds, (target, tone), 1.0 if stressed else 0.75, shape)
        if place == gap_after:
            extend(rng.uniform(0.12, 0.25) * manner.pauses * rate, tone, 0.0, shape)
    steps = np.arange(len(levels)) * BLOCK / SAMPLE_RATE
    tremor = manner.tremor * np.sin(2 * np.pi * (rng.uniform(5.0, 7.5) * steps + rng.random()))
    semitones = _smooth(np.array(levels), 9) + manner.pitch + tremor
    pitch = np.clip(voice.pitch * 2 ** (semitones / 12), 60.0, 520.0)
    tract = np.array([(*shape, 3500.0, 4500.0) for shape in formants]) * voice.tract * np.array(voice.formants)
    tract = np.stack([_smooth(track, 9) for track in tract.T], axis=1)
    return pitch, _smooth(np.array(voiced), 5), np.clip(tract, 150.0, 7200.0), noises


def _smooth(track: np.ndarray, width: int) -> np.ndarray:
    """Smooth a track (blocks,) by a moving average with constant ends, which turns targets into transitions."""
    padded = np.pad(track, width // 2, mode="edge")
    return np.convolve(padded, np.full(width, 1 / width), mode="valid")


def _glottis(pitch: np.ndarray, voicing: np.ndarray, jitter: float, rng: np.random.Generator) -> np.ndarray:
    """Return the glottal flow derivative (samples,) for pitch in Hz and voicing, (blocks,); jitter: relative spread of periods."""
    samples = len(pitch) * BLOCK
    at, grid = np.arange(samples), np.arange(len(pitch)) * BLOCK + BLOCK / 2
    steps = np.interp(at, grid, pitch) / SAMPLE_RATE  # (samples,)
    cycles = np.cumsum(steps).astype(int)
    steps = steps * np.clip(1 + jitter * rng.standard_normal(cycles[-1] + 1), 0.7, 1.3)[cycles]
    turns = np.cumsum(steps)
    cycle = turns.astype(int)
    phase = turns - cycle
    opening, closing = 0.42, 0.60
    flow = np.where(
        phase < opening,
        0.5 * (1 - np.cos(np.pi * phase / opening)),
        np.where(phase < closing, np.cos(0.5 * np.pi * (phase - opening) / (closing - opening)), 0.0),
    )
    shimmer = np.clip(1 + 4 * jitter * rng.standard_normal(cycle[-1] + 1), 0.4, 1.6)[cycle]
    pulses = np.diff(flow, prepend=0.0) / steps * 0.1  # per cycle, so that high voices are no louder
    return pulses * shimmer * np.interp(at, grid, voicing)


def _filter(source: np.ndarray, tract: np.ndarray) -> np.ndarray:
    """Filter the source (samples,) by five resonators in cascade with formants (blocks, 5) that change in every block."""
    decay = np.exp(-np.pi * BANDWIDTHS / SAMPLE_RATE)
    b = 2 * decay * np.cos(2 * np.pi * tract / SAMPLE_RATE)
    c = np.broadcast_to(-(decay**2), b.shape)
    zero, one = np.zeros_like(b), np.ones_like(b)
    sections = np.stack([1 - b - c, zero, zero, one, -b, -c], axis=-1)  # (blocks, 5, 6)
    state, parts = np.zeros((5, 2)), []
    for block, sos in zip(source.reshape(-1, BLOCK), sections, strict=True):
        part, state = sosfilt(sos, block, zi=state)
        parts.append(part)
    return np.concatenate(parts)


def _noise(samples: int, low: float, high: float, rng: np.random.Generator) -> np.ndarray:
    """Draw band noise (samples,) of unit RMS that swells and fades."""
    noise = sosfilt(
        butter(2, (low, high), btype="bandpass", fs=SAMPLE_RATE, output="sos"), rng.standard_normal(samples)
    )
    return noise / (noise.std() + 1e-9) * np.hanning(samples + 2)[1:-1]


def _equalise(signal: np.ndarray, gain: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Apply `gain`, a function from frequencies in Hz to dB, to a signal (samples,)."""
    size = next_fast_len(len(signal), real=True)
    frequency = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    return irfft(rfft(signal, size) * 10 ** (gain(frequency) / 20), size)[: len(signal)]


def _record(speech: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Record speech of unit RMS at `level` dB re full scale with a microphone in a quiet room, with silence around it."""
    lead, tail = rng.uniform(0.1, 0.35, size=2)
    clip = np.pad(speech, (int(lead * SAMPLE_RATE), int(tail * SAMPLE_RATE)))
    # The channel's colour: a slow random curve over the mel scale, new for every clip.
    curve, knots = rng.normal(0, 2.5, size=6), 700 * ((1 + 8000 / 700) ** np.linspace(0, 1, 6) - 1)
    clip = _equalise(clip, lambda frequency: level + np.interp(frequency, knots, curve))
    hiss = _equalise(rng.standard_normal(len(clip)), lambda frequency: -10 * np.log10(np.maximum(frequency, 50.0)))
    clip += hiss / hiss.std() * 10 ** ((-27 - rng.uniform(28, 42)) / 20)
    return clip * min(1.0, 0.98 / np.abs(clip).max())
