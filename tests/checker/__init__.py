"""The independent checker: the numeric contract of docs/signal.md computed a second time, plainly."""
