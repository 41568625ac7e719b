"""Trials of speaker verification, their scores and error rates.

A trial is a pair of clips with a score, higher for the same speaker; it is accepted where score >= threshold. Of the trials,

    miss(t)        = share of the same-speaker trials with score < t
    false alarm(t) = share of the different-speaker trials with score >= t

A curve's points are the distinct scores, from "accept none" (miss 1) to "accept all" (false alarm 1): tied scores are accepted
together. The equal error rate (EER) is where the straight lines between neighbouring points cross miss = false alarm.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import roc_curve

from keras_ser.corpora.corpus import listed
from keras_ser.errors import UserError

P_TARGET = 0.01

_CHUNK = 2**14  # trials scored at once


class TrialsError(UserError):
    """Clips that give no trials of both kinds."""


def trials(
    speakers: Sequence[str], seed: int = 0, most: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of clips to verify, by their places in `speakers`: a < b and whether they are of one speaker; ordered by a, then b.

    Without `most` all pairs, half the square of the clips. Otherwise at most that many, half of them of one speaker and half of
    two, drawn by `seed` without replacement; fewer where there are not so many of a kind.

    Raises:
        UserError: a clip without a speaker, or `most` under 2.
        TrialsError: no pair of one speaker, or none of two.
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
    # later clips of each clip's speaker, and of others: how many trials each row of the pairs i < j has
    later = pd.Series(codes).groupby(codes).cumcount(ascending=False).to_numpy()
    numbers = {True: later, False: len(codes) - 1 - clips - later}
    if not all(found.any() for found in numbers.values()):
        raise TrialsError(
            "verification needs a pair of clips of one speaker and a pair of two. "
            f"Received: {len(codes)} clips of {len(set(codes))} speakers. Take test sides with more of them."
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
    """The chosen pairs of one kind, (2, trials), by their places in the list of all; each clip i begins numbers[i] pairs i < j."""
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


def enrolled_trials(
    speakers: Sequence[str], utterances: int, seed: int = 0
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Trials of clips against enrolled speakers: each clip that enrols nobody is compared with every speaker.

    Args:
        speakers: of each clip.
        utterances: clips, drawn by `seed`, that enrol a speaker.

    Returns:
        Speaker -> (utterances,) places of the clips that enrol it; and (trials,) numbers of the speaker, in the order of that
        mapping, and places of the clip.

    Raises:
        TrialsError: fewer than two speakers, or one with no clip left to test.
    """
    names = np.asarray(speakers, dtype=object)
    counts = pd.Series(names).value_counts()
    few = sorted(map(str, counts[counts <= utterances].index))
    if len(counts) < 2 or few:
        raise TrialsError(
            f"enrolment by {utterances} utterances needs two speakers or more, each with {utterances + 1} at least. Received: "
            f"{len(counts)} speakers, {len(few)} of them with fewer: {listed(few)}. Enrol by fewer (--enrol N)."
        )
    rng = np.random.default_rng(seed)
    places = {name: np.flatnonzero(names == name) for name in sorted(counts.index)}
    enrolled = {name: np.sort(rng.choice(held, utterances, replace=False)) for name, held in places.items()}
    tested = np.setdiff1d(np.arange(len(names)), np.concatenate(list(enrolled.values())))
    model, clip = np.meshgrid(np.arange(len(enrolled)), tested, indexing="ij")
    return enrolled, model.ravel(), clip.ravel()


def enrolled_vectors(embeddings: np.ndarray, enrolled: Sequence[np.ndarray]) -> np.ndarray:
    """The d-vector of each speaker, (speakers, units): the mean of the directions of the clips (units,) that enrol it.

    Reference:
        Variani et al., *Deep neural networks for small footprint text-dependent speaker verification*, ICASSP 2014.
    """
    unit = _directions(np.asarray(embeddings))
    return np.stack([unit[places].mean(axis=0) for places in enrolled])


def score_trials(embeddings: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine of the angle between two clips' embeddings (clips, units), float32 (trials,), in bounded memory.

    Raises UserError for a number that is not finite, or a vector of zeros, which has no direction.
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
    x = x / largest  # squares of very small or large numbers would leave the range
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def rates(scores: np.ndarray, same: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """False-alarm and miss rates at each distinct score, (points,) each, from "accept none" to "accept all".

    None where a kind of trial is absent.
    """
    if same.all() or not same.any():
        return None
    false_alarm, hit, _ = roc_curve(same, scores, drop_intermediate=False)
    return false_alarm, 1 - hit


def crossing(false_alarm: np.ndarray, miss: np.ndarray) -> tuple[float, int]:
    """The EER, and the point nearest to it: the one with the smaller |false alarm - miss|, the lower threshold of two."""
    gap = false_alarm - miss  # from -1 to 1, never falling
    k = int(np.searchsorted(gap, 0.0))
    part = gap[k - 1] / (gap[k - 1] - gap[k])
    eer = false_alarm[k - 1] + part * (false_alarm[k] - false_alarm[k - 1])
    # of two that are as near, but for rounding, the lower
    return float(eer), k - 1 if -gap[k - 1] < gap[k] - 1e-12 else k


def least_cost(false_alarm: np.ndarray, miss: np.ndarray, p_target: float = P_TARGET) -> float:
    """The least detection cost over all thresholds, normalised as in the NIST speaker recognition evaluations:

        min_t (p miss(t) + (1 - p) false alarm(t)) / min(p, 1 - p)

    so that 1 is the cost of the better of accepting none and accepting all; it is never above 1. `p_target` is p, how often a trial
    is of one speaker in the use that one has in mind.
    """
    return float((p_target * miss + (1 - p_target) * false_alarm).min() / min(p_target, 1 - p_target))
