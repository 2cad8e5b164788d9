"""
The root certificates that the functions trust, as a folder for OpenSSL.

OpenSSL takes 18 ms of each cold start to read a file of all roots. In a folder it opens only the root that it needs, whose file
name is a hash of the subject. The roots are those of certifi, so that they have a version and a hash on every machine.

Source: the manual page of `openssl rehash`, and X509_NAME_hash_ex in crypto/x509 of OpenSSL.
"""

import base64
import re
from collections.abc import Iterator
from hashlib import sha1
from pathlib import Path
from typing import Final

import certifi

__all__ = ["subject_hash", "trust_folder"]

_PEM: Final = re.compile(
    r"-----BEGIN CERTIFICATE-----\s(?P<der>[A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----"
)

# Tags of DER. Source: ITU-T X.690.
_SET: Final = 0x31
_SEQUENCE: Final = 0x30
_VERSION: Final = 0xA0
_UTF8: Final = 0x0C
_LONG_FORM: Final = 0x80
# Text types, which are compared by their characters. Other values are compared as encoded.
_ENCODINGS: Final = {
    _UTF8: "utf-8",
    0x13: "ascii",  # PrintableString
    0x14: "latin-1",  # T61String
    0x16: "ascii",  # IA5String
    0x1A: "ascii",  # VisibleString
    0x1C: "utf-32-be",  # UniversalString
    0x1E: "utf-16-be",  # BMPString
}


def trust_folder() -> dict[str, bytes]:
    """Return the files of the folder: ``{"3513523f.0": b"-----BEGIN CERTIFICATE-----..."}``."""
    pem = Path(certifi.where()).read_text(encoding="utf-8")
    files: dict[str, bytes] = {}
    for der in sorted({base64.b64decode(match["der"]) for match in _PEM.finditer(pem)}):
        name = f"{subject_hash(der):08x}"
        number = sum(place.startswith(name) for place in files)
        body = base64.encodebytes(der).replace(b"\n", b"")
        lines = b"\n".join(body[start : start + 64] for start in range(0, len(body), 64))
        files[f"{name}.{number}"] = (
            b"-----BEGIN CERTIFICATE-----\n" + lines + b"\n-----END CERTIFICATE-----\n"
        )
    return files


def subject_hash(certificate: bytes) -> int:
    """Return the hash in the file name of a DER *certificate*, as in `openssl x509 -subject_hash`."""
    [(_, content)] = _parts(certificate)
    fields = [part for part in _parts(next(_parts(content))[1]) if part[0] != _VERSION]
    # Serial number, signature, issuer, validity, subject. Source: RFC 5280, section 4.1.
    _, subject = fields[4]
    canonical = b"".join(_canonical_set(names) for _, names in _parts(subject))
    return int.from_bytes(sha1(canonical, usedforsecurity=False).digest()[:4], "little")


def _canonical_set(names: bytes) -> bytes:
    attributes = []
    for _, attribute in _parts(names):
        (kind_tag, kind), (tag, value) = _parts(attribute)
        if tag in _ENCODINGS:
            text = re.sub(r"[ \t\n\v\f\r]+", " ", value.decode(_ENCODINGS[tag])).strip(" ")
            # Only ASCII letters are converted.
            tag, value = _UTF8, text.encode().lower()
        attributes.append(_encoded(_SEQUENCE, _encoded(kind_tag, kind) + _encoded(tag, value)))
    return _encoded(_SET, b"".join(sorted(attributes)))


def _parts(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the tag and the content of each value in *content*."""
    place = 0
    while place < len(content):
        tag, length = content[place], content[place + 1]
        place += 2
        if length & _LONG_FORM:
            digits = length ^ _LONG_FORM
            length = int.from_bytes(content[place : place + digits], "big")
            place += digits
        yield tag, content[place : place + length]
        place += length


def _encoded(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < _LONG_FORM:
        return bytes([tag, length]) + content
    digits = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, _LONG_FORM | len(digits)]) + digits + content
