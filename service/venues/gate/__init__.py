"""Gate: USDT and BTC settled futures."""
