"""OKX v5: perpetual swaps."""
