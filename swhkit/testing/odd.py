"""Odd texts and moments, for the contracts of the request store."""

from __future__ import annotations

import datetime

NOON = datetime.datetime(2024, 3, 1, 12, 30, 5, 123456, datetime.UTC)
NAIVE = NOON.replace(tzinfo=None)
TOKYO = datetime.timezone(datetime.timedelta(hours=9))
WEST = datetime.timezone(-datetime.timedelta(hours=8, minutes=30))

#: Beyond 64 bits.
FAR = 1 << 70
#: In the order of their code points, which is not that of UTF-16, of letters, or of the bytes of any locale.
ALPHABETICAL = ("A%", "Z", "a", "a b", "a_", "b", "zz", "é", "\uffee", "\U0001f680")
#: No text: it cannot be encoded.
SURROGATE = "a\udcffb"
#: Nothing in them means anything to a store.
ODD_TEXTS = (
    "",
    "a\0b",
    "' OR 1=1; --",
    '"%_*?[a]\\',
    " \t\r\n ",
    "\ufeffbom \u202eright to left\u202c",
    "e\u0301 \u00e9 are two",
    "\U0010ffff\uffff\u0000",
    "x" * 100_000,
)
