"""Files of rows as people have them: one strict reader for CSV, TSV, JSONL and Parquet.

Training and bulk encoding read through it. Needs pyarrow for Parquet only, never torch; knows nothing of
texts, logs or models. The server does not import it.
"""

from tabular.counts import BadRows, BadRowsPolicy, RowCounts
from tabular.errors import DataError
from tabular.lines import Lines
from tabular.reader import FORMATS, Format, column_names, format_of, named_rows, read_rows
from tabular.rows import Row
from tabular.times import TimeColumn

__all__ = [
    "FORMATS",
    "BadRows",
    "BadRowsPolicy",
    "DataError",
    "Format",
    "Lines",
    "Row",
    "RowCounts",
    "TimeColumn",
    "column_names",
    "format_of",
    "named_rows",
    "read_rows",
]
