"""Reports on noise: scores of denoisers, and a classifier's UAR against the SNR."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from keras_ser.evaluation.denoising import FORMS, TITLES, Denoising
from keras_ser.evaluation.group_sums import chance
from keras_ser.evaluation.intervals import basis, over_seeds, too_few
from keras_ser.evaluation.learning import Learning, faults, untrained
from keras_ser.evaluation.robustness import CLEAN, NoiseCurves
from keras_ser.evaluation.tables import Table
from keras_ser.reports import curves
from keras_ser.reports.headline import trained
from keras_ser.reports.report import Picture, Report


def denoising_report(
    title: str,
    table: pd.DataFrame,
    methods: Mapping[str, str],
    *,
    paper: Mapping[tuple[str, float], Mapping[str, float]] | None = None,
    ours: Sequence[str] = (),
    against: Sequence[str] = (),
    missing: Sequence[str] = (),
    notes: Sequence[str] = (),
    unit: str = "speaker",
    learned: Sequence[Learning] = (),
) -> Report:
    """Report the scores of denoising methods.

    Args:
        title: the heading.
        table: see `keras_ser.evaluation.denoising`.
        methods: name -> description, in the order of the columns.
        paper: (noise, snr_in) -> {method: the paper's SNR_out}; names that are not methods are placed before `ours`.
        ours, against: each method in `ours` is compared with each in `against`.
        missing, notes: sentences on excluded runs; further sentences.
        unit: kind of the groups: "speaker", "film", "session", or "none" (each clip is a group).
        learned: the verdicts on the runs.
    """
    found, paper = Denoising(table), paper or {}
    tables = {measure: _denoised(found, measure, methods, paper, ours) for measure in found.measures}
    verdicts = []
    for method in ours:
        for measure in found.measures:
            better, sure, total = found.wins(measure, method, against)
            verdicts.append(
                f"{method} beats {' and '.join(against)} in {TITLES[measure].split(',')[0]} in {better} of {total} cells of seen "
                f"noises, in {sure} with the paired interval above 0."
            )
    pairs = [(m, a, b) for m in found.measures[:2] for a in ours for b in against]
    differences = Table(
        "Paired differences",
        ["noise", "SNR_in", *(f"{TITLES[m].split(',')[0]}: {a} - {b}" for m, a, b in pairs)],
        [[n, f"{s:g}", *(found.difference(m, n, s, a, b) for m, a, b in pairs)] for n, s in found.cells],
        2,
    )
    over = basis(table["group"].nunique(), unit, over_seeds(table["seed"].nunique()))
    return Report(
        title=title,
        summary=[replace(tables[measure], intervals=False) for measure in found.measures[:1]],
        caution=" ".join(
            [
                *untrained({"": learned}),
                "SNR_out alone rewards silence: see SI-SDR in the report.",
                *([f"{few[0].upper()}{few[1:]}."] if (few := too_few(table["group"].nunique(), unit)) else []),
            ]
        ),
        sections=[
            f"Means over {table['id'].nunique()} clips [{over}].",
            "SNR_out alone rewards silence: an output of zeros has 0 dB, which is a gain if the noise is louder than the "
            "speech. SI-SDR, PESQ and STOI do not.",
            Table("Methods", ["column", "what"], list(methods.items()), 2),
            *tables.values(),
            *([differences] if pairs else []),
        ],
        missing=tuple(missing),
        head=(trained({"": learned}),) if learned else (),
        notes=(*notes, *verdicts),
        data={
            "methods": methods,
            "notes": [*missing, *faults({"": learned}), *notes, *verdicts],
            "paper": [{"noise": n, "snr_in": s, **figures} for (n, s), figures in paper.items()],
            "means": [
                {"measure": m, "noise": n, "snr_in": s, "method": x, **c.ends(), "clips": c.clips}
                for m in found.measures
                for n, s in found.cells
                for x in methods
                for c in [found.mean(m, n, s, x)]
            ],
        },
        figures=[
            Picture(f"{m}.png", f"{TITLES[m]} against SNR_in", partial(_denoised_curves, found, m, methods, ours))
            for m in found.measures
        ],
        predictions=table,
        name="denoising",
        csv="denoising.csv",
    )


def _named(found: Denoising | NoiseCurves, noise: str) -> str:
    return noise if found.seen(noise) else f"{noise} (unseen)"


def _denoised(found: Denoising, measure: str, methods, paper, ours: Sequence[str]) -> Table:
    """Make a table with a row per noise and SNR and a column per method, preceded by the paper's score for it."""
    strange = [x for x in dict.fromkeys(x for row in paper.values() for x in row) if x not in methods]
    columns: list[tuple[str, bool]] = []  # name, whether it occurs only in the paper
    for method in methods:
        if ours and method == ours[0] and measure == "snr_out":
            columns += [(name, True) for name in strange]
        columns.append((method, False))
    rows = []
    for noise, snr_in in found.cells:
        figures, row = paper.get((noise, snr_in), {}) if measure == "snr_out" else {}, []
        for name, alone in columns:
            if alone:
                row.append(FORMS[measure].printed(figures.get(name)))
            else:
                row.append(replace(found.mean(measure, noise, snr_in, name), paper=figures.get(name)))
        rows.append([_named(found, noise), f"{snr_in:g}", *row])
    header = [f"{name} (paper)" if alone else name for name, alone in columns]
    return Table(TITLES[measure], ["noise", "SNR_in", *header], rows, 2)


def _denoised_curves(found: Denoising, measure: str, methods: Mapping[str, str], ours: Sequence[str]) -> Any:
    levels = sorted({snr for _, snr in found.cells})
    parts = {
        _named(found, noise): {x: [found.mean(measure, noise, s, x) for s in levels] for x in methods}
        for noise in dict.fromkeys(noise for noise, _ in found.cells)
    }
    figure = curves.lines(parts, levels, [f"{s:g}" for s in levels], "SNR_in, dB", TITLES[measure], ours)
    # limit the axis: dropped segments cost up to 60 dB, which would flatten the other curves
    steady = [c.value for systems in parts.values() for x, cells in systems.items() if x != "drop" for c in cells]
    if measure == "si_sdr" and np.isfinite(steady).all():
        figure.axes[0].set_ylim(bottom=min(steady) - 5)
    return figure


def _robustness_curves(parts, places, ticks, systems, chance: float | None) -> Any:
    """Draw UAR from 0; clean clips, which have no SNR, are drawn apart. `chance` is a fraction."""
    name, line = ("UAR, %", None) if chance is None else ("UAR, % (dotted: chance)", 100 * chance)
    figure = curves.lines(parts, places, ticks, "SNR, dB", name, systems, line, apart=1)
    figure.axes[0].set_ylim(0, 100)
    return figure


def robustness_report(
    title: str,
    table: pd.DataFrame,
    labels: Sequence[str],
    *,
    missing: Sequence[str] = (),
    notes: Sequence[str] = (),
    unit: str = "speaker",
    learned: Sequence[Learning] = (),
) -> Report:
    """Report UAR against SNR for every noise and system.

    `table` is defined in `keras_ser.evaluation.robustness`, `labels` are the classes; the others are as in `denoising_report`.
    """
    found = NoiseCurves(table, labels)
    each = [(noise, system) for noise in found.noises for system in found.systems]
    clean = {system: found.uar(system, CLEAN) for system in found.systems}
    uars = {key: {snr: found.uar(*key[::-1], snr) for snr in found.snrs} for key in each}
    areas = {key: found.area(*key[::-1]) for key in each}
    rows = [
        [_named(found, noise), system, clean[system], *uars[noise, system].values(), areas[noise, system]]
        for noise, system in each
    ]
    shown = Table("UAR, %", ["noise", "system", CLEAN, *(f"{s:g} dB" for s in found.snrs), "area"], rows, 2)
    differences = []
    if len(found.systems) == 2:
        a, b = found.systems
        for noise in found.noises:
            cell = found.area_difference(a, b, noise)
            differences.append(f"{noise}: area of {a} minus that of {b}: {cell.text()}")
    over = basis(table["group"].nunique(), unit, over_seeds(table["seed"].nunique()))
    steps = found.snrs[::-1]
    last = steps[-1] + (steps[-1] - steps[-2] if len(steps) > 1 else 5.0)
    parts = {
        _named(found, noise): {
            system: [*(uars[noise, system][s] for s in steps), clean[system]] for system in found.systems
        }
        for noise in found.noises
    }
    known = chance("uar", table["truth"].nunique())
    ticks = [*(f"{s:g}" for s in steps), CLEAN]
    draw = partial(_robustness_curves, parts, [*steps, last], ticks, found.systems, known)
    return Report(
        title=title,
        summary=[replace(shown, intervals=False)],
        sections=[
            f"UAR in % [{over}]. The area is the mean of UAR over SNR in dB (trapezoids), without clean clips. Noises are from "
            "test sections that no training uses.",
            shown,
        ],
        caution=" ".join(
            [*untrained({"": learned}), *([f"{few}."] if (few := too_few(table["group"].nunique(), unit)) else [])]
        ),
        missing=tuple(missing),
        head=(trained({"": learned}),) if learned else (),
        notes=(*notes, *differences),
        data={
            "notes": [*missing, *faults({"": learned}), *notes],
            "clean": {system: cell.ends() for system, cell in clean.items()},
            "curves": [
                {"noise": n, "seen": found.seen(n), "system": system, "snr": s, **cell.ends()}
                for (n, system), cells in uars.items()
                for s, cell in cells.items()
            ],
            "areas": [{"noise": n, "system": system, **cell.ends()} for (n, system), cell in areas.items()],
        },
        figures=[Picture("robustness.png", "UAR against SNR", draw)],
        predictions=table,
        name="robustness",
        csv="robustness.csv",
    )
