"""Names of people, groups and files: compare their spellings, and show them in messages."""

import re
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Mapping

# Characters that Unicode declares ignorable and that are not format characters (category Cf).
_IGNORABLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_WHOLE = re.compile(r"^(-?\d+)\.0+$")


class SpellingWarning(UserWarning):
    """Names that may be spellings of one are taken for different ones."""


def visible(text: str) -> str:
    """Remove invisible characters from a text: zero-width spaces and joiners, byte order marks, soft hyphens, .."""
    if text.isascii():
        return text
    return "".join(c for c in _IGNORABLE.sub("", text) if unicodedata.category(c) != "Cf")


def _spaced(text: str) -> str:
    return " ".join(text.split())


def _composed(text: str) -> str:
    return _spaced(unicodedata.normalize("NFKC", text))


_STEPS: Mapping[str, Callable[[str], str]] = {
    "spaces": _spaced,
    "invisible characters": lambda text: _spaced(visible(text)),
    "composed or combined characters": _composed,
    "case": lambda text: _composed(text.casefold()),
}


def comparable(name: str) -> str:
    """Return the form in which spellings of one name are equal: NFKC, case folded, without invisible characters, single spaces.

    Use it for comparisons only; store and show a name as it was written.

    Example:
        >>> comparable("  M\\u00fcLLER\\u200b ") == comparable("mu\\u0308ller")
        True
    """
    for step in _STEPS.values():
        name = step(name)
    return name


def difference(names: Iterable[str]) -> str:
    """Return how names with the same `comparable` form differ, e.g. "case and spaces"."""
    names, reasons = set(names), []
    for reason, step in _STEPS.items():
        reduced = {step(name) for name in names}
        reasons += [reason] if len(reduced) < len(names) else []
        names = reduced
    return " and ".join(reasons)


def spellings(names: Iterable[str]) -> list[list[str]]:
    """Return the sorted spellings of each name that has several, in the order of first occurrence."""
    found: dict[str, set[str]] = {}
    for name in names:
        found.setdefault(comparable(name), set()).add(name)
    return [sorted(group) for group in found.values() if len(group) > 1]


def warn_of_spellings(what: str, values: Iterable[object]) -> None:
    """Warn of texts that differ in spelling alone, which are taken for different values; `what` they are begins the sentence."""
    groups = spellings(value for value in values if isinstance(value, str))
    if groups:
        found = "; ".join(f"{' = '.join(map(quoted, group))} up to {difference(group)}" for group in groups[:10])
        warnings.warn(
            f"{what} that differ in spelling alone are taken for different ones: {found}.",
            SpellingWarning,
            stacklevel=3,
        )


def differing_by_zeros(names: Iterable[str]) -> list[list[str]]:
    """Return the sorted names that differ only by leading zeros of a number ("3" and "03") or, if they are whole numbers, by zeros
    after the decimal point ("3.0"), which may be one name or several.
    """
    found: dict[str, set[str]] = {}
    for name in names:
        reduced = re.sub(r"(?<![\d.,])0+(?=\d)", "", comparable(name))
        found.setdefault(_WHOLE.sub(r"\1", reduced), set()).add(name)
    return [sorted(group) for group in found.values() if len(set(map(comparable, group))) > 1]


def zeros(names: Iterable[str]) -> str:
    """Return which zeros the names of a group of `differing_by_zeros` differ by."""
    return "zeros after the decimal point" if any(map(_WHOLE.fullmatch, names)) else "leading zeros"


def quoted(text: str, most: int = 80) -> str:
    """Quote a text on one line, shortened to about `most` characters, with indistinguishable characters escaped."""
    text = text if len(text) <= most else text[: most - 3] + "..."
    plain = visible(text) == text and unicodedata.is_normalized("NFC", text)
    return repr(text) if plain else ascii(text)


def shown(text: str, most: int = 80) -> str:
    """Return a text unchanged if it is short and printable, else `quoted`."""
    return text if quoted(text, most) in (f"'{text}'", f'"{text}"') else quoted(text, most)
