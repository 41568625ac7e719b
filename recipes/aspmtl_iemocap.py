"""ASP-MTL on IEMOCAP: the usual 5531 utterances of anger, happiness (with excited), neutral, sadness; 10 speakers, 5 sessions.

    python recipes/aspmtl_iemocap.py --corpus-root IEMOCAP_full_release

Protocols: the paper's random 80/20 (speaker-dependent) and leave one session out (both of its speakers; the next session selects
the epoch). The paper's table 9 reports an accuracy of 90.13 % on IEMOCAP, which repeats its score for AFEW. Table 9 with its
ablations requires added noise (see recipes/aspmtl_ablation.py).
"""

from aspmtl import RANDOM, variants

from keras_ser.cli import recipe_main
from keras_ser.splits import Protocol
from keras_ser.tasks import Task

EMOTION = Task("emotion", ("anger", "happiness", "neutral", "sadness"), merge={"excited": "happiness"})
OPTIONS = (("emotions", ("anger", "happiness", "excited", "neutral", "sadness")),)
PROTOCOLS = (
    RANDOM,
    Protocol("leave-one-session-out", "leave-one-out", by="session", validation=1, apart=("speaker",)),
)
PAPER = (("emotion", "accuracy", 0.9013, "Liu & Zhang, table 9 (IEMOCAP with added noise, random 80/20)"),)
RECIPES = variants("aspmtl_iemocap", "iemocap", EMOTION, PROTOCOLS, PAPER, "paper", corpus_options=OPTIONS)

if __name__ == "__main__":
    raise SystemExit(recipe_main(RECIPES, __doc__))
