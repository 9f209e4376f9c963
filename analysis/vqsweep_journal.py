"""Reads the journal that stands beside the result file of an unfinished run (include/vqsweep/journal.h, record.h)."""
import math
import mmap
import struct
from collections import namedtuple

import numpy

MAGIC = b"\x93VQSJ\r\n\x1a"
FRAME = struct.Struct("<8sIIQ")          # magic, payload length, kind, checksum
HEAD = struct.Struct("<IIQIIidd")        # format, hash of names, digest, trial, attempt, rank, wall seconds, finished at
RESULT = struct.Struct("<QIiiiiI")       # key, outcome, epochs, snapshots, K, d, number of arrays; then, for each array,
ARRAY = struct.Struct("<I5i")            # tag and size, 0 past its dimensions; then metrics, curves, snapshots, arrays
RECORD, FORMAT = 2, 3
OUTCOMES = ("failed", "completed", "diverged")

Record = namedtuple("Record", "trial key status attempt rank host cpu_class code_version wall_seconds finished_at n_epochs "
                              "n_snapshots digest message metrics")


class JournalError(Exception):
    """Not a journal of this version."""


def _payloads(data, checksum):
    """The payloads of whole frames, in order. What is damaged or unfinished is passed over, as the program does."""
    at = 0
    while (at := data.find(MAGIC, at)) >= 0 and at + FRAME.size <= len(data):
        _, size, kind, expected = FRAME.unpack_from(data, at)
        start = at + FRAME.size
        payload = data[start:start + size]
        if len(payload) == size and checksum(payload, size | kind << 32) == expected:
            yield kind, payload
            at = start + (size + 7) // 8 * 8
        else:
            at += 1


def _texts(payload, at):
    for _ in range(4):
        length = payload[at]
        yield payload[at + 1:at + 1 + length].decode("utf-8", "replace")
        at += 1 + length


def _record(payload, n_metrics, n_curves):
    _, _, digest, trial, attempt, rank, wall_seconds, finished_at = HEAD.unpack_from(payload)
    key, outcome, n_epochs, n_snapshots, K, d, n_arrays = RESULT.unpack_from(payload, HEAD.size)
    start = HEAD.size + RESULT.size + n_arrays * ARRAY.size
    arrays = ARRAY.iter_unpack(payload[HEAD.size + RESULT.size:start])
    metrics = numpy.frombuffer(payload, "<f8", n_metrics, start)
    end = start + 8 * (n_metrics + n_curves * n_epochs) + n_snapshots * (8 + 4 * K * (d + 1))
    end += sum(4 * math.prod(n for n in size if n) for _, *size in arrays)
    host, cpu_class, code_version, message = _texts(payload, end)
    return Record(trial, f"{key:016x}", OUTCOMES[outcome], attempt, rank, host, cpu_class, code_version, wall_seconds,
                  finished_at, n_epochs, n_snapshots, f"{digest:016x}", message, metrics)


def records(path, metrics, curves):
    """{trial: Record} of a journal. `metrics` and `curves` are names in the order of the program's tables; a record
    made by a program with others is an error. Of the records of one trial, a result is preferred to a failure; of
    results the first, of failures the last."""
    import xxhash  # only a live run needs it
    names = "".join(name + "," for name in metrics) + ";" + "".join(name + "," for name in curves)
    tables = xxhash.xxh3_64_intdigest(names.encode()) & 0xFFFFFFFF
    found = {}
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for kind, payload in _payloads(data, xxhash.xxh3_64_intdigest):
            if kind != RECORD:
                continue
            if HEAD.unpack_from(payload)[:2] != (FORMAT, tables):
                raise JournalError(f"{path}: records of another version of vqsweep than the result file's")
            record = _record(payload, len(metrics), len(curves))
            if record.trial not in found or found[record.trial].status == "failed":
                found[record.trial] = record
    return found
