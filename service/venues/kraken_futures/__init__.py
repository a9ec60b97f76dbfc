"""Kraken Futures: perpetuals."""
