"""The figures of recognition in README and docs/, computed from the predictions in `benchmarks/results`.

python benchmarks/measured.py                       every system's scores, with 95 % intervals, each seed, and seeds averaged
python benchmarks/measured.py --differences         the paired differences that the pages name, too
python benchmarks/measured.py --results DIR         of a folder of one's own: DIR/NAME/{recipe.json, predictions.csv[.gz]}
                              --compare A B         the paired difference A - B of the UAR of two systems in it, for each such pair
"""

import argparse
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from keras_ser.corpora import ravdess
from keras_ser.evaluation import Comparison, compare, corrected, read_predictions
from keras_ser.evaluation.scores import Score, TaskScores, score
from keras_ser.models import deterministic_model
from keras_ser.recipe import Recipe
from keras_ser.tasks import Task

RESULTS = Path(__file__).parent / "results"
EMODB, RAVDESS = "leave-one-speaker-out", "six-folds-of-actors"
# speakers whose clips (of a search's validation sets, or tested) were looked at when the settings of a system were chosen
SEARCHED = ("08", "12", "16")
LOOKED_AT = {
    "aspmtl_emodb-conv": ("08", "11", "14"),
    **{f"trained_emodb-{name}": SEARCHED for name in ("single-task", "aspmtl", "aspmtl-noise", "cascade")},
    **{f"aspmtl_ablation-{name}": SEARCHED for name in ("drop", "mask", "A", "drop-shuffled", "mask-shuffled")},
    **{f"jax_emodb-{name}": SEARCHED for name in ("single-task", "aspmtl", "zero-losses", "shuffled")},
}
# first, second, protocol, metric: what the pages of the papers say of the first against the second
DIFFERENCES = [
    ("trained_emodb-single-task", "aspmtl_emodb-single-task", EMODB, "uar"),
    ("aspmtl_emodb-conv", "trained_emodb-single-task", EMODB, "uar"),
    ("aspmtl_emodb-conv", "trained_emodb-aspmtl", EMODB, "uar"),
    ("trained_emodb-cascade", "trained_emodb-aspmtl", EMODB, "uar"),
    ("trained_emodb-aspmtl-noise", "trained_emodb-single-task", EMODB, "uar"),
    ("trained_emodb-aspmtl", "paper_emodb-aspmtl", EMODB, "uar"),
    ("trained_emodb-aspmtl", "trained_emodb-single-task", EMODB, "uar"),
    *(("jax_emodb-aspmtl", f"jax_emodb-{other}", EMODB, "uar") for other in ("single-task", "zero-losses", "shuffled")),
    *(("jax_ravdess-aspmtl", f"jax_ravdess-{other}", RAVDESS, "uar") for other in ("single-task", "zero-losses")),
    ("jax_ased-aspmtl", "jax_ased-single-task", "speaker-folds", "uar"),
    ("own_ased-conv", "own_ased-svm", "unseen-speakers", "uar"),
    *(
        ("aae_emodb-aae", f"aae_emodb-{other}", EMODB, "uar")
        for other in ("cnn-single", "cnn", "aae-single", "aae-no-adversary")
    ),
    ("aae_emodb-cnn", "aae_emodb-cnn-single", EMODB, "uar"),
    *((f"aae_emodb_ased-{name}", "aae_emodb_ased-cnn-single", EMODB, "uar") for name in ("aae", "cnn")),
    ("aae_emodb_ased-aae", "aae_emodb-aae", EMODB, "uar"),
    ("aae_emodb_shares-aae-25", "aae_emodb_shares-aae-25-alone", EMODB, "uar"),
    ("aae_emodb-aae", "aae_emodb_shares-aae-25", EMODB, "uar"),
    *(
        (f"multilevel_emodb-{name}", "multilevel_emodb-ser", EMODB, "uar")
        for name in ("mf", "mtl", "cr", "mf-mtl", "mf-cr", "mtl-cr", "mf-mtl-cr")
    ),
    *(("multilevel_emodb-ser", f"multilevel_emodb-{name}", EMODB, "uar") for name in ("alexnet", "bilstm")),
    *(
        (f"multilevel_emodb-{level}-{linear}", f"multilevel_emodb-{own}", EMODB, "uar")
        for level, own in (("mfcc", "bilstm"), ("spectrogram", "alexnet"))
        for linear in ("nlinear", "dlinear")
    ),
    *(
        (f"multilevel_ravdess-{name}", "multilevel_ravdess-ser", RAVDESS, "uar")
        for name in ("mf", "mtl", "cr", "mtl-cr", "mf-mtl-cr")
    ),
    *((f"jax_emodb-{name}", f"trained_emodb-{name}", EMODB, "uar") for name in ("single-task", "aspmtl")),
    *(
        (f"aspmtl_ablation-{a}", f"aspmtl_ablation-{b}", "folds-of-speakers", "uar")
        for a, b in (("mask", "mask-shuffled"), ("drop", "drop-shuffled"), ("mask", "A"), ("drop", "A"))
    ),
    *(
        ("vggvox_ravdess-both", "vggvox_ravdess-emotion", "matched-actors", metric)
        for metric in ("accuracy", "uar", *(f"recall/{label}" for label in ravdess.EMOTIONS.values()))
    ),
    *(
        ("mt_a_dnn_emodb-mt-a-dnn", f"mt_a_dnn_emodb-{other}", protocol, "accuracy")
        for protocol in ("paper-random-windows", EMODB)
        for other in ("dnn", "svm", "compare-svm", "a-dnn")
    ),
    *(
        ("mt_a_dnn_ravdess-mt-a-dnn", f"mt_a_dnn_ravdess-{other}", "folds-of-four-actors", "accuracy")
        for other in ("dnn", "svm", "compare-svm", "a-dnn")
    ),
    ("mt_a_dnn_emodb-dnn", "mt_a_dnn_emodb-a-dnn", EMODB, "accuracy"),
    ("mt_a_dnn_ravdess-dnn", "mt_a_dnn_ravdess-a-dnn", "folds-of-four-actors", "accuracy"),
]


@cache
def stored(folder: Path) -> tuple[Task, object] | None:
    """The main task and the predictions table; None where a folder holds something else."""
    found = [folder / name for name in ("predictions.csv", "predictions.csv.gz") if (folder / name).exists()]
    if not found:
        return None
    return Recipe.from_json((folder / "recipe.json").read_text()).tasks[0], read_predictions(found[0])


@cache
def draws_nothing(folder: Path) -> bool:
    """Whether another seed of the recipe would give the same model."""
    return deterministic_model(Recipe.from_json((folder / "recipe.json").read_text()))


@cache
def judged(results: Path) -> tuple[tuple[str, str, TaskScores], ...]:
    """(system, protocol, what it scores at the main task)."""
    folders = [folder for folder in sorted(results.iterdir()) if folder.is_dir() and stored(folder)]
    tables = [(folder.name, *stored(folder)) for folder in folders]
    return tuple(
        (name, protocol, score(table, task, protocol, deterministic=draws_nothing(results / name)))
        for name, task, table in tables
        for protocol in dict.fromkeys(table["protocol"])
    )


def scores(results: Path = RESULTS) -> Iterator[tuple[str, str, Score]]:
    """(system, protocol, score) of every metric of the main task: the mean over seeds."""
    for system, protocol, found in judged(results):
        yield from ((system, protocol, one) for one in found.scores)


def averaged(results: Path = RESULTS) -> Iterator[tuple[str, str, Score]]:
    """(system, protocol, score) of the probabilities' mean over seeds, where there are several."""
    for system, protocol, found in judged(results):
        yield from ((system, protocol, one) for one in found.ensemble)


def unseen(results: Path = RESULTS) -> Iterator[tuple[str, str, Score]]:
    """(system, protocol, score) of the speakers at whom nobody looked before the settings were chosen."""
    for system, speakers in LOOKED_AT.items():
        if stored(results / system):
            task, table = stored(results / system)
            rest = table[~table["speaker"].isin(speakers)]
            name = f"{system} without speakers {', '.join(speakers)}"
            for protocol in dict.fromkeys(rest["protocol"]):
                yield from ((name, protocol, one) for one in score(rest, task, protocol).scores)


def differences(
    results: Path = RESULTS,
    pairs: Sequence[tuple[str, str, str | None, str]] = tuple(DIFFERENCES),
    left_out: bool = False,
) -> Iterator[tuple[str, str, str, str, Comparison]]:
    """(first, second, protocol, metric, comparison); p values are corrected for their number.

    With `left_out`, of the pairs with a system in `LOOKED_AT`, without the speakers at whom somebody looked.
    """
    found = []
    pairs = [pair for pair in pairs if not left_out or {*pair[:2]} & {*LOOKED_AT}]
    for first, second, protocol, metric in pairs:
        lacking = [name for name in (first, second) if not (results / name).is_dir() or not stored(results / name)]
        if lacking:
            known = ", ".join(dict.fromkeys(name for name, *_ in judged(results)))
            raise SystemExit(f"{results} holds no predictions of {lacking[0]!r}. It holds {known}.")
        (task, a), (_, b) = stored(results / first), stored(results / second)
        if left_out:
            speakers = {*LOOKED_AT.get(first, ()), *LOOKED_AT.get(second, ())}
            a, b = (table[~table["speaker"].isin(speakers)] for table in (a, b))
        known = draws_nothing(results / first), draws_nothing(results / second)
        found.append(compare(a, b, task, metric, protocol=protocol, deterministic=known))
    yield from ((*names, comparison) for names, comparison in zip(pairs, corrected(found), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.RawDescriptionHelpFormatter, epilog=__doc__
    )
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR")
    parser.add_argument("--differences", action="store_true", help="the paired differences, too")
    parser.add_argument(
        "--compare", nargs=2, action="append", default=[], metavar=("A", "B"), help="names of two systems"
    )
    options = parser.parse_args()
    print(
        "| system | protocol | metric | mean over seeds | seeds | seeds averaged |\n| --- | --- | --- | --- | --- | --- |"
    )
    together = {(*place, found.metric): found for *place, found in averaged(options.results)}
    for system, protocol, found in (*scores(options.results), *unseen(options.results)):
        if found.metric in ("accuracy", "uar", "ccc"):
            seeds = ", ".join(f"{100 * value:.1f}" for value in found.seeds)
            mean = together.get((system, protocol, found.metric))
            cells = [cell(found), seeds, cell(mean) if mean else ""]
            print(" | ".join([f"| {system}", protocol, found.metric, *cells]) + " |")
    pairs = [(first, second, None, "uar") for first, second in options.compare]
    for left_out in (False, True) if options.differences else (False,) if pairs else ():
        which = ", without the speakers looked at when settings were chosen" if left_out else ""
        print(f"\n| first - second{which} | protocol | metric | difference | |\n| --- | --- | --- | --- | --- |")
        for first, second, _, metric, found in differences(options.results, pairs or DIFFERENCES, left_out):
            shown = percent(found.difference, found.low, found.high)
            print(f"| {first} - {second} | {found.protocol} | {metric} | {shown} | {found.tested} |")


def cell(found: Score) -> str:
    return percent(found.value, found.low, found.high)


def percent(value: float, low: float | None = None, high: float | None = None, sign: str = "") -> str:
    """A share, and its interval if there is one, in percent, as README and docs/ write it: 72.2 [64.5, 78.8]."""
    first = f"{_tenths(value):{sign}.1f}"
    return first if low is None or high is None else f"{first} [{_tenths(low):.1f}, {_tenths(high):.1f}]"


def _tenths(share: float) -> float:
    """Percent with one decimal; never minus zero."""
    return round(100 * share, 1) + 0.0


if __name__ == "__main__":
    main()
