"""Bybit V5: linear and inverse perpetuals."""
