"""Tables of systems that recipes make."""

from pathlib import Path
from types import SimpleNamespace

import pandas as pd

from keras_ser.cli import tables
from keras_ser.cli.recipe_script import Trained
from keras_ser.experiment.systems import System
from tests.training import tiny


def test_table_with_known_labels_says_so_in_its_title(monkeypatch):
    system = System(tiny.TRAINED, Path("experiment"), pd.DataFrame())
    every = {"mf": system, "mf, gender known": system}
    monkeypatch.setattr("keras_ser.experiment.systems.with_known", lambda *given: every)
    monkeypatch.setattr(tables, "systems_table", lambda *given, subtitle: lambda trained: [(subtitle, given[3])])
    trained = Trained("emodb", {"mf": system}, None, SimpleNamespace(folds=None))
    made = tables.with_known(lambda trained: [], {"mf": "with the posterior"})(trained)
    assert list(made) == [("with the true gender", "known")]
