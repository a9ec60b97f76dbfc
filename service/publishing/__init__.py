"""Bodies to clients: envelopes, sequences, the hub with its slow-client rule; feed, HTTP and metrics on one port."""

from service.publishing.message import body_bytes, status_body
from service.publishing.routes import Views
from service.publishing.server import Feed

__all__ = ["Feed", "Views", "body_bytes", "status_body"]
