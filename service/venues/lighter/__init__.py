"""Lighter. Read venue first, then messages, trades, history, metadata."""
