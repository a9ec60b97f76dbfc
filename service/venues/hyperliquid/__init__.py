"""Hyperliquid: main dex."""
