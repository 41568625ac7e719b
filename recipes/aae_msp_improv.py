"""AAE-MTL on MSP-IMPROV: 7798 utterances of anger, happiness, neutral, sadness; 12 speakers, six pairs.

    python recipes/aae_msp_improv.py --corpus-root MSP-IMPROV --corpus-root librispeech=LIBRISPEECH
    .. --variant activation (or valence)                                     three levels: [1, 2.5], (2.5, 3.5], (3.5, 5]
    .. --variant clusters-3, clusters-5, speakers, shares, alpha ..          as in recipes/aae_iemocap.py

The protocols are those of recipes/aae_iemocap.py. Leaving one speaker out, the UA of the whole system is 60.3 in the paper's table
3 and 60.2 in its table 5. `arousal` increases with excitement. A clip whose activation equals a threshold may be in another level
in the paper.
"""

from aae import TEN, main, of_levels, percent
from aae_sweeps import of_the_paper

from keras_ser.cli.other_corpus import LEAVE_ONE_OUT
from keras_ser.cli.recipe_script import flat
from keras_ser.cli.tables import Paper
from keras_ser.tasks import Task

EMOTION = Task("emotion", ("anger", "happiness", "neutral", "sadness"))
OPTIONS = (("emotions", EMOTION.labels),)
PAPER = Paper(
    "Latif et al., tables 3 and 5: MSP-IMPROV, means of ten repeats",
    by_protocol={
        TEN.name: {
            "cnn": {"uar": percent(59.5, 2.4)},
            "ae": {"uar": percent(60.2, 2.3)},
            "aae": {"uar": percent(63.6, 1.7)},
            "ProgNet [88]": {"uar": percent(60.5, 2.1)},
        },
        LEAVE_ONE_OUT.name: {
            "aae-single": {"uar": percent(58.1, 1.7)},
            "aae": {"uar": percent(60.3, 1.1), "accuracy": percent(62.5, 1.4)},
            "aae-gender": {"uar": percent(59.3, 1.1), "accuracy": percent(60.1, 1.2)},
            "aae-speaker": {"uar": percent(59.1, 1.5), "accuracy": percent(60.5, 1.2)},
        },
    },
)
VARIANTS = of_the_paper("aae_msp_improv", "msp_improv", EMOTION, (2.5, 3.5), corpus_options=OPTIONS)
PAPERS = {
    "msp_improv": PAPER,
    "activation": of_levels("MSP-IMPROV", percent(54.6, 1.4), percent(53.7, 2.1), percent(52.6, 2.5)),
    "valence": of_levels("MSP-IMPROV", percent(55.4, 1.6), percent(53.4, 1.8), percent(52.6, 2.3)),
    "clusters-3": of_levels("MSP-IMPROV", percent(62.1, 1.8), percent(60.1, 1.5), percent(61.4, 1.0)),
    "clusters-5": of_levels("MSP-IMPROV", percent(44.3, 1.3), percent(43.6, 1.5), percent(43.1, 1.2)),
}
RECIPES = flat(VARIANTS)

if __name__ == "__main__":
    raise SystemExit(main(VARIANTS, __doc__, PAPERS))
