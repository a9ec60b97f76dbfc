"""The only package that knows all stages: the pure engine, and the tasks that feed it live, from a tape or in the demo."""
