"""Noises for one stream and one side of the split: generated colours, babble of training clips, files."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from keras_ser.audio import AudioError, noise
from keras_ser.errors import UserError

LOG = logging.getLogger(__name__)


def noise_bank(
    names: Sequence[str],
    side: str,
    sample_rate: int,
    seed: int,
    speech: Sequence[np.ndarray] = (),
    root: Path | None = None,
    seconds: float = 30.0,
) -> list[np.ndarray]:
    """Return one waveform (samples,) float32 per noise; lengths may differ.

    Args:
        names: colours, "babble", or stems of files under `root` ("factory" also joins factory1, factory2, ..). A file takes
            precedence over a generated noise of the same name.
        side: "train", "validation" or "test". Colours and babble are drawn anew for each side, and files are cut in time, so
            that sides share no samples. Babble has the same voices on every side, mixed differently.
        sample_rate: Hz.
        seed: draws colours and babble.
        speech: waveforms to make babble from (training clips only).
        root: folder of noise files.
        seconds: length of generated noises.

    Raises:
        UserError: a name that is neither a colour, "babble" nor a file; an unknown side.
        AudioError: see `keras_ser.audio.noise.load_noises`; a file that is silent in this side's stretch.
    """
    if side not in noise.STRETCHES:
        raise UserError(f"`side` must be train, validation or test. Received: {side!r}.")
    samples = int(seconds * sample_rate)
    paths = noise.noise_files(root) if root else {}
    files = noise.load_noises(root, sample_rate, {s for name in names for s in meant(name, paths)}) if root else {}
    bank = []
    for i, name in enumerate(names):
        rng = np.random.default_rng([seed, list(noise.STRETCHES).index(side), i])
        stems = meant(name, paths)
        alike = [stem for stem in paths if name.casefold() in (stem.casefold(), noise.noise_type(stem).casefold())]
        if alike and not stems:
            raise UserError(
                f"the noise {name!r} is no file, but there is {alike[0]!r}: names of noise files are case-sensitive. Rename "
                "the file, or the noise."
            )
        if stems:
            bank.append(np.concatenate([file_stretch(files, stem, side) for stem in stems]))
        elif name in noise.COLOURS:
            bank.append(noise.colour(name, samples, rng))
        elif name == "babble" and len(speech):
            bank.append(noise.babble(speech, samples, rng))
        else:
            have = ", ".join((*noise.COLOURS, *(["babble"] if len(speech) else []), *sorted(paths)))
            raise UserError(
                f"the noise {name!r} is neither generated nor a file. There are: {have}. "
                "Name a folder that holds it (--noise-root), or leave it out (--set streams.NAME.noises=...)."
            )
    return [np.asarray(wave, "float32") for wave in bank]


def meant(name: str, stems: Iterable[str]) -> list[str]:
    """Return the stems of noise files that a name means: the file of that name and those of that type, in alphabetical order."""
    return [stem for stem in sorted(stems) if name in (stem, noise.noise_type(stem))]


def is_generated(name: str, root: Path | None) -> bool:
    """Return whether no noise file has this name, so that `noise_bank` generates the noise."""
    return not meant(name, noise.noise_files(root) if root else ())


def file_stretch(files: Mapping[str, np.ndarray], stem: str, side: str) -> np.ndarray:
    """Return the part of a noise file that one side may use (see `keras_ser.audio.stretch`), without digital silence.

    Raises:
        AudioError: that part is silent.
    """
    part = noise.stretch(files[stem], side)
    if part.min() == part.max():
        first, last = (f"{100 * share:.0f}" for share in noise.STRETCHES[side])
        raise AudioError(
            f"the noise {stem!r} is silent from {first} to {last} % of its length, its {side} stretch. Cut it."
        )
    sound = noise.without_pauses(part)
    if len(sound) < len(part):
        share = 100 * (1 - len(sound) / len(part))
        LOG.warning("the noise %r: digital silence, %.1f %% of its %s stretch, is left out.", stem, share, side)
    return sound
