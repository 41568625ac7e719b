"""The figures of the AAE-MTL paper, copied from its tables row by row, beside those that the recipes print."""

import pytest

from tests.recipes.common import imported

# UA, % (table 5: WA, UA); columns: IEMOCAP, MSP-IMPROV
TEN_FOLDS = """
ProgNet [88] | 65.7 ± 1.8 | 60.5 ± 2.1
cnn          | 65.6 ± 2.0 | 59.5 ± 2.4
ae           | 66.4 ± 1.6 | 60.2 ± 2.3
aae          | 68.8 ± 1.2 | 63.6 ± 1.7
"""
SPEAKERS = """
DBN, multi-task [30]  | 62.2       | -
CNN, multi-task [106] | 59.54      | -
aae                   | 66.7 ± 1.4 | 60.3 ± 1.1
CVAE-LSTM [20]        | 62.8       | -
CNN [107]             | 64.2       | -
aae-single            | 64.5 ± 1.5 | 58.1 ± 1.7
"""
ACROSS = """
Attentive CNN [106]   | 45.76
Conditional GAN [109] | 45.4
CycleGAN-DNN [108]    | 46.52 ± 0.43
aae                   | 46.41 ± 0.32
"""
AUXILIARY = """
aae-gender  | 67.5 ± 1.5 | 66.1 ± 1.7 | 60.1 ± 1.2 | 59.3 ± 1.1
aae-speaker | 67.2 ± 1.3 | 65.9 ± 1.6 | 60.5 ± 1.2 | 59.1 ± 1.5
aae         | 68.5 ± 1.2 | -          | 62.5 ± 1.4 | -
"""
# table 6; columns: activation, valence of IEMOCAP, then of MSP-IMPROV
LEVELS = """
aae-gender  | 62.6 ± 1.3 | 61.4 ± 1.2 | 53.7 ± 2.1 | 53.4 ± 1.8
aae-speaker | 63.7 ± 1.2 | 60.8 ± 0.8 | 52.6 ± 2.5 | 52.6 ± 2.3
aae         | 64.5 ± 1.5 | 62.2 ± 1.0 | 54.6 ± 1.4 | 55.4 ± 1.6
"""
# table 6; columns: three and five clusters of IEMOCAP, then of MSP-IMPROV
CLUSTERS = """
aae-gender  | 65.7 ± 1.3 | 53.2 ± 0.8 | 60.1 ± 1.5 | 43.6 ± 1.5
aae-speaker | 64.8 ± 1.5 | 54.2 ± 1.2 | 61.4 ± 1.0 | 43.1 ± 1.2
aae         | 65.1 ± 0.9 | 55.1 ± 1.4 | 62.1 ± 1.8 | 44.3 ± 1.3
"""
UNSEEN, CLIPS, CROSS = "leave-one-speaker-out", "ten-folds-of-clips", "cross-corpus"


def rows(table: str) -> dict[str, list[str]]:
    return {
        name.strip(): [cell.strip() for cell in cells]
        for name, *cells in (r.split("|") for r in table.split("\n")[1:-1])
    }


def printed(papers, variant: str, protocol: str, metric: str) -> dict[str, str]:
    """System -> the paper's figure as a report prints it."""
    from keras_ser.evaluation.tables import PERCENT

    figures = papers[variant].by_protocol[protocol]
    return {name: PERCENT.printed(found[metric]) for name, found in figures.items() if metric in found}


def column(table: str, number: int) -> dict[str, str]:
    """System -> figure, where the paper has one."""
    return {name: cells[number] for name, cells in rows(table).items() if cells[number] != "-"}


@pytest.mark.parametrize(("corpus", "number"), [("iemocap", 0), ("msp_improv", 1)])
def test_the_papers_tables_3_to_6(corpus, number):
    papers = imported(f"aae_{corpus}").PAPERS
    assert printed(papers, corpus, CLIPS, "uar") == column(TEN_FOLDS, number)
    assert printed(papers, corpus, UNSEEN, "uar") == column(SPEAKERS, number) | column(AUXILIARY, 2 * number + 1)
    assert printed(papers, corpus, UNSEEN, "accuracy") == column(AUXILIARY, 2 * number)
    for place, (level, clusters) in enumerate((("activation", "clusters-3"), ("valence", "clusters-5"))):
        assert printed(papers, level, UNSEEN, "uar") == column(LEVELS, 2 * number + place)
        assert printed(papers, clusters, UNSEEN, "uar") == column(CLUSTERS, 2 * number + place)


def test_the_papers_table_4():
    assert printed(imported("aae_cross_corpus").PAPERS, "msp_improv", CROSS, "uar") == column(ACROSS, 0)
