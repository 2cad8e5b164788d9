"""IDs that the system generates."""

import time
from os import urandom

__all__ = ["new_id"]


def new_id() -> str:
    """
    Return a UUID of version 7: milliseconds since 1970, then 74 random bits.

    IDs that are generated together are neighbours in an index. Random ones would touch another page of it for each item.

    Source: RFC 9562, section 5.7.
    """
    milliseconds = time.time_ns() // 1_000_000
    bits = milliseconds << 80 | int.from_bytes(urandom(10))
    bits = bits & ~(0xF << 76) | 0x7 << 76  # version
    bits = bits & ~(0x3 << 62) | 0x2 << 62  # variant
    digits = f"{bits:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
