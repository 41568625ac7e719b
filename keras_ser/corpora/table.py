"""Tables that a person wrote: rows as dictionaries with the line each came from, genders, metadata beside a corpus."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from keras_ser.corpora.corpus import CorpusError, listed

DELIMITERS = ",;\t"
GENDERS = {
    **dict.fromkeys(("f", "female", "w", "woman"), "female"),
    **dict.fromkeys(("m", "male", "man"), "male"),
    **dict.fromkeys(("", "unknown"), None),
}


def gender(text: str | None) -> str | None:
    """What a person wrote, as "female", "male" or None ("" and "unknown").

    Raises:
        CorpusError: any other word.
    """
    word = (text or "").strip().lower()
    if word not in GENDERS:
        raise CorpusError(f"gender must be female, male or empty (f, w, m are understood). Received: {text!r}.")
    return GENDERS[word]


def read_table(path: str | Path, name: str, required: Iterable[str] = ()) -> list[tuple[int, dict[str, str]]]:
    """Rows of a UTF-8 table as (line number, {column: text}); column names in lower case, everything stripped.

    The separator (comma, semicolon or tab) is the one the header uses most; a byte order mark is passed over, and so
    are empty lines.

    Raises:
        CorpusError: the file is missing, empty or not UTF-8; a column is missing or occurs twice; a row has more or
            fewer fields than the header.
    """
    path = Path(path).expanduser()
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise CorpusError(f"{name}: expected a table in UTF-8. Received: {path}. Save it as UTF-8.") from error
    except OSError as error:
        raise CorpusError(
            f"{name}: expected a CSV file. Received: {path} ({error.strerror}). Check the path."
        ) from error
    if text.lstrip()[:4].lower() == "sep=":  # the first line of Excel's own
        text = "\n" + text.lstrip().partition("\n")[2]  # an empty line, so that the others keep their numbers
    header = text.lstrip().partition("\n")[0]
    delimiter = max(DELIMITERS, key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        for fields in reader:
            if any(field.strip() for field in fields):
                rows.append((reader.line_num, [field.strip() for field in fields]))
    except csv.Error as error:
        raise CorpusError(f"{name}: {path.name}, line {reader.line_num}: {error}.") from error
    if not rows:
        raise CorpusError(f"{name}: expected a header and rows. Received: {path}, which is empty.")
    columns = [column.lower() for column in rows[0][1]]
    missing = [column for column in required if column not in columns]
    if missing:
        raise CorpusError(
            f"{name}: {path.name} must have the columns {listed(required)}. Received: {listed(columns)}. "
            "Name them in the first line."
        )
    if len(set(columns)) < len(columns):
        twice = sorted({column for column in columns if columns.count(column) > 1})
        raise CorpusError(f"{name}: {path.name} names these columns more than once: {listed(map(repr, twice))}.")
    ragged = [str(line) for line, fields in rows[1:] if len(fields) != len(columns)]
    if ragged:
        raise CorpusError(
            f"{name}: every row of {path.name} must have {len(columns)} fields. "
            f"Received others in line {listed(ragged)}. Put fields that hold {delimiter!r} in double quotes."
        )
    return [(line, dict(zip(columns, fields, strict=True))) for line, fields in rows[1:]]


def read_metadata(
    path: str | Path | None, name: str, resolve: Callable[[Mapping[str, str]], Iterable[str] | None]
) -> dict[str, dict[str, str]]:
    """What a table says about clips that a corpus leaves anonymous: utterance id -> {column: text}.

    Args:
        path: a table with a column `id` and any of speaker, gender, film, session; None gives an empty dictionary.
        name: the corpus, for messages.
        resolve: row -> the ids of the utterances it speaks of; none = an unknown clip; None = a row to pass over.

    Raises:
        CorpusError: as `read_table`; rows of clips that the corpus does not have; two rows for one clip; a gender that
            is no gender.
    """
    if path is None:
        return {}
    found: dict[str, dict[str, str]] = {}
    unknown, twice = [], []
    for line, row in read_table(path, name, required=("id",)):
        ids = resolve(row)
        if ids is None:
            continue
        try:
            gender(row.get("gender"))
        except CorpusError as error:
            raise CorpusError(f"{name}: {Path(path).name}, line {line}: {error}") from error
        ids = list(ids)
        unknown += [] if ids else [f"{row['id']} (line {line})"]
        twice += [f"{key} (line {line})" for key in ids if key in found]
        found.update(dict.fromkeys(ids, row))
    if unknown:
        raise CorpusError(
            f"{name}: {Path(path).name} names clips that are not in the corpus: {listed(unknown)}. "
            "Correct the ids, or take these rows out."
        )
    if twice:
        raise CorpusError(f"{name}: {Path(path).name} names these clips more than once: {listed(twice)}.")
    return found
