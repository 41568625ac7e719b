"""Write the figures of README and docs/, computed from the stored predictions in `benchmarks/results`, into the pages.

A page names where a figure comes from in a comment behind it, which a reader of the page does not see, for example

    72.2 [64.5, 78.8]<!-- score aspmtl_emodb-conv -->
    +1.8 [-1.5, 5.2]<!-- difference +trained_emodb-aspmtl - trained_emodb-single-task -->

For a new figure, write `?` and its comment. The argument is SYSTEM[/PROTOCOL][:METRIC]; the protocol defaults to the only one, the
metric to "uar". All scores are in percent, with the 95 % interval in brackets.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import measured
from measured import percent

ROOT = Path(__file__).parents[1]


def place(text: str) -> tuple[str, str | None, str]:
    """Parse SYSTEM[/PROTOCOL][:METRIC]."""
    system, _, metric = text.strip().partition(":")
    system, _, protocol = system.partition("/")
    return system, protocol or None, metric or "uar"


def only(table: Any, system: str, protocol: str | None) -> str:
    """Return the protocol, by default the only one in a table."""
    known = list(dict.fromkeys(table["protocol"]))
    if protocol not in (known if protocol else [None]) or (protocol is None and len(known) > 1):
        raise LookupError(f"{system} has the protocols {', '.join(known)}. Received: {protocol}.")
    return protocol or known[0]


@cache
def scored(system: str, protocol: str | None, left_out: tuple[str, ...] = ()) -> Any:
    """Score one stored system: its `TaskScores`, without some speakers."""
    folder = measured.RESULTS / system
    if not measured.stored(folder):
        raise LookupError(f"benchmarks/results has no predictions of {system!r}.")
    task, table = measured.stored(folder)
    protocol = only(table, system, protocol)
    table = table[~table["speaker"].isin(left_out)] if left_out else table
    deterministic = not left_out and measured.draws_nothing(folder)
    return measured.score(table, task, protocol, deterministic=deterministic)


def one(text: str, left_out: bool = False, ensemble: bool = False) -> Any:
    """The `Score` that a comment's argument names."""
    system, protocol, metric = place(text)
    speakers = measured.LOOKED_AT[system] if left_out else ()
    found = scored(system, protocol, speakers)
    for each in found.ensemble if ensemble else found.scores:
        if each.metric == metric:
            return each
    raise LookupError(f"{system} has no {metric!r}.")


def _score(text: str, **which: bool) -> str:
    return measured.cell(one(text, **which))


def _spread(text: str) -> str:
    """The score with the standard deviation over its seeds, of the population that they are drawn from."""
    from statistics import stdev

    value, _, interval = _score(text).partition(" ")
    return f"{value} ± {100 * stdev(one(text).seeds):.1f} {interval}"


def _seeds(text: str) -> str:
    return ", ".join(percent(value) for value in one(text).seeds)


def _speakers(text: str) -> str:
    """The mean over the test speakers."""
    system, protocol, metric = place(text)
    return percent(scored(system, protocol).speaker_mean(metric))


def _difference(text: str, left_out: bool = False) -> str:
    """A - B[/PROTOCOL][:METRIC]; a leading + asks for the sign."""
    sign, text = ("+", text[1:]) if text.startswith("+") else ("", text)
    first, _, rest = text.partition(" - ")
    second, protocol, metric = place(rest)
    ((*_, found),) = measured.differences(pairs=[(first.strip(), second, protocol, metric)], left_out=left_out)
    return percent(found.difference, found.low, found.high, sign)


def _gain(text: str) -> str:
    """A - B[/PROTOCOL][:METRIC] -> (A - B) / B."""
    first, _, rest = text.partition(" - ")
    second, protocol, metric = place(rest)
    tail = f"/{protocol or ''}:{metric}"
    a, b = one(first.strip() + tail).value, one(second.strip() + tail).value
    return percent((a - b) / b, sign="+")


@cache
def _denoising() -> Any:
    import pandas as pd

    from keras_ser.evaluation.denoising import Denoising

    return Denoising(pd.read_csv(measured.RESULTS / "aspmtl_noise" / "denoising.csv.gz", dtype={"group": str}))


def _si_sdr(text: str) -> str:
    """NOISE METHOD[:MEASURE[@SNR,..]] -> means in dB at 10, 5, -5 and -10 dB, or at the SNRs that are named."""
    text, _, measure = text.partition(":")
    measure, _, snrs = measure.partition("@")
    noise, method = text.split(maxsplit=1)
    table = _denoising()
    ratios = [float(each) for each in snrs.split(",")] if snrs else [s for n, s in table.cells if n == noise]
    digits = 2 if measure == "snr_out" else 1
    return " / ".join(f"{table.mean(measure or 'si_sdr', noise, s, method).value + 0.0:.{digits}f}" for s in ratios)


@cache
def _verification() -> Any:
    import pandas as pd

    from keras_ser.evaluation.verification import Verification

    path = measured.RESULTS / "vggvox_ravdess-speaker" / "verification.csv.gz"
    return Verification(pd.read_csv(path, dtype={"speaker_a": str, "speaker_b": str}))


def _eer(text: str) -> str:
    """SYSTEM[ same-gender] -> equal error rate; SYSTEM[ same-gender]:trials -> number of trials."""
    text, _, what = text.partition(":")
    system, _, kind = text.partition(" ")
    found = _verification().score(system, "eer", kind == "same-gender")
    return f"{found.clips:,}" if what else f"{100 * found.value:.1f}"


@cache
def _learned(system: str, protocol: str | None) -> Any:
    """The rows of learned.csv of one protocol."""
    import pandas as pd

    path = measured.RESULTS / system / "learned.csv"
    if not path.exists():
        raise LookupError(f"benchmarks/results has no learned.csv of {system!r}.")
    table = pd.read_csv(path)
    return table[table["protocol"] == only(table, system, protocol)]


def _count(verdict: str) -> Callable[[str], str]:
    def counted(text: str) -> str:
        found = _learned(*place(text)[:2])["verdict"]
        number = int(found.str.startswith(f"{verdict}:").sum())
        return f"{number} of {len(found)}" if number else "none"

    return counted


def _steps(text: str) -> str:
    steps = _learned(*place(text)[:2])["steps"].astype(int)
    return " to ".join(str(each) for each in dict.fromkeys((steps.min(), steps.max())))


def _p(text: str) -> str:
    """A - B[/PROTOCOL][:METRIC] -> p of the difference without the speakers looked at, corrected for all such differences."""
    first, _, rest = text.partition(" - ")
    named = (first.strip(), *place(rest))
    found = {tuple(names[:2]) + (names[3],): each for *names, each in measured.differences(left_out=True)}
    return f"{found[named[0], named[1], named[3]].p_holm:.2f}"


RENDER: Mapping[str, Callable[[str], str]] = {
    "score": _score,
    "spread": _spread,
    "value": lambda text: percent(one(text).value),
    "seeds": _seeds,
    "ensemble": lambda text: _score(text, ensemble=True),
    "unseen": lambda text: _score(text, left_out=True),
    "difference": _difference,
    "unseen_difference": lambda text: _difference(text, left_out=True),
    "gain": _gain,
    "si_sdr": _si_sdr,
    "eer": _eer,
    "chance": lambda text: percent(one(text).chance),
    "speakers": _speakers,
    "underfit": _count("underfit"),
    "overfit": _count("overfit"),
    "training": lambda text: percent(_learned(*place(text)[:2])["training"].mean()),
    "steps": _steps,
    "unseen_p": _p,
}


NUMBER = r"[+-]?\d+(?:,\d{3})*(?:\.\d+)?"
ONE = rf"{NUMBER}(?:\s+±\s+{NUMBER})?(?:\s+\[{NUMBER},\s+{NUMBER}\])?"
COUNT = r"(?:none|\d+\s+of\s+\d+)"
SHAPES = {  # of figures that are not one number with its spread and interval
    "seeds": rf"{NUMBER}(?:,\s+{NUMBER})*",
    "si_sdr": rf"{NUMBER}(?:\s+/\s+{NUMBER})*",
    "steps": rf"{NUMBER}(?:\s+to\s+{NUMBER})?",
    "underfit": COUNT,
    "overfit": COUNT,
}


def updated(page: str) -> str:
    """Return a page with its figures computed anew; those that have not changed keep their line breaks.

    Raises:
        LookupError: There are no stored predictions for one of them.
        ValueError: A comment has no figure before it, or an unknown kind.
    """
    found = 0
    for kind, compute in RENDER.items():

        def written(match: re.Match, compute: Callable[[str], str] = compute) -> str:
            old, comment, argument = match.groups()
            new = compute(" ".join(argument.split()))
            return (old if " ".join(old.split()) == new else new) + comment

        figure = SHAPES.get(kind, ONE)
        page, number = re.subn(rf"({figure}|\?)(<!--\s+{kind}\s+([^>]+?)\s+-->)", written, page)
        found += number
    if found != page.count("<!--"):
        lacking, known = page.count("<!--") - found, ", ".join(RENDER)
        raise ValueError(f"{lacking} comments have no figure before them, or none of the kinds {known}.")
    return page


def main() -> None:
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        text = path.read_text()
        if "<!--" not in text:
            continue
        try:
            new = updated(text)
        except (LookupError, ValueError) as error:
            raise SystemExit(f"{path.relative_to(ROOT)}: {error}") from None
        if new != text:
            path.write_text(new)
            print(path.relative_to(ROOT), "written")


if __name__ == "__main__":
    main()
