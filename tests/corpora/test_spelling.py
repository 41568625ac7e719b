import unicodedata

import pytest

from keras_ser.corpora.spelling import comparable, difference, differing_by_zeros, quoted, shown, spellings, visible

NFC, NFD = (unicodedata.normalize(form, "Jos\u00e9") for form in ("NFC", "NFD"))
ALIKE = [
    (NFC, NFD),
    ("Anna", "anna"),
    ("ben", "ben\u200b"),
    ("ben", "\ufeffben"),
    ("ben", "b\u00aden"),
    ("ben", "ben\ufe0f"),
    ("Ann Lee", "Ann  Lee"),
    ("Ann Lee", " Ann\u00a0Lee\t"),
    ("Ann Lee", "Ann \u200b Lee"),
    ("Stra\u00dfe", "STRASSE"),
    ("\u212bsa", "\u00c5sa"),
    ("\uff21nna", "anna"),
    ("\u1112\u1161\u11ab", "\ud55c"),
    ("\u03a3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2", "\u03a3\u038a\u03a3\u03a5\u03a6\u039f\u03a3"),
]


@pytest.mark.parametrize("one, other", ALIKE)
def test_spellings_of_one_name_compare_equal(one, other):
    assert one != other
    assert comparable(one) == comparable(other)
    assert spellings([one, "somebody else", other, one]) == [sorted([one, other])]
    assert difference([one, other])


def test_names_of_different_people_stay_different():
    names = ["Jos\u00e9", "Jose", "Anna", "Ann a", "Anne", "01", "1", "s1", "s-1", "\u738b", "\u6c6a", "a.wav", "a_wav"]
    assert len({comparable(name) for name in names}) == len(names)
    assert spellings(names) == []


def test_names_may_differ_by_leading_zeros_alone():
    names = ["3", "03", "003", "s10", "S010", "0.5", "0.05", "30", "a", "A"]
    assert differing_by_zeros(names) == [["003", "03", "3"], ["S010", "s10"]]


def test_numbers_may_differ_by_a_decimal_zero_alone():
    names = ["1", "1.0", "01", "2.0", "2.00", "10", "1.5", "1.50", "100", "1.0.0", "s1", "s1.0", "-3", "-3.0"]
    assert differing_by_zeros(names) == [["01", "1", "1.0"], ["2.0", "2.00"], ["-3", "-3.0"]]


@pytest.mark.parametrize("one, other", ALIKE)
def test_quoted_spellings_can_be_told_apart(one, other):
    for text in (quoted(one), quoted(other)):
        assert "\n" not in text and visible(text) == text
    # equal only for an eye: letters that NFC makes one must not both be printed
    assert unicodedata.normalize("NFC", quoted(one)) != unicodedata.normalize("NFC", quoted(other))


def test_shown_leaves_plain_names_as_they_are():
    for name in ("anna", "Zo\u00eb", "\u738b\u82b3", "a b.wav", "it's", 'a "b"', "C:x"):
        assert shown(name) == name
    assert shown("a\nb") == r"'a\nb'"
    assert shown("\x1b[31m") == r"'\x1b[31m'"
    assert shown("x" * 200) == f"'{'x' * 77}...'"
