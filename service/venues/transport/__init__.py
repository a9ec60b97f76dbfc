"""How frames are fetched from any venue: sockets, polls, budgets, back-off, and what a silence means."""
