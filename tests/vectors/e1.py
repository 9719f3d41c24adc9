#!/usr/bin/env python3
"""A second implementation of envelope E1, written from the design page and not from the Rust code.

    e1.py check DIR    every vector opens, or is refused, as it says; what opens is sealed again to the same bytes
    e1.py write DIR    writes every vector; the same files each time

Only the two ciphers come from a library (PyPI: cryptography); HKDF, the context, the envelope and the two-key
ciphertext are made here.
"""

import hashlib
import hmac
import json
import pathlib
import struct
import sys
import uuid

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

FORMAT = 1
CIPHERS = {1: AESGCM, 2: ChaCha20Poly1305}
HEADER_BYTES = 1 + 1 + 4 + 32 + 32
TAG_BYTES = 16
CONTEXT_BYTES_MAX = 1024


class Refused(Exception):
    """An envelope that does not open, for whatever reason."""


def hkdf_sha256(key, salt, info, length):
    """RFC 5869."""
    prk = hmac.digest(salt, key, "sha256")
    out, block, counter = b"", b"", 1
    while len(out) < length:
        block = hmac.digest(prk, block + info + bytes([counter]), "sha256")
        out, counter = out + block, counter + 1
    return out[:length]


def encode_context(context):
    """Eight parts, each with its length as u16; an absent part has length 0."""
    def identifier(text):
        return b"" if text is None else uuid.UUID(text).bytes

    parts = [
        context["label"].encode(),
        identifier(context["cluster"]),
        identifier(context["project"]),
        identifier(context["environment"]),
        context["kind"].encode(),
        identifier(context["id"]) + context["name"].encode(),
        b"" if context["version"] is None else struct.pack(">Q", int(context["version"])),
        b"" if context["term"] is None else struct.pack(">I", context["term"]),
    ]
    encoded = b"".join(struct.pack(">H", len(part)) + part for part in parts)
    if len(encoded) > CONTEXT_BYTES_MAX:
        raise Refused("context too long")
    return encoded


def derive(key, alg, salt, place):
    okm = hkdf_sha256(key, salt, b"coffer/E1/" + bytes([alg]) + place, 76)
    return okm[:32], okm[32:44], okm[44:]


def seal(key, alg, context, salt, plaintext):
    place = encode_context(context)
    k, n, c = derive(key, alg, salt, place)
    head = bytes([FORMAT, alg]) + struct.pack(">I", context["term"] or 0) + salt + c
    return head + CIPHERS[alg](k).encrypt(n, plaintext, place)


def open_envelope(key, context, envelope):
    if len(envelope) < HEADER_BYTES + TAG_BYTES:
        raise Refused("too short")
    form, alg, term = struct.unpack(">BBI", envelope[:6])
    salt, commitment, body = envelope[6:38], envelope[38:70], envelope[70:]
    if form != FORMAT or alg not in CIPHERS or context["term"] == 0 or term != (context["term"] or 0):
        raise Refused("format, cipher or term")
    place = encode_context(context)
    k, n, c = derive(key, alg, salt, place)
    if not hmac.compare_digest(c, commitment):
        raise Refused("commitment")
    try:
        return CIPHERS[alg](k).decrypt(n, body, place)
    except InvalidTag:
        raise Refused("tag") from None


# --- a ciphertext that two keys open (invisible salamander), for AES-GCM


def multiply(x, y):
    """In GF(2^128), in GCM's bit order (NIST SP 800-38D, 6.3)."""
    product = 0
    for bit in range(127, -1, -1):
        if x >> bit & 1:
            product ^= y
        y = y >> 1 ^ (0xE1 << 120 if y & 1 else 0)
    return product


def invert(x):
    """x^(2^128 - 2)."""
    result, power = 1 << 127, x
    for _ in range(127):
        power = multiply(power, power)
        result = multiply(result, power)
    return result


def ecb(key, block):
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    return encryptor.update(block) + encryptor.finalize()


def ghash(subkey, aad, ciphertext):
    def padded(data):
        return data + bytes(-len(data) % 16)

    data = padded(aad) + padded(ciphertext) + struct.pack(">QQ", 8 * len(aad), 8 * len(ciphertext))
    state = 0
    for at in range(0, len(data), 16):
        state = multiply(state ^ int.from_bytes(data[at : at + 16]), subkey)
    return state


def xor(left, right):
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def two_key_body(first, second, aad):
    """Three blocks and a tag that (k, n) of `first` and of `second` both accept: the third block makes the tags equal."""
    (k1, n1), (k2, n2) = first, second
    blocks = xor(ecb(k1, n1 + struct.pack(">I", 2)), b"first key's text")
    blocks += xor(ecb(k2, n2 + struct.pack(">I", 3)), b"second key's txt")
    h1, h2 = (int.from_bytes(ecb(k, bytes(16))) for k in (k1, k2))
    e1, e2 = (int.from_bytes(ecb(k, n + struct.pack(">I", 1))) for k, n in (first, second))
    open_end = blocks + bytes(16)
    difference = ghash(h1, aad, open_end) ^ ghash(h2, aad, open_end) ^ e1 ^ e2
    third = multiply(difference, invert(multiply(h1, h1) ^ multiply(h2, h2)))
    ciphertext = blocks + third.to_bytes(16)
    tag = (ghash(h1, aad, ciphertext) ^ e1).to_bytes(16)
    assert tag == (ghash(h2, aad, ciphertext) ^ e2).to_bytes(16)
    return ciphertext + tag


# --- the vectors


def drawn(name, length=32):
    """Bytes that are the same each time."""
    return hashlib.shake_256(b"coffer/E1/vector/" + name.encode()).digest(length)


def identity(name):
    return str(uuid.UUID(bytes=drawn("uuid/" + name, 16)))


def context(label, kind, project=None, environment=None, id=None, name="", version=None, term=None):
    return {
        "label": label,
        "cluster": identity("cluster"),
        "project": project and identity(project),
        "environment": environment and identity(environment),
        "kind": kind,
        "id": id and identity(id),
        "name": name,
        "version": None if version is None else str(version),
        "term": term,
    }


PLACE = {"project": "project", "environment": "environment"}
SECRET = PLACE | {"id": "secret", "name": "billing/stripe"}
RANKS = {
    "seal": (context("seal", "root-key", id="cluster", name="argon2id m=65536 t=3 p=1"), 32),
    "root": (context("root", "system-key", version=1, term=1), 32),
    "root-environment": (context("root", "environment-key", **PLACE, version=3, term=1), 32),
    "system": (context("system", "principal", id="principal", name="billing", term=2), 180),
    "environment": (context("environment", "data-key", **SECRET, version=7, term=3), 32),
    "data": (context("data", "version", **SECRET, version=7), 100),
    "audit": (context("audit", "segment", id="stream", name="41", version=4096, term=1), 1000),
    "audit-summary": (context("audit", "segment-summary", id="stream", name="41", version=4096, term=1), 60),
    "empty": (context("data", "version", **SECRET, version=1), 0),
    "block": (context("data", "version", **SECRET, version=1), 16),
    "extremes": (
        context("environment", "data-key", **PLACE, id="secret", name="p" * 512, version=2**64 - 1, term=2**32 - 1),
        32,
    ),
    "absent": (context("data", "version"), 5),
}
MOVES = {
    "label": "system",
    "cluster": identity("another cluster"),
    "project": identity("another project"),
    "environment": identity("another environment"),
    "kind": "version-2",
    "id": identity("another secret"),
    "name": "billing/stripf",
    "version": "8",
}


def vectors():
    """Every vector: (name, why it is refused or None, key, context, plaintext or None, envelope)."""
    for alg, cipher in ((1, "aes256gcm"), (2, "chacha20poly1305")):
        for rank, (place, length) in RANKS.items():
            name = f"{cipher}-{rank}"
            key, salt, text = drawn(name + "/key"), drawn(name + "/salt"), drawn(name + "/text", length)
            yield name, None, key, place, text, seal(key, alg, place, salt, text)
        yield from refused(alg, cipher)
    yield from two_keys()


def refused(alg, cipher):
    place, length = RANKS["environment"]
    key, salt, text = (drawn(f"{cipher}-refused/{part}", size) for part, size in (("key", 32), ("salt", 32), ("text", length)))
    good = seal(key, alg, place, salt, text)

    def case(name, why, envelope=good, key=key, place=place):
        return f"{cipher}-refused-{name}", why, key, place, None, envelope

    def flipped(at):
        return good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]

    yield case("empty", "no bytes at all", b"")
    yield case("header-only", "ends after the commitment", good[:HEADER_BYTES])
    yield case("short-header", "ends inside the commitment", good[: HEADER_BYTES - 1])
    yield case("short-tag", "one byte less than a tag", good[: HEADER_BYTES + TAG_BYTES - 1])
    yield case("truncated", "the last byte is missing", good[:-1])
    yield case("truncated-text", "a byte of ciphertext is missing", good[:HEADER_BYTES] + good[HEADER_BYTES + 1 :])
    yield case("trailing", "one byte too many", good + b"\0")
    yield case("doubled", "the envelope twice", good + good)
    yield case("format", "another format byte", b"\x02" + good[1:])
    yield case("unknown-cipher", "no such cipher", good[:1] + b"\x03" + good[2:])
    yield case("cipher-zero", "no such cipher", good[:1] + b"\x00" + good[2:])
    yield case("other-cipher", "the other cipher's number", good[:1] + bytes([3 - alg]) + good[2:])
    yield case("flipped-term", "a bit of the term", flipped(5))
    yield case("flipped-salt", "a bit of the salt", flipped(6))
    yield case("flipped-commitment", "a bit of the commitment", flipped(69))
    yield case("flipped-text", "a bit of the ciphertext", flipped(HEADER_BYTES))
    yield case("flipped-tag", "a bit of the tag", flipped(len(good) - 1))
    yield case("wrong-key", "a key with one other bit", key=bytes([key[0] ^ 1]) + key[1:])
    yield case("zero-commitment", "a commitment of zeroes", good[:38] + bytes(32) + good[70:])
    for part, value in MOVES.items():
        yield case(f"moved-{part}", f"opened with another {part}", place=place | {part: value})
        if part in ("project", "environment", "version"):
            yield case(f"absent-{part}", f"opened without its {part}", place=place | {part: None})
    yield case("moved-border", "a character moved from one part to the next", place=place | {"kind": "data-ke", "name": "y" + place["name"]})
    yield case("wrong-term", "opened for another term", place=place | {"term": 4})
    forged = good[:2] + struct.pack(">I", 4) + good[6:]
    yield case("forged-term", "the head's term was changed to the term asked for", forged, place=place | {"term": 4})
    yield case("absent-term", "the term is dropped from head and context", good[:2] + bytes(4) + good[6:], place=place | {"term": None})
    zero = place | {"term": 0}
    yield case("term-zero", "a term of 0 is no term, even sealed so", seal(key, alg, zero, salt, text), place=zero)
    long = place | {"name": "p" * 1024}
    yield case("long-context", "a context beyond 1024 bytes", place=long)


def two_keys():
    """One AES-GCM body which both derived keys accept; the commitment is the first's, so only the first opens it."""
    place, salt = RANKS["data"][0], drawn("two-key/salt")
    keys = [drawn("two-key/first"), drawn("two-key/second")]
    (k1, n1, c1), (k2, n2, _) = (derive(key, 1, salt, encode_context(place)) for key in keys)
    body = two_key_body((k1, n1), (k2, n2), encode_context(place))
    texts = [AESGCM(k).decrypt(n, body, encode_context(place)) for k, n in ((k1, n1), (k2, n2))]
    assert texts[0][:16] == b"first key's text" and texts[1][16:32] == b"second key's txt"
    envelope = bytes([FORMAT, 1]) + bytes(4) + salt + c1 + body
    yield "aes256gcm-two-key-first", None, keys[0], place, texts[0], envelope
    yield "aes256gcm-two-key-refused", "the cipher accepts this key too: only the commitment refuses it", keys[1], place, None, envelope


def encode(vector):
    name, why, key, place, plaintext, envelope = vector
    fields = {"expect": "refused" if why else "opens"} | ({"why": why} if why else {})
    fields |= {"key": key.hex(), "context": place}
    if not why:
        fields |= {"encoded_context": encode_context(place).hex(), "plaintext": plaintext.hex()}
    fields |= {"envelope": envelope.hex()}
    return name + ".json", json.dumps(fields, indent=2) + "\n"


def check_one(vector):
    """What is wrong with a vector, or None."""
    key, place, envelope = bytes.fromhex(vector["key"]), vector["context"], bytes.fromhex(vector["envelope"])
    try:
        text = open_envelope(key, place, envelope)
    except Refused as reason:
        return None if vector["expect"] == "refused" else f"is refused: {reason}"
    if vector["expect"] != "opens":
        return "opens"
    if text.hex() != vector["plaintext"]:
        return "opens to another text"
    if encode_context(place).hex() != vector["encoded_context"]:
        return "has another context"
    if seal(key, envelope[1], place, envelope[6:38], text) != envelope:
        return "is sealed to other bytes"
    return None


def main(arguments):
    if len(arguments) != 2 or arguments[0] not in ("check", "write"):
        print(__doc__, file=sys.stderr)
        return 2
    directory = pathlib.Path(arguments[1])
    if arguments[0] == "write":
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in map(encode, vectors()):
            (directory / name).write_text(text)
        return 0
    files = sorted(directory.glob("*.json"))
    wrong = [(file.name, problem) for file in files if (problem := check_one(json.loads(file.read_text())))]
    for name, problem in wrong:
        print(f"{name} {problem}")
    print(f"{len(files)} vectors, {len(wrong)} wrong")
    return 1 if wrong or not files else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
