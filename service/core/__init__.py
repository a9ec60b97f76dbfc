"""The pure core: the engine that composes the stages, and what feeds it. No socket, no clock, no file."""
