#!/usr/bin/env python3
"""Verifies a Coffer audit bundle, written from docs/audit-bundle.md alone.

    verify_bundle.py [--mutations] BUNDLE VKEY        VKEY is a verifier key, or @FILE

Exit codes: 0 verified, 6 damaged, 2 usage, unreadable file or malformed key. With --mutations every bit of the
bundle is flipped, every line dropped, repeated and swapped with the next; exit 6 unless all of these are refused.
Needs Python 3.9 and the package `cryptography`.
"""
import base64
import binascii
import datetime
import hashlib
import json
import re
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

CLUSTER = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
STREAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
NUMBER = re.compile(r"0|[1-9][0-9]{0,19}")
TIME = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})\.([0-9]{6})Z")
REQUIRED = {"action", "as_of", "format", "id", "index", "outcome", "resource", "salt", "stream", "time", "verdict"}
OPTIONAL = {"digest", "metadata", "principal", "request", "scope", "source", "token", "user_agent", "version"}
TEXTS = ("action", "id", "principal", "request", "resource", "scope", "source", "stream", "token", "user_agent")
SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


class Damage(Exception):
    """The bundle does not verify."""


class BadKey(Exception):
    """The key is malformed."""


def need(condition, sentence):
    if not condition:
        raise Damage(sentence)


def number(text):
    need(isinstance(text, str) and NUMBER.fullmatch(text), "a number is not spelled as one")
    value = int(text)
    need(value < 2**64, "a number is too large")
    return value


def unbase64(text, length):
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise Damage("base64 is malformed") from error
    need(base64.b64encode(data).decode("ascii") == text and len(data) == length, "base64 is not canonical")
    return data


# --- the key ---------------------------------------------------------------------------------------------------

P = 2**255 - 19
D = -121665 * pow(121666, P - 2, P) % P


def sound_point(encoded):
    """Whether 32 bytes are the canonical encoding of a curve point that is not of small order."""
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    if y >= P:
        return False
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x * x % P != square or (x == 0 and sign):
        return False
    for _ in range(3):
        product = D * x * x * y * y % P
        x, y = 2 * x * y * pow(1 + product, P - 2, P) % P, (y * y + x * x) * pow(1 - product, P - 2, P) % P
    return (x, y) != (0, 1)


class Key:
    def __init__(self, text):
        parts = text.split("+", 2)
        if len(parts) != 3:
            raise BadKey("a key is NAME+ID+KEY")
        self.text, self.name = text, parts[0]
        if not self.name or any(c.isspace() or ord(c) < 32 or 127 <= ord(c) < 160 for c in self.name):
            raise BadKey("the key's name is not well formed")
        try:
            typed = unbase64(parts[2], 33)
        except Damage as error:
            raise BadKey(str(error)) from error
        self.id = hashlib.sha256(self.name.encode() + b"\n" + typed).digest()[:4]
        if typed[0] != 1 or not sound_point(typed[1:]):
            raise BadKey("the key is not a sound Ed25519 key")
        if parts[1] != self.id.hex():
            raise BadKey("the key's id does not belong to it")
        self.public = Ed25519PublicKey.from_public_bytes(typed[1:])


# --- records ---------------------------------------------------------------------------------------------------

def escape(match):
    return SHORT.get(match.group()) or "\\u%04x" % ord(match.group())


def canonical(value):
    """RFC 8785 for the values a record may hold."""
    if isinstance(value, str):
        return '"' + re.sub(r'[\x00-\x1f"\\]', escape, value) + '"'
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(canonical(key) + ":" + canonical(value[key]) for key in keys) + "}"
    need(type(value) is int, "a value is neither a string, an object nor an integer")
    return str(value)


def pairs(items):
    value = dict(items)
    need(len(value) == len(items), "a key stands twice")
    return value


def instant(text):
    parts = TIME.fullmatch(text) if isinstance(text, str) else None
    need(parts, "a time is not spelled as one")
    need(int(parts[1]) >= 1970, "a time is before 1970")
    try:
        return datetime.datetime(*map(int, parts.groups()))
    except ValueError as error:
        raise Damage("a time does not exist") from error


def is_hex(text, length):
    return isinstance(text, str) and re.fullmatch("[0-9a-f]{%d}" % (2 * length), text) is not None


def anchored(record):
    """The heads an anchor writes down, or None for any other record."""
    kind = (record["action"], record["resource"], record.get("principal"))
    if kind != ("audit", "sys/streams", "system/streams"):
        return None
    need(record["verdict"] == "allowed", "an anchor is refused")
    heads = []
    for stream, head in record.get("metadata", {}).items():
        size, space, root = head.partition(" ")
        need(STREAM.fullmatch(stream) and space, "an anchor is malformed")
        heads.append((stream, number(size), unbase64(root, 32)))
    return heads


def pruned(record):
    """The ranges of records that a record allows to be missing, or None for any other record."""
    kind = (record["action"], record["resource"], record.get("principal"))
    if kind != ("audit", "sys/retention", "system/retention"):
        return None
    need(record["verdict"] == "allowed", "a pruning is refused")
    ranges = []
    for stream, text in record.get("metadata", {}).items():
        parts = text.split(" ")
        need(STREAM.fullmatch(stream) and len(parts) == 3, "a pruning is malformed")
        first, end = number(parts[0]), number(parts[1])
        need(first < end, "a pruning is malformed")
        ranges.append((stream, first, end, unbase64(parts[2], 32)))
    return ranges


def read_record(line):
    """A record's stream, index, time, anchored heads, pruned ranges and leaf hash."""
    need(len(line) <= 16384, "a record is too long")
    try:
        record = json.loads(line.decode("utf-8"), object_pairs_hook=pairs)
        need(isinstance(record, dict), "a record is no object")
        need(canonical(record).encode("utf-8") == line, "a record is not canonical")
    except (ValueError, RecursionError) as error:
        raise Damage("a record is no JSON") from error
    need(REQUIRED <= record.keys() <= REQUIRED | OPTIONAL, "a record lacks a key or has an unknown one")
    need(all(isinstance(record.get(key, ""), str) for key in TEXTS), "a field is no string")
    need(type(record["format"]) is int and record["format"] == 1, "a record has another format")
    need(is_hex(record["salt"], 16) and is_hex(record.get("digest", "0" * 64), 32), "salt or digest is malformed")
    need(record["verdict"] in ("allowed", "refused"), "a verdict is neither allowed nor refused")
    outcome = record["outcome"]
    need(isinstance(outcome, dict) and outcome.keys() == {"code", "status"}, "an outcome is malformed")
    need(isinstance(outcome["code"], str) and type(outcome["status"]) is int, "an outcome is malformed")
    need(100 <= outcome["status"] <= 999, "a status is out of range")
    metadata = record.get("metadata", {})
    need(isinstance(metadata, dict) and all(isinstance(v, str) for v in metadata.values()), "metadata is malformed")
    number(record["as_of"]), number(record.get("version", "0"))
    leaf = hashlib.sha256(b"\0" + line).digest()
    return record["stream"], number(record["index"]), instant(record["time"]), anchored(record), pruned(record), leaf


# --- the tree --------------------------------------------------------------------------------------------------

class Tree:
    """Grows leaf by leaf; `subtrees` are the full subtrees of the leaves so far, largest first."""

    def __init__(self):
        self.size, self.subtrees = 0, []

    def push(self, node, level=0):
        bits = self.size >> level
        while bits & 1:
            node = hashlib.sha256(b"\1" + self.subtrees.pop() + node).digest()
            bits >>= 1
        self.subtrees.append(node)
        self.size += 1 << level

    def root(self):
        if not self.subtrees:
            return hashlib.sha256(b"").digest()
        node = self.subtrees[-1]
        for left in reversed(self.subtrees[:-1]):
            node = hashlib.sha256(b"\1" + left + node).digest()
        return node


# --- the bundle ------------------------------------------------------------------------------------------------

def read_head(head, key):
    """Opens a signed head: its stream, size and root."""
    need(len(head) <= 1024, "a head is too long")
    try:
        lines = head.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise Damage("a head is no text") from error
    need(len(lines) == 6 and lines[3] == "" and lines[5] == "", "a head is not five lines")
    need(lines[0].startswith(key.name + "/"), "a head is another cluster's")
    stream, size, root = lines[0][len(key.name) + 1:], number(lines[1]), unbase64(lines[2], 32)
    start = "\u2014 " + key.name + " "
    need(lines[4].startswith(start), "a head is signed under another name")
    stamped = unbase64(lines[4][len(start):], 68)
    need(stamped[:4] == key.id, "a head is signed by another key")
    try:
        key.public.verify(stamped[4:], "\n".join(lines[:3]).encode() + b"\n")
    except InvalidSignature as error:
        raise Damage("a head's signature does not hold") from error
    return stream, size, root


class Lines:
    def __init__(self, text):
        self.lines = text.split(b"\n")
        self.at = 0
        need(self.lines.pop() == b"", "the last line has no newline")

    def next(self):
        need(self.at < len(self.lines), "the bundle ends in the middle")
        self.at += 1
        return self.lines[self.at - 1]

    def field(self, word):
        line = self.next()
        need(line.startswith(word) and len(line) <= 1024, "a line is not what belongs there")
        try:
            return line[len(word):].decode("utf-8")
        except UnicodeDecodeError as error:
            raise Damage("a line is no text") from error


def verify(text, key, read_record=read_record, read_head=read_head):
    """Raises Damage, or returns [(stream, size, root)]. The readers may be remembered versions of the two above."""
    lines = Lines(text)
    need(lines.next() == b"coffer-audit-bundle 1", "this is no audit bundle")
    cluster = lines.field(b"cluster ")
    need(CLUSTER.fullmatch(cluster) and key.name == "coffer/" + cluster, "the bundle is another cluster's")
    need(lines.field(b"key ") == key.text, "the bundle names another key")
    count = number(lines.field(b"streams "))
    need(1 <= count <= 65536, "the number of streams is out of range")
    nodes, streams, demands, ranges = {}, [], [], []
    for _ in range(count):
        stream = lines.field(b"stream ")
        need(STREAM.fullmatch(stream), "a stream's id is malformed")
        need(not streams or streams[-1][0] < stream, "the streams are not in order")
        said, size, root = read_head(b"".join(lines.next() + b"\n" for _ in range(5)), key)
        need(said == stream, "a head is another stream's")
        nodes[stream] = read_stream(lines, stream, size, root, demands, ranges, read_record)
        streams.append((stream, size, root))
    total = sum(size for _, size, _ in streams)
    need(number(lines.field(b"end ")) == total, "the last line counts wrong")
    need(lines.at == len(lines.lines), "something follows the end")
    for stream, size, _ in streams:
        allow([one[1:] for one in ranges if one[0] == stream], nodes[stream], size)
    meet(demands, nodes, {stream: size for stream, size, _ in streams})
    return streams


GAP = re.compile(rb"pruned (.*) (.*)", re.DOTALL)


def read_gap(line, position, size):
    """The level and hash of a line that stands for records that were pruned."""
    parts = GAP.fullmatch(line)
    need(parts, "a gap is malformed")
    try:
        level, node = number(parts[1].decode("utf-8")), unbase64(parts[2].decode("utf-8"), 32)
    except UnicodeDecodeError as error:
        raise Damage("a gap is no text") from error
    need(level <= 8 and position % (1 << level) == 0 and position + (1 << level) <= size, "a gap is out of place")
    return level, node


def read_stream(lines, stream, size, root, demands, ranges, read_record):
    """The stream's nodes: (first index, level, hash, whether it is a gap)."""
    nodes, tree, last = [], Tree(), None
    while tree.size < size:
        line, position = lines.next(), tree.size
        if line.startswith(b"pruned "):
            need(position > 0, "a stream does not begin with its claim")
            level, node = read_gap(line, position, size)
            before = nodes[-1]
            halves = before[3] and before[1] == level < 8 and before[0] % (2 << level) == 0
            need(not halves, "two gaps are the halves of one")
            nodes.append((position, level, node, True))
            tree.push(node, level)
            continue
        said, index, time, heads, gone, leaf = read_record(line)
        need(said == stream, "a record is another stream's")
        need(index == position, "a record is out of place")
        need(last is None or last <= time, "a record is older than the one before it")
        need(position > 0 or heads is not None, "a stream does not begin with its claim")
        demands += heads or []
        ranges += gone or []
        tree.push(leaf)
        nodes.append((position, 0, leaf, False))
        last = time
    need(tree.root() == root, "the records are not those the head was signed over")
    return nodes


def allow(ranges, nodes, size):
    """What is missing lies in ranges of which exactly that is left which some record says."""
    missing = {first + at for first, level, _, gap in nodes if gap for at in range(1 << level)}
    allowed = set()
    for first, end, kept in ranges:
        if end <= size and missing.intersection(range(first, end)):
            left = b"".join(at.to_bytes(8, "big") for at in range(first, end) if at not in missing)
            if hashlib.sha256(left).digest() == kept:
                allowed.update(range(first, end))
    need(missing <= allowed, "a record is missing that was not allowed to be")


def meet(demands, nodes, sizes):
    """Every head that was written down must be that of the stream at that size, unless that lies within a gap."""
    by_stream = {}
    for stream, size, root in demands:
        need(stream in nodes, "a stream that was written down is missing")
        need(size <= sizes[stream], "a stream is shorter than it was")
        by_stream.setdefault(stream, []).append((size, root))
    for stream, heads in by_stream.items():
        tree, at = Tree(), 0
        for size, root in sorted(heads):
            while tree.size < size:
                _, level, node, _ = nodes[stream][at]
                tree.push(node, level)
                at += 1
            need(tree.size > size or tree.root() == root, "a stream is another one than it was")


# --- mutations -------------------------------------------------------------------------------------------------

def mutations(text):
    """Every bit flipped, every line dropped, repeated, and swapped with the next; each differs from `text`."""
    for at in range(len(text)):
        for bit in range(8):
            yield "bit %d of byte %d flipped" % (bit, at), text[:at] + bytes([text[at] ^ 1 << bit]) + text[at + 1:]
    lines = [line + b"\n" for line in text.split(b"\n")[:-1]]
    for at, line in enumerate(lines):
        before, after = b"".join(lines[:at]), b"".join(lines[at + 1:])
        yield "line %d dropped" % (at + 1), before + after
        yield "line %d repeated" % (at + 1), before + line + line + after
        if at + 1 < len(lines) and lines[at + 1] != line:
            after = b"".join(lines[at + 2:])
            yield "lines %d and %d swapped" % (at + 1, at + 2), before + lines[at + 1] + line + after


def remembered(read, limit=1 << 16):
    """The same pure function, remembering what it returned or found wrong."""
    memory = {}

    def reader(text, *rest):
        if text not in memory:
            if len(memory) >= limit:
                memory.clear()
            try:
                memory[text] = read(text, *rest), None
            except Damage as damage:
                memory[text] = None, str(damage)
        value, damage = memory[text]
        need(damage is None, damage)
        return value

    return reader


def try_mutations(text, key):
    refused, accepted = 0, []
    readers = remembered(read_record), remembered(read_head)
    for what, changed in mutations(text):
        try:
            verify(changed, key, *readers)
            accepted.append(what)
        except Damage:
            refused += 1
    print("mutations: %d refused, %d accepted" % (refused, len(accepted)))
    for what in accepted:
        print("accepted: " + what)
    return 6 if accepted else 0


def main(arguments):
    flags = [argument for argument in arguments if argument.startswith("--")]
    paths = [argument for argument in arguments if not argument.startswith("--")]
    if len(paths) != 2 or flags not in ([], ["--mutations"]):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    try:
        if paths[1].startswith("@"):
            with open(paths[1][1:], encoding="utf-8", newline="") as file:
                paths[1] = file.read().removesuffix("\n")
        key = Key(paths[1])
        with open(paths[0], "rb") as file:
            text = file.read()
    except (BadKey, OSError, ValueError) as error:
        print("cannot verify: %s" % error, file=sys.stderr)
        return 2
    try:
        streams = verify(text, key)
    except Damage as damage:
        print("DAMAGED: %s" % damage, file=sys.stderr)
        return 6
    for stream, size, root in streams:
        print("%s %d %s" % (stream, size, base64.b64encode(root).decode()))
    print("verified: %d records in %d streams" % (sum(size for _, size, _ in streams), len(streams)))
    return try_mutations(text, key) if flags else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
