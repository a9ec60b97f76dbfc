"""The only package that knows all stages: the pure engine, and what feeds it live, from a tape or in the demo."""
