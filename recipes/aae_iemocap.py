"""AAE-MTL on IEMOCAP: 5531 utterances of anger, happiness (with excited), neutral, sadness; 10 speakers.

    python recipes/aae_iemocap.py --corpus-root IEMOCAP_full_release --corpus-root librispeech=LIBRISPEECH
    .. --variant activation (or valence)                                     three levels: [1, 2], (2, 3.5], (3.5, 5]
    .. --variant clusters-3 (or clusters-5)                                  k-means of valence and activation
    .. --variant speakers --corpus-root librispeech=DIR                      figure 4a: 0 to 900 auxiliary speakers
    .. --variant speakers-gender (or speakers-identity) --corpus-root ..     figures 4b to 4d: one auxiliary task
    .. --variant shares                                                      emotion labels for 10 to 100 % of the speakers
    .. --variant alpha (or beta, alpha-activation, beta-valence ..)          figure 5

Protocols: ten folds of clips with every speaker in each, and leave one speaker out (the next speaker selects the epoch; the paper
says "five-fold" without defining the folds). The paper's scores (tables 3, 5 and 6) are means over ten repeats; here these are ten
seeds. The paper's auxiliary corpus is LibriSpeech with 600 speakers: --aux-speakers 600.
"""

from aae import TEN, main, of_levels, percent
from aae_sweeps import of_the_paper
from aspmtl_iemocap import EMOTION, OPTIONS

from keras_ser.cli.other_corpus import LEAVE_ONE_OUT
from keras_ser.cli.recipe_script import flat
from keras_ser.cli.tables import Paper

PAPER = Paper(
    "Latif et al., tables 3 and 5: IEMOCAP, means of ten repeats",
    by_protocol={
        TEN.name: {
            "cnn": {"uar": percent(65.6, 2.0)},
            "ae": {"uar": percent(66.4, 1.6)},
            "aae": {"uar": percent(68.8, 1.2)},
            "ProgNet [88]": {"uar": percent(65.7, 1.8)},
        },
        LEAVE_ONE_OUT.name: {
            "aae-single": {"uar": percent(64.5, 1.5)},
            "aae": {"uar": percent(66.7, 1.4), "accuracy": percent(68.5, 1.2)},
            "aae-gender": {"uar": percent(66.1, 1.7), "accuracy": percent(67.5, 1.5)},
            "aae-speaker": {"uar": percent(65.9, 1.6), "accuracy": percent(67.2, 1.3)},
            "DBN, multi-task [30]": {"uar": percent(62.2)},
            "CNN, multi-task [106]": {"uar": percent(59.54)},
            "CVAE-LSTM [20]": {"uar": percent(62.8)},
            "CNN [107]": {"uar": percent(64.2)},
        },
    },
)
VARIANTS = of_the_paper("aae_iemocap", "iemocap", EMOTION, (2.0, 3.5), corpus_options=OPTIONS)
PAPERS = {
    "iemocap": PAPER,
    "activation": of_levels("IEMOCAP", percent(64.5, 1.5), percent(62.6, 1.3), percent(63.7, 1.2)),
    "valence": of_levels("IEMOCAP", percent(62.2, 1.0), percent(61.4, 1.2), percent(60.8, 0.8)),
    "clusters-3": of_levels("IEMOCAP", percent(65.1, 0.9), percent(65.7, 1.3), percent(64.8, 1.5)),
    "clusters-5": of_levels("IEMOCAP", percent(55.1, 1.4), percent(53.2, 0.8), percent(54.2, 1.2)),
}
RECIPES = flat(VARIANTS)

if __name__ == "__main__":
    raise SystemExit(main(VARIANTS, __doc__, PAPERS))
