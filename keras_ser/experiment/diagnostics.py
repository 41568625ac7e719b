"""The logs of a training that a model's module names in `DIAGNOSTICS`; see `keras_ser.models`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd


def watched_logs(
    histories: Mapping[tuple[str, int, int], pd.DataFrame], watched: Mapping[str, Sequence[Any]]
) -> dict[str, dict[str, pd.DataFrame]]:
    """Return protocol -> run -> its history, with the watched logs in their units; runs that have none are left out.

    Args:
        histories: (protocol, fold, seed) -> history.
        watched: a model's `DIAGNOSTICS`.
    """
    found: dict[str, dict[str, pd.DataFrame]] = {}
    for (protocol, fold, seed), history in histories.items():
        if not set(watched).isdisjoint(history):
            units = {name: unit for name, (_, _, *rest) in watched.items() for unit in rest if unit in history}
            scaled = {name: history[name] / history[unit] for name, unit in units.items() if name in history}
            found.setdefault(protocol, {})[f"fold {fold}, seed {seed}"] = history.assign(**scaled)
    return found


def first_and_last(
    followed: Mapping[str, Mapping[str, pd.DataFrame]], watched: Mapping[str, Sequence[Any]]
) -> list[dict[str, Any]]:
    """Return a row for each protocol and watched log: its mean over runs in the first and the last epoch."""
    rows = []
    for protocol, histories in followed.items():
        for name, (what, failing, *_) in watched.items():
            runs = [history[name] for history in histories.values() if name in history]
            if runs:
                first, last = (float(np.mean([run.iloc[k] for run in runs])) for k in (0, -1))
                row = {"protocol": protocol, "": what, "first epoch": first, "last epoch": last}
                rows.append(row | {"a failure at": " or ".join(f"{value:g}" for value in failing)})
    return rows
