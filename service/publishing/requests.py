"""What a client may ask: one JSON object per text message, parsed strictly. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from service.model import MARKET
from service.publishing.message import Id

OPS_WITH_CHANNELS = ("subscribe", "unsubscribe", "snapshot")
MAX_ID = 64  # characters
MAX_CHANNELS = 100  # names per request, or as many as there are channels if that is more


@dataclass(frozen=True, slots=True)
class Request:
    """An understood request. ``channels`` are concrete (wildcards expanded), each once, in the order asked.

    ``resume_seq`` is as sent, by concrete channels, unchecked: :meth:`Sequencer.missed` judges it.
    """

    op: str
    id: Id
    channels: tuple[str, ...] = ()
    resume_epoch: str | None = None
    resume_seq: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is refused, whole: ``code`` of the error reply and a text for a person."""

    id: Id
    code: str
    message: str


class Channels:
    """The channels of this feed, in order, and their wildcards."""

    KINDS = ("signal", "market", "alert")
    WHOLE = (f"signal.{MARKET}", f"alert.{MARKET}")  # of the market as a whole
    SINGLE = ("status", "scoreboard")

    def __init__(self, symbols: Sequence[str], aliases: Mapping[str, str] | None = None) -> None:
        """``aliases``: other names of symbols. Their channels are the same ones, under the symbol's name."""
        self.names: tuple[str, ...] = (
            *(f"{kind}.{symbol}" for kind in self.KINDS for symbol in symbols),
            *self.WHOLE,
            *self.SINGLE,
        )
        self._groups: dict[str, tuple[str, ...]] = {name: (name,) for name in self.names}
        for kind in self.KINDS:
            self._groups[f"{kind}.*"] = tuple(f"{kind}.{symbol}" for symbol in symbols)
        # Its signal has other fields than a symbol's, so it comes to those alone who ask for it; its alerts have not.
        self._groups["alert.*"] += (f"alert.{MARKET}",)
        for alias, symbol in ({} if aliases is None else aliases).items():
            for kind in self.KINDS:
                if symbol in symbols:
                    self._groups.setdefault(f"{kind}.{alias}", (f"{kind}.{symbol}",))
        self.most = max(MAX_CHANNELS, len(self._groups))

    def concrete(self, name: str) -> str:
        """The channel that a name means; the name itself where it means none, or several."""
        group = self._groups.get(name, ())
        return group[0] if len(group) == 1 else name

    def expand(self, wanted: Sequence[str]) -> tuple[str, ...] | str:
        """Concrete channels, each once; or the first name that is none, as text."""
        found: dict[str, None] = {}
        for name in wanted:
            group = self._groups.get(name)
            if group is None:
                return name
            found.update(dict.fromkeys(group))
        return tuple(found)


def parse(text: str, channels: Channels) -> Request | Refusal:
    """One client message. Never raises."""
    try:
        asked = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return Refusal(None, "bad_json", error.msg[:80])
    if type(asked) is not dict:
        return Refusal(None, "bad_request", "a JSON object is expected")
    request_id = asked.get("id")
    if not _is_id(request_id):
        return Refusal(None, "bad_request", f"id: a 64-bit integer or a string of at most {MAX_ID} characters")
    op = asked.get("op")
    if type(op) is not str:
        return Refusal(request_id, "bad_request", "op: a string is expected")
    if op == "ping":
        return Request(op, request_id)
    if op == "auth":
        return Refusal(request_id, "bad_request", "access tokens are not configured: this feed needs none")
    if op not in OPS_WITH_CHANNELS:
        return Refusal(request_id, "unknown_op", f"{_short(op)}: the ops are {', '.join((*OPS_WITH_CHANNELS, 'ping'))}")
    return _with_channels(op, request_id, asked, channels)


def _with_channels(op: str, request_id: Id, asked: dict[str, Any], channels: Channels) -> Request | Refusal:
    wanted = asked.get("channels")
    if type(wanted) is not list or not wanted or not all(type(name) is str for name in wanted):
        return Refusal(request_id, "bad_request", "channels: a list of at least one channel name")
    if len(wanted) > channels.most:
        return Refusal(request_id, "too_many", f"channels: at most {channels.most} names in one request")
    concrete = channels.expand(wanted)
    if isinstance(concrete, str):
        return Refusal(request_id, "unknown_channel", f"{_short(concrete)}: nothing of this request was done")
    resume = asked.get("resume")
    if op != "subscribe" or resume is None:
        return Request(op, request_id, concrete)
    if type(resume) is not dict or type(resume.get("epoch")) is not str or type(resume.get("seq")) is not dict:
        return Refusal(request_id, "bad_request", 'resume: {"epoch": "...", "seq": {"<channel>": <number>}}')
    if not all(type(seq) in (int, float) for seq in resume["seq"].values()):
        return Refusal(request_id, "bad_request", "resume.seq: numbers are expected")
    known = {channels.concrete(name): seq for name, seq in resume["seq"].items()}
    return Request(op, request_id, concrete, resume["epoch"], known)


def _is_id(value: Any) -> bool:
    return value is None or type(value) is int or (type(value) is str and len(value) <= MAX_ID)


def _short(name: str) -> str:
    return repr(name[:40])
