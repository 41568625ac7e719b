"""Trials of speaker verification, their scores and error rates.

A trial is a pair of clips with a score, higher for the same speaker; it is accepted if score >= threshold. Over the trials,

    miss(t)        = share of the same-speaker trials with score < t
    false alarm(t) = share of the different-speaker trials with score >= t

A curve's points are the distinct scores, from "accept none" (miss 1) to "accept all" (false alarm 1): tied scores are accepted
together. The equal error rate (EER) is where the straight lines between neighbouring points cross miss = false alarm.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import roc_curve

from keras_ser.checks import counted, listed
from keras_ser.errors import UserError

P_TARGET = 0.01

_CHUNK = 2**14  # trials scored at once


class TrialsError(UserError):
    """Raised if clips do not yield trials of both kinds."""


def trials(
    speakers: Sequence[str], seed: int = 0, most: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return pairs of clips to verify: indices a < b into `speakers`, sorted by a, then b, and whether they share a speaker.

    Without `most`, all pairs, about clips^2 / 2. Otherwise at most that many, half of them of one speaker and half of
    two, drawn by `seed` without replacement; fewer if one kind has fewer pairs.

    Raises:
        UserError: a clip has no speaker, or `most` is less than 2.
        TrialsError: there is no pair of one speaker, or none of two.
    """
    names = np.asarray(speakers, dtype=object).ravel()
    unknown = [i for i, name in enumerate(names) if name == "" or pd.isna(name)]
    if unknown:
        raise UserError(
            f"each clip of a trial must have a speaker. Received: {len(unknown)} of {len(names)} without, the first at "
            f"{unknown[0]}. Leave them out."
        )
    if most is not None and most < 2:
        raise UserError(f"`most` must be 2 or more: a pair of one speaker and one of two. Received: most={most}.")
    codes = pd.factorize(names)[0]
    clips = np.arange(len(codes))
    # number of later clips of the same speaker and of others: the pairs i < j in each row
    later = pd.Series(codes).groupby(codes).cumcount(ascending=False).to_numpy()
    numbers = {True: later, False: len(codes) - 1 - clips - later}
    if not all(found.any() for found in numbers.values()):
        raise TrialsError(
            "verification needs a pair of clips of one speaker and a pair of two. "
            f"Received: {len(codes)} clips of {len(set(codes))} speakers. Take test sets with more of them."
        )
    if most is None:
        a, b = np.triu_indices(len(codes), 1)
        return a, b, codes[a] == codes[b]
    rng = np.random.default_rng(seed)
    each = min(most // 2, *(int(found.sum()) for found in numbers.values()))
    drawn = [
        _pairs(codes, found, rng.choice(found.sum(), each, replace=False), of_one) for of_one, found in numbers.items()
    ]
    a, b = np.concatenate(drawn, axis=1)
    order = np.lexsort([b, a])
    return a[order], b[order], (codes[a] == codes[b])[order]


def _pairs(codes: np.ndarray, numbers: np.ndarray, chosen: np.ndarray, of_one: bool) -> np.ndarray:
    """Return the pairs of one kind, (2, trials), chosen by index into all pairs; each clip i starts numbers[i] pairs i < j."""
    chosen = np.sort(chosen)
    ends = np.cumsum(numbers)
    a = np.searchsorted(ends, chosen, side="right")
    place = chosen - (ends - numbers)[a]
    b = np.empty_like(a)
    for clip in np.unique(a):
        at = slice(*np.searchsorted(a, [clip, clip + 1]))
        rest = codes[clip + 1 :] == codes[clip]
        b[at] = clip + 1 + np.flatnonzero(rest if of_one else ~rest)[place[at]]
    return np.stack([a, b])


def check_enrolment(speakers: Sequence[str], utterances: int) -> list[str]:
    """Return the speakers with too few clips to be enrolled and tested, from the speaker of each clip.

    Raises:
        TrialsError: fewer than two other speakers remain.
    """
    counts = pd.Series(np.asarray(speakers, dtype=object)).value_counts()
    few = sorted(map(str, counts[counts <= utterances].index))
    if len(counts) - len(few) >= 2:
        return few
    # the second most clips of a speaker, of which one is left to test
    most = int(counts.iloc[1]) - 1 if len(counts) >= 2 else 0
    way = (
        f"Enrol by {most} or fewer (--enrol {most})"
        if most
        else "Take a corpus with more clips of more speakers, or add one: a second --corpus-root NAME=DIR of `keras-ser verify`, "
        "or --verify NAME=DIR of a recipe"
    )
    lacking = f", {len(few)} of them with fewer: {listed(few)}" if few else ""
    raise TrialsError(
        f"enrolment by {counted(utterances, 'utterance')} needs two speakers or more, each with {utterances + 1} clips at least. "
        f"Received: {counted(len(counts), 'speaker')} not seen in training{lacking}. {way}."
    )


def enrolled_trials(speakers: Sequence[str], utterances: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Return trials of clips against enrolled speakers: every clip not used for enrolment is compared with every speaker.

    Speakers with too few clips are left out; see `check_enrolment`.

    Args:
        speakers: speaker of each clip.
        utterances: number of clips, drawn by a fixed seed, that enrol a speaker.

    Returns:
        Speaker -> (utterances,) indices of its enrolment clips; and (trials,) indices of the speaker, in the order of that
        mapping, and indices of the clip.

    Raises:
        TrialsError: see `check_enrolment`.
    """
    few = check_enrolment(speakers, utterances)
    names = np.asarray(speakers, dtype=object)
    rng = np.random.default_rng(0)
    places = {name: np.flatnonzero(names == name) for name in sorted(set(names) - set(few))}
    enrolled = {name: np.sort(rng.choice(held, utterances, replace=False)) for name, held in places.items()}
    tested = np.setdiff1d(np.concatenate(list(places.values())), np.concatenate(list(enrolled.values())))
    model, clip = np.meshgrid(np.arange(len(enrolled)), tested, indexing="ij")
    return enrolled, model.ravel(), clip.ravel()


def enrolled_vectors(embeddings: np.ndarray, enrolled: Sequence[np.ndarray]) -> np.ndarray:
    """Return the d-vector of each speaker, (speakers, units): the mean of its enrolment clips' length-normalised embeddings.

    Reference:
        Variani et al., *Deep neural networks for small footprint text-dependent speaker verification*, ICASSP 2014.
    """
    unit = _directions(np.asarray(embeddings))
    return np.stack([unit[places].mean(axis=0) for places in enrolled])


def score_trials(embeddings: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the cosine similarity of each trial's embeddings, float32 (trials,), from (clips, units) in bounded memory.

    Raises UserError for a non-finite number, or a vector of zeros, for which the cosine is undefined.
    """
    unit = _directions(np.asarray(embeddings))
    parts = [np.einsum("ij,ij->i", unit[a[i : i + _CHUNK]], unit[b[i : i + _CHUNK]]) for i in range(0, len(a), _CHUNK)]
    return np.clip(np.concatenate(parts), -1.0, 1.0).astype(np.float32) if parts else np.zeros(0, np.float32)


def _directions(x: np.ndarray) -> np.ndarray:
    x = x.astype(np.float64)
    if not np.isfinite(x).all():
        raise UserError("embeddings must be finite. Received: NaN or infinity; has the training diverged?")
    largest = np.abs(x).max(axis=-1, keepdims=True, initial=0.0)
    if (largest == 0).any():
        raise UserError(
            f"the cosine of a vector of zeros is not defined. Received: {np.count_nonzero(largest == 0)} of {len(x)} "
            "embeddings; take them before an activation that can silence all units."
        )
    x = x / largest  # squares of very small or large numbers would underflow or overflow
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def rates(scores: np.ndarray, same: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Return false-alarm and miss rates at each distinct score, (points,) each, from "accept none" to "accept all".

    Return None if a kind of trial is absent.
    """
    if same.all() or not same.any():
        return None
    false_alarm, hit, _ = roc_curve(same, scores, drop_intermediate=False)
    return false_alarm, 1 - hit


def crossing(false_alarm: np.ndarray, miss: np.ndarray) -> tuple[float, int]:
    """Return the EER and the index of the nearest point: smallest |false alarm - miss|, the lower threshold of a tie."""
    gap = false_alarm - miss  # from -1 to 1, never falling
    k = int(np.searchsorted(gap, 0.0))
    part = gap[k - 1] / (gap[k - 1] - gap[k])
    eer = false_alarm[k - 1] + part * (false_alarm[k] - false_alarm[k - 1])
    # of two equally near points, up to rounding, the lower threshold
    return float(eer), k - 1 if -gap[k - 1] < gap[k] - 1e-12 else k


def least_cost(false_alarm: np.ndarray, miss: np.ndarray, p_target: float = P_TARGET) -> float:
    """Return the minimum detection cost over all thresholds, normalised as in the NIST speaker recognition evaluations:

        min_t (p miss(t) + (1 - p) false alarm(t)) / min(p, 1 - p)

    so that 1 is the cost of the better of accepting none and accepting all; it is never above 1. `p_target` is p, the prior
    probability in the application that a trial is of one speaker.
    """
    return float((p_target * miss + (1 - p_target) * false_alarm).min() / min(p_target, 1 - p_target))
