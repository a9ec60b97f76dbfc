"""dYdX v4: perpetuals."""
