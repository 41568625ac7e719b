"""Multilevel on IEMOCAP: 5531 utterances of anger, happiness (with excited), neutral, sadness; 10 speakers.

    python recipes/multilevel_iemocap.py --corpus-root IEMOCAP_full_release
    .. --wav2vec2 wav2vec2-base-960h --alexnet alexnet.safetensors           the paper's pretrained parts, and its first row
    .. --variant levels                                                      single levels
    .. --variant leaky                                                       the test speaker selects the epoch

Leave one speaker out; the other speaker of the session selects the epoch. The published code of the base network selects it on the
test speaker; the variant "leaky" measures the effect. The paper's scores, which need pretrained weights, are shown even if the
parts are not pretrained. They are means over the speakers, for which the report has a table of its own. The paper's single-level
table is illegible in our copy. recipes/multilevel.py describes the systems.
"""

from dataclasses import replace

from aspmtl_iemocap import EMOTION, OPTIONS
from multilevel import NOTHING, Given, leaky, main, single_levels, systems

from keras_ser.cli.other_corpus import LEAVE_ONE_OUT
from keras_ser.cli.recipe_script import flat
from keras_ser.cli.tables import Paper
from keras_ser.splits import Protocol
from keras_ser.tasks import Task

PARTNER = replace(LEAVE_ONE_OUT, within="session")
FIGURES = {
    "w2e": (0.6589, 0.6639),
    "ser": (0.7056, 0.7102),
    "mf": (0.7194, 0.7306),
    "mtl": (0.7188, 0.7226),
    "cr": (0.7068, 0.7235),
    "mf-mtl": (0.7175, 0.7337),
    "mf-cr": (0.7144, 0.7223),
    "mtl-cr": (0.7190, 0.7278),
    "mf-mtl-cr": (0.7031, 0.7164),
}
PAPER = Paper(
    "the table of WA and UA, IEMOCAP, means over ten speakers (not over all clips), with pretrained wav2vec 2.0 and AlexNet",
    by_protocol={PARTNER.name: {name: {"accuracy": wa, "uar": ua} for name, (wa, ua) in FIGURES.items()}},
    labels=EMOTION.labels,
)


def variants(given: Given, corpus: str = "iemocap", emotion: Task = EMOTION, protocol: Protocol = PARTNER):
    """Return variant -> system -> recipe."""
    name, common = f"multilevel_{corpus}", (corpus, emotion, protocol, given)
    options = {"corpus_options": OPTIONS if corpus == "iemocap" else (), "seeds": (0, 1, 2)}
    return {
        corpus: systems(name, *common, **options),
        "levels": single_levels(f"{name}_levels", *common, **options),
        "leaky": leaky(f"{name}_leaky", *common, **options),
    }


RECIPES = flat(variants(NOTHING))

if __name__ == "__main__":
    raise SystemExit(main(variants, __doc__, {"iemocap": PAPER, "leaky": PAPER}))
