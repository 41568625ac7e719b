"""Tables of systems that recipes make."""

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from keras_ser.cli import tables
from keras_ser.cli.papers import Paper
from keras_ser.cli.recipe_script import Trained
from keras_ser.evaluation.tables import Cell
from keras_ser.experiment.systems import System
from keras_ser.reports import Report
from keras_ser.splits import Protocol
from keras_ser.tasks import Task
from tests.training import tiny


def test_table_with_known_labels_says_so_in_its_title(monkeypatch):
    system = System(tiny.TRAINED, Path("experiment"), pd.DataFrame())
    every = {"mf": system, "mf, gender known": system}
    monkeypatch.setattr("keras_ser.experiment.systems.with_known", lambda *given: every)
    monkeypatch.setattr(tables, "systems_table", lambda *given, subtitle: lambda trained: [(subtitle, given[3])])
    trained = Trained("emodb", {"mf": system}, None, SimpleNamespace(folds=None, corpus=None))
    made = tables.with_known(lambda trained: [], {"mf": "with the posterior"})(trained)
    assert list(made) == [("with the true gender", "known")]


@pytest.mark.parametrize("both", [True, False])
def test_identities_that_are_not_trained_are_verified_and_have_no_scores(both, monkeypatch, tmp_path, capsys):
    """Leaving one speaker out, where the speaker is the main task: in a table of the other protocol, or in none."""
    random = Protocol("random", "random")
    task = Task("speaker", ("a", "b"), identity=True)
    recipe = tiny.SINGLE.replace(tasks=(task,), monitor="", protocols=(random, tiny.SPEAKERS))
    names = ["random", tiny.SPEAKERS.name][1 - both :]
    columns = {"speaker/a": 0.5, "speaker/b": 0.5} if both else {}
    system = System(recipe, tmp_path, pd.DataFrame({"protocol": names, "fold": 0, "seed": 0, **columns}))
    given, made = [], SimpleNamespace(save=lambda folder: folder / "systems.md")
    monkeypatch.setattr(System, "learned", [])
    monkeypatch.setattr(tables, "_notes", lambda *given: [])
    verified, rates = Report("verified", [], [], name="verification"), {"EER of the speakers of x": {"aae": Cell(0.25)}}
    monkeypatch.setattr(tables, "enrolled_report", lambda trained: (verified, rates))
    monkeypatch.setattr("keras_ser.experiment.planning.unit", lambda data: "speaker")
    monkeypatch.setattr("keras_ser.reports.systems_report", lambda title, parts, **more: given.append(parts) or made)
    monkeypatch.setattr("keras_ser.experiment.reporting.report_title", lambda *given: "")
    facts = {"description": "", "speaker_dependent": False}
    monkeypatch.setattr("keras_ser.experiment.reporting.protocol_facts", lambda *given: facts)
    options = SimpleNamespace(verify=["demo=x"], out=str(tmp_path), folds=None)
    swept = ("auxiliary speakers", {"aae": {0.0: "aae"}})
    reports = tables.systems_table({}, (), Paper(), swept=swept, verify=True)
    found = [report for report, _ in reports(Trained("speakers-identity", {"aae": system}, None, options))]
    assert [report.title for report in found[both:]] == ["verified"] and found[:both] == [made][:both]
    # where nothing is scored, the sweep of the equal error rates is beside the verification, not in the table
    drawn = [path.name for path in tmp_path.rglob("*-sweep.png")]
    assert drawn == ([] if both else ["systems-sweep.png"])
    if not both:
        (panel,) = found[-1].figures[0].draw().axes
        assert panel.get_title() == "EER of the speakers of x" and panel.lines[0].get_ydata().tolist() == [25.0]
        assert "systems-sweep.png" in next(tmp_path.rglob("verification.md")).read_text()
    assert [[part.protocol for part in parts] for parts in given] == ([["random"]] * 2 if both else [])
    said = "No table of systems: speaker is not scored on speakers who are not trained on."
    assert (said in capsys.readouterr().out) != both
