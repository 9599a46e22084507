"""Text is split into records: where they begin and end, whatever is quoted and however it is read."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus_server.batch.chunk import Position
from serinus_server.batch.readers.text import Records


class Memory:
    """A file in memory that gives as little as is asked for."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def read(self, count: int) -> bytes:
        return self._file.read(count)

    def skip(self, offset: int) -> None:
        self._file.seek(offset)


def split(
    data: bytes,
    rows: int = 1,
    *,
    after: Position | None = None,
    block: int = 7,
    quotes: bool = True,
) -> list[tuple[bytes, int, Position]]:
    """Each record's text and line, and the position after the piece that it came in."""
    records = Records(Memory(data), after or Position(), quotes=quotes, block=block)
    found = []
    while (taken := records.take(rows)) is not None:
        assert len(taken.starts) <= rows
        for index, number in enumerate(taken.numbers):
            found.append((taken.text(index), number, taken.after))
    return found


def texts(data: bytes, **options: bool) -> list[bytes]:
    return [text for text, _, _ in split(data, **options)]


values = st.lists(
    st.lists(st.text('ab",\n ', max_size=5), min_size=2, max_size=3), min_size=1, max_size=12
)


@given(
    values, st.sampled_from(["\n", "\r\n"]), st.integers(1, 5), st.integers(1, 40), st.booleans()
)
def test_every_record_is_what_the_csv_module_reads(
    rows: list[list[str]], end: str, size: int, block: int, cut_off: bool
) -> None:
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator=end).writerows(rows)
    text = file.getvalue()
    if cut_off:
        text = text.removesuffix(end)
    found = split(text.encode(), size, block=block)
    assert [next(csv.reader([text.decode()])) for text, _, _ in found] == rows
    reader = csv.reader(io.StringIO(text, newline=""))
    last = 0
    for _, number, _ in found:
        assert number == last + 1
        next(reader)
        last = reader.line_num


@given(
    st.text('a",\n\r', max_size=60),
    st.integers(1, 4),
    st.integers(1, 40),
    st.integers(1, 40),
    st.booleans(),
)
def test_going_on_after_any_piece_finds_the_same_records(
    text: str, size: int, block: int, other: int, quotes: bool
) -> None:
    data = text.encode()
    whole = split(data, size, block=block, quotes=quotes)
    assert whole == split(data, size, block=other, quotes=quotes)
    for count, (_, _, after) in enumerate(whole):
        if count + 1 == len(whole) or whole[count + 1][2] != after:
            assert split(data, size, after=after, block=other, quotes=quotes) == whole[count + 1 :]


def test_empty_lines_are_no_records_but_lines() -> None:
    found = split(b"\n\na,1\r\n\r\n\nb,2\n\n", 10)
    assert [(text, line) for text, line, _ in found] == [(b"a,1", 3), (b"b,2", 6)]


def test_a_byte_order_mark_is_no_text_and_counts_in_the_offset() -> None:
    data = b"\xef\xbb\xbfa\nb\n"
    (first, _, after), second = split(data)
    assert (first, second[0]) == (b"a", b"b")
    assert after.offset == 5


def test_a_quote_within_a_value_quotes_nothing() -> None:
    assert texts(b'5" pipe,1\n6" pipe,2\n') == [b'5" pipe,1', b'6" pipe,2']


def test_a_quote_that_is_never_closed_costs_only_its_line() -> None:
    assert texts(b'a,1\n"b,2\nc,3\nd,4\n') == [b"a,1", b'"b,2', b"c,3", b"d,4"]


@pytest.mark.parametrize("data", [b"", b"\n", b"\r\n\n"])
def test_nothing_has_no_records(data: bytes) -> None:
    assert texts(data) == []


def test_lines_of_json_end_at_line_ends_whatever_they_quote() -> None:
    assert texts(b'{"a": ",\\""}\n"\n"\n', quotes=False) == [b'{"a": ",\\""}', b'"', b'"']
