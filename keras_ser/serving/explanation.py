"""Explain a run's predictions to a file: by the network's attention over features if it has one, else frame by frame."""

from dataclasses import replace
from pathlib import Path

from keras_ser.errors import UserError
from keras_ser.serving.attribution import Attribution
from keras_ser.serving.feature_attention import AttentionExplainer, AttentionExplanation, attends
from keras_ser.serving.inputs import read_clip
from keras_ser.serving.integrated_gradients import Attributor
from keras_ser.serving.saved_model import MAX_SECONDS
from keras_ser.training.run import Run


def explain(run: Run, path: Path | str) -> AttentionExplanation | Attribution:
    """Explain a run's predictions to one audio file of at most 60 s.

    Raises:
        UserError: the run is a baseline, which has no gradients.
        AudioError: the file cannot be read.
    """
    if run.kind != "network":
        raise UserError(
            f"{run.folder} is a baseline ({run.recipe.model}), which has no gradients: give the run of a network."
        )
    waveform, problems = read_clip(Path(path), run.recipe.frontend.sample_rate, MAX_SECONDS)
    whole = run.model()
    explainer = AttentionExplainer if attends(run.recipe, whole) else Attributor
    return replace(explainer(run.recipe, whole)(waveform, path), problems=tuple(problems))
