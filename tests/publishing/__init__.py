"""Tests of the publishing stage: pure parts as plain calls, the server with real clients over loopback."""
