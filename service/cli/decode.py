"""``elr decode``: frames to observations, one JSON line each."""

from __future__ import annotations

import argparse
import sys

import orjson

from service.errors import ConfigError
from service.venues import VENUES
from service.venues.decoding import decode_document


def run(options: argparse.Namespace) -> int:
    if options.venue not in VENUES:
        raise ConfigError([f"{options.venue!r} is not a venue; known are {', '.join(VENUES)}"])
    if options.file == "-":
        raw = sys.stdin.buffer.read()
    else:
        try:
            with open(options.file, "rb") as file:
                raw = file.read()
        except OSError as error:
            raise ConfigError([f"{options.file}: cannot be read: {error.strerror}"]) from None
    status = 0
    out = sys.stdout.buffer
    for line in decode_document(options.venue, raw.decode("utf-8", "surrogateescape")):
        if "error" in line:
            status = 3
        out.write(orjson.dumps(line) + b"\n")
    out.flush()
    return status
