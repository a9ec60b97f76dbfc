"""Bitget: USDT, USDC and coin futures."""
