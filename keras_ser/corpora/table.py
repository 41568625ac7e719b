"""Read hand-written tables: rows as dictionaries with line numbers, genders, and metadata of a corpus."""

import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from keras_ser.checks import listed
from keras_ser.corpora.corpus import CorpusError
from keras_ser.corpora.label_columns import without_value
from keras_ser.corpora.plain_text import read_text
from keras_ser.corpora.spelling import quoted, shown, visible
from keras_ser.files import user_path

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
DELIMITERS = tuple(_SEPARATORS)
NEWLINE = re.compile(r"\r\n|\r|\n")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_PANDAS_INDEX = re.compile(r"unnamed: [0-9]+")
GENDERS = {
    **dict.fromkeys(("f", "female", "w", "woman"), "female"),
    **dict.fromkeys(("m", "male", "man"), "male"),
    **dict.fromkeys(("", "unknown"), None),
}


def gender(text: str | None) -> str | None:
    """Parse a gender as "female", "male" or None ("" and "unknown"); raises CorpusError for any other word."""
    word = (text or "").strip().lower()
    if word not in GENDERS:
        raise CorpusError(f"gender must be female, male or empty (f, w, m are understood). Received: {text!r}.")
    return GENDERS[word]


def read_table(
    path: str | Path, name: str, required: Iterable[str] = (), likely: Iterable[str] = ()
) -> list[tuple[int, dict[str, str]]]:
    """Read the rows of a UTF-8 table as (number of the line in which the row begins, {column: text}).

    The separator (comma, semicolon or tab) is the one that the header uses most. Column names are converted to lower case. Spaces
    and byte order marks are stripped from fields. Empty lines, columns without name and values (empty columns of a spreadsheet),
    and a column that numbers the rows and has no name or is called "Unnamed: 0" (pandas' index) are left out. The `required` and
    `likely` columns hold files or ids, by which rows within an open quote are recognised.

    Raises:
        CorpusError: the file is missing, empty or not UTF-8 text; a column is missing, has no name or occurs twice; a row
            has more or fewer fields than the header, holds control characters, or repeats the header; a quote opens and
            closes rows later, or never.
    """
    path = user_path(path)
    required = tuple(required)
    text = read_text(path, f"{name}: expected a table in UTF-8.")
    if text.lstrip()[:4].lower() == "sep=":  # Excel's own first line
        text = "\n" + NEWLINE.split(text.lstrip(), maxsplit=1)[-1]  # an empty line, to keep the line numbers
    header = NEWLINE.split(text.lstrip(), maxsplit=1)[0]
    delimiter = max(DELIMITERS, key=header.count)
    records = _records(text, delimiter, (*required, *likely), f"{name}: {path.name}")
    if not records:
        raise CorpusError(f"{name}: expected a header and rows. Received: {path}, which is empty.")
    columns, rows = _columns(records, f"{name}: {path.name}")
    missing = [column for column in required if column not in columns]
    if missing:
        raise CorpusError(
            f"{name}: {path.name} is missing the column{'s' if len(missing) > 1 else ''} {listed(map(repr, missing))}. Received: "
            f"{listed(map(shown, columns))}. Name the columns in the first line, separated by commas, semicolons or tabs."
        )
    separators = _SEPARATORS[delimiter]
    cases = {
        f"every row must have {len(columns)} fields, separated by {separators}": [
            f"{len(fields)} in line {line}, {quoted(delimiter.join(fields[:9]), 40)}"
            for line, fields in rows
            if len(fields) != len(columns)
        ],
        "fields must not hold control characters": [
            f"{quoted(column)} (header)" for column in columns if CONTROL.search(column)
        ]
        + [
            f"{quoted(field)} (line {line}, column {shown(column)})"
            for line, fields in rows
            for column, field in zip(columns, fields, strict=False)
            if CONTROL.search(field)
        ],
        "the header must stand in the first line only": [
            f"it again in line {line}"
            for line, fields in rows
            if fields[0].lower() == columns[0] and [_column(field) for field in fields] == columns
        ],
    }
    split = f"Put fields that hold {separators} in double quotes"
    if rows and all(len(fields) == len(columns) + 1 for _, fields in rows):  # as R's write.table does
        split = "Name the column that the header lacks"
    ways = (split, "Take them out", "Take these lines out")
    for (rule, found), way in zip(cases.items(), ways, strict=True):
        if found:
            raise CorpusError(f"{name}: {path.name}: {rule}. Received: {listed(found)}. {way}.")
    return [(line, dict(zip(columns, fields, strict=True))) for line, fields in rows]


def _column(text: str) -> str:
    """Normalise a column's name: lower case, without invisible characters, single spaces."""
    return " ".join(unicodedata.normalize("NFC", visible(text)).lower().split())


def _field(text: str) -> str:
    """Strip spaces and byte order marks from a field; return "" if it has no visible characters."""
    text = text.strip().strip("\ufeff").strip()
    return text if text.isascii() or visible(text).strip() else ""


def _records(text: str, delimiter: str, likely: Sequence[str], where: str) -> list[tuple[int, list[str]]]:
    """Return (first line, fields) of each row that is not empty; raise CorpusError for a quote that swallows rows."""
    lines = io.StringIO(text, newline="").readlines()
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    records: list[tuple[int, list[str]]] = []
    stray = "Double the quote, close it, or take it out"
    while True:
        first = reader.line_num
        try:
            fields = next(reader)
        except StopIteration:
            return records
        except csv.Error as error:
            raise CorpusError(
                f"{where}: expected fields of at most {csv.field_size_limit()} characters. Received: a longer one in the "
                f"row that begins in line {first + 1}, perhaps by a double quote that does not close. {stray}."
            ) from error
        last = reader.line_num
        if last - first > 1 or last == len(lines):
            head = records[0][1] if records else fields
            closed = _closes(lines[first:last], delimiter)
            if not closed or _rows_within(lines[first:last], delimiter, head, likely):
                end = f"closes only in line {last}, which swallows rows" if closed else "never closes"
                raise CorpusError(
                    f"{where}, line {first + 1}: expected a field that ends in its row. Received: a double quote that opens "
                    f"here and {end}. {stray}."
                )
        fields = [_field(field) for field in fields]
        if any(fields):
            records.append((first + 1, fields))


def _closes(lines: Sequence[str], delimiter: str) -> bool:
    """Return whether the last quote that opens a field in these lines, which form one row, is closed."""
    try:
        list(csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True))
    except csv.Error as error:
        return "unexpected end" not in str(error)
    return True


def _rows_within(lines: Sequence[str], delimiter: str, header: Sequence[str], likely: Sequence[str]) -> bool:
    """Return whether a row of several lines contains lines that look like rows, unlike a text on several lines.

    A line looks like a row if it has a field for each column and, if the first line has one, a suffix in the column
    of the files.
    """
    columns = [_column(field) for field in header]
    place = next((columns.index(name) for name in likely if name in columns), 0)
    suffix = re.compile(r"\.\w{1,5}$")
    fields = [line.rstrip("\r\n").split(delimiter) for line in lines]
    suffixed = len(fields[0]) > place and suffix.search(fields[0][place].strip('" '))
    if not suffixed:
        return any(len(parts) == len(columns) for parts in fields[1:])
    # more fields if a quoted text contains the delimiter
    return any(len(parts) >= len(columns) and suffix.search(parts[place].strip('" ')) for parts in fields[1:])


def _columns(records: Sequence[tuple[int, list[str]]], where: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return (column names, rows) without columns that are empty or number the rows; raise CorpusError for bad names."""
    first = records[0][1][0] if records[0][1] else ""
    if first.startswith("#") and any(len(fields) > len(records[0][1]) for _, fields in records[1:]):
        raise CorpusError(
            f"{where}: the first line must name the columns. Received: {quoted(first)}. Take comments out."
        )
    names = [_column(field) for field in records[0][1]]
    width = max((place + 1 for place, name in enumerate(names) if name), default=0)
    # rows may have empty fields beyond the header, or lack those below empty column names at its end
    rows = [
        (line, fields + [""] * (len(names) - len(fields)) if width <= len(fields) < len(names) else fields)
        for line, fields in records[1:]
    ]
    rows = [(line, fields if any(fields[len(names) :]) else fields[: len(names)]) for line, fields in rows]
    dropped, nameless = set(), []
    for place, name in enumerate(names):
        if name and not _PANDAS_INDEX.fullmatch(name):
            continue
        held = [(line, fields[place]) for line, fields in rows if place < len(fields) and fields[place]]
        values = [value for _, value in held]
        if len(set(values)) == len(values) and all(re.fullmatch(r"-?[0-9]+", value) for value in values):
            dropped.add(place)
        elif not name:
            cases = listed(f"{quoted(value)} (line {line})" for line, value in held)
            nameless.append(f"column {place + 1} with {cases}")
    if nameless:
        raise CorpusError(
            f"{where}: every column with values must have a name in the header. Received: {listed(nameless, 3)}. "
            "Name it, or take it out."
        )
    counts = Counter(name for place, name in enumerate(names) if place not in dropped)
    twice = [repr(name) for name, count in counts.items() if count > 1]
    if twice:
        raise CorpusError(f"{where} names these columns more than once: {listed(twice)}. Rename or remove one of each.")
    if dropped:
        names = [name for place, name in enumerate(names) if place not in dropped]
        rows = [(line, [field for place, field in enumerate(fields) if place not in dropped]) for line, fields in rows]
    return names, rows


def read_metadata(
    path: str | Path | None, name: str, resolve: Callable[[Mapping[str, str]], Sequence[str] | None]
) -> dict[str, dict[str, str | None]]:
    """Read metadata that a corpus lacks from a table: utterance id -> {column: text}, None for a missing value.

    Args:
        path: a table with a column `id` and any of speaker, gender, film, session; None gives an empty dictionary.
        name: the corpus, for messages.
        resolve: row -> the ids of the utterances that it describes; empty = an unknown clip; None = skip the row.

    Raises:
        CorpusError: the errors of `read_table`; unknown clips; two rows for one clip; an unknown gender.
    """
    if path is None:
        return {}
    found: dict[str, dict[str, str | None]] = {}
    unknown, twice = [], []
    for line, row in read_table(path, name, required=("id",)):
        ids = resolve(row)
        if ids is None:
            continue
        about = {column: None if without_value(text) else text for column, text in row.items()}
        try:
            about["gender"] = gender(about.get("gender"))
        except CorpusError as error:
            raise CorpusError(f"{name}: {Path(path).name}, line {line}: {error}") from error
        unknown += [] if ids else [f"{shown(row['id'])} (line {line})"]
        twice += [f"{shown(key)} (line {line})" for key in ids if key in found]
        found.update(dict.fromkeys(ids, about))
    if unknown:
        raise CorpusError(
            f"{name}: {Path(path).name} names clips that are not in the corpus: {listed(unknown)}. "
            "Correct the ids, or remove these rows."
        )
    if twice:
        raise CorpusError(f"{name}: {Path(path).name} names these clips more than once: {listed(twice)}.")
    return found
