"""Bodies to clients: envelopes, sequences, the hub with its slow-client rule; feed, HTTP and metrics on one port."""

from service.publishing.feed import Feed
from service.publishing.http import Views
from service.publishing.message import body_bytes, status_body

__all__ = ["Feed", "Views", "body_bytes", "status_body"]
