"""Deribit: perpetuals."""
