"""Compute the figures of the documentation from the stored predictions in `benchmarks/results`.

A page quotes a figure by a role instead of typing it, for example

    {score}`aspmtl_emodb-conv`                                   72.2 [64.5, 78.8]
    {difference}`trained_emodb-aspmtl - trained_emodb-single-task`  +1.8 [-1.5, 5.2]

The argument is SYSTEM[/PROTOCOL][:METRIC]; the protocol defaults to the only one, the metric to "uar". All scores are in percent,
with the 95 % interval in brackets. `render` needs no Sphinx.
"""

import importlib.util
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[2]
ROLE = re.compile(
    r"\{(score|spread|value|seeds|ensemble|unseen|unseen_difference|difference|gain|si_sdr|eer|chance|speakers)\}`([^`]+)`"
)


@cache
def measured() -> ModuleType:
    """Load `benchmarks/measured.py`, which is not part of the package."""
    spec = importlib.util.spec_from_file_location("measured", ROOT / "benchmarks" / "measured.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def place(text: str) -> tuple[str, str | None, str]:
    """Parse SYSTEM[/PROTOCOL][:METRIC]."""
    system, _, metric = text.strip().partition(":")
    system, _, protocol = system.partition("/")
    return system, protocol or None, metric or "uar"


@cache
def scored(system: str, protocol: str | None, left_out: tuple[str, ...] = ()) -> Any:
    """Score one stored system: its `TaskScores`, without some speakers."""
    module = measured()
    folder = module.RESULTS / system
    if not module.stored(folder):
        raise LookupError(f"benchmarks/results has no predictions of {system!r}.")
    task, table = module.stored(folder)
    protocols = list(dict.fromkeys(table["protocol"]))
    if protocol not in (protocols if protocol else [None]) or (protocol is None and len(protocols) > 1):
        raise LookupError(f"{system} has the protocols {', '.join(protocols)}. Received: {protocol}.")
    table = table[~table["speaker"].isin(left_out)] if left_out else table
    deterministic = not left_out and module.draws_nothing(folder)
    return module.score(table, task, protocol or protocols[0], deterministic=deterministic)


def one(text: str, left_out: bool = False, ensemble: bool = False) -> Any:
    """The `Score` that a role's argument names."""
    system, protocol, metric = place(text)
    speakers = measured().LOOKED_AT[system] if left_out else ()
    found = scored(system, protocol, speakers)
    for each in found.ensemble if ensemble else found.scores:
        if each.metric == metric:
            return each
    raise LookupError(f"{system} has no {metric!r}.")


def percent(value: float, low: float | None = None, high: float | None = None, sign: str = "") -> str:
    return measured().percent(value, low, high, sign)


def _score(text: str, **which: bool) -> str:
    return measured().cell(one(text, **which))


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
    ((*_, found),) = measured().differences(pairs=[(first.strip(), second, protocol, metric)], left_out=left_out)
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

    return Denoising(pd.read_csv(measured().RESULTS / "aspmtl_noise" / "denoising.csv.gz", dtype={"group": str}))


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

    path = measured().RESULTS / "vggvox_ravdess-speaker" / "verification.csv.gz"
    return Verification(pd.read_csv(path, dtype={"speaker_a": str, "speaker_b": str}))


def _eer(text: str) -> str:
    """SYSTEM[ same-gender] -> equal error rate; SYSTEM[ same-gender]:trials -> number of trials."""
    text, _, what = text.partition(":")
    system, _, kind = text.partition(" ")
    found = _verification().score(system, "eer", kind == "same-gender")
    return f"{found.clips:,}" if what else f"{100 * found.value:.1f}"


_RENDER: Mapping[str, Callable[[str], str]] = {
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
}


@cache
def render(role: str, text: str) -> str:
    """What a role prints.

    Raises:
        LookupError: There are no stored predictions for it.
    """
    return _RENDER[role](text)


def expanded(source: str) -> str:
    """A page's source with every role replaced by its figure."""
    return ROLE.sub(lambda match: render(*match.groups()), source)


def setup(app: Any) -> dict[str, Any]:
    """Register one role for each kind of figure."""
    from docutils import nodes

    def role(name: str):
        def made(_, rawtext, text, lineno, inliner, options=None, content=None):
            try:
                return [nodes.Text(render(name, text))], []
            except (LookupError, ValueError) as error:
                message = inliner.reporter.error(f"{rawtext}: {error}", line=lineno)
                return [inliner.problematic(rawtext, rawtext, message)], [message]

        return made

    for name in _RENDER:
        app.add_role(name, role(name))
    return {"parallel_read_safe": True, "version": "1"}
