"""AAE-MTL on MSP-IMPROV: 7798 utterances of anger, happiness, neutral, sadness; 12 speakers, six pairs.

    python recipes/aae_msp_improv.py --corpus-root MSP-IMPROV --corpus-root librispeech=LIBRISPEECH
    .. --variant activation (or valence)                                     three levels: [1, 2.5], (2.5, 3.5], (3.5, 5]
    .. --variant clusters-3, clusters-5, speakers, alpha, beta               as in recipes/aae_iemocap.py

Protocols as in recipes/aae_iemocap.py. Leaving one speaker out, the UA of the whole system is 60.3 in the paper's table 3 and 60.2
in its table 5. `arousal` increases with excitement; a clip whose activation is exactly a threshold may be in another level in the
paper.
"""

from aae import SPEAKERS, TEN, clusters, levels, main, more_speakers, of_levels, systems, weights

from keras_ser.cli.recipe_script import flat
from keras_ser.cli.tables import Paper
from keras_ser.tasks import Task

EMOTION = Task("emotion", ("anger", "happiness", "neutral", "sadness"))
OPTIONS = (("emotions", EMOTION.labels),)
PAPER = Paper(
    "Latif et al., tables 3 and 5: MSP-IMPROV, means of ten repeats",
    by_protocol={
        TEN.name: {"cnn": {"uar": 0.595}, "ae": {"uar": 0.602}, "aae": {"uar": 0.636}},
        SPEAKERS.name: {
            "aae-single": {"uar": 0.581},
            "aae": {"uar": 0.603, "accuracy": 0.625},
            "aae-gender": {"uar": 0.593, "accuracy": 0.601},
            "aae-speaker": {"uar": 0.591, "accuracy": 0.605},
        },
    },
)
VARIANTS = {
    "msp_improv": systems("aae_msp_improv", "msp_improv", EMOTION, corpus_options=OPTIONS),
    "activation": levels("activation", "msp_improv", "arousal", (2.5, 3.5), corpus_options=OPTIONS),
    "valence": levels("valence", "msp_improv", "valence", (2.5, 3.5), corpus_options=OPTIONS),
    "clusters-3": clusters(3, "msp_improv", corpus_options=OPTIONS),
    "clusters-5": clusters(5, "msp_improv", corpus_options=OPTIONS),
    "speakers": more_speakers(
        "aae_msp_improv", "msp_improv", EMOTION, (0, 100, 200, 300, 400, 500, 600), corpus_options=OPTIONS
    ),
    **weights("aae_msp_improv", "msp_improv", EMOTION, corpus_options=OPTIONS),
}
PAPERS = {
    "msp_improv": PAPER,
    "activation": of_levels("MSP-IMPROV", 0.546, 0.537, 0.526),
    "valence": of_levels("MSP-IMPROV", 0.554, 0.534, 0.526),
    "clusters-3": of_levels("MSP-IMPROV", 0.621, 0.601, 0.614),
    "clusters-5": of_levels("MSP-IMPROV", 0.443, 0.436, 0.431),
}
RECIPES = flat(VARIANTS)

if __name__ == "__main__":
    raise SystemExit(main(VARIANTS, __doc__, PAPERS))
