"""The ``elr`` command. Each command is one module with ``run(arguments) -> exit status``."""
