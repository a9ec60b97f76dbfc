"""BitMEX: perpetuals."""
