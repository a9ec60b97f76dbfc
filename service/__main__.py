"""``elr`` and ``python -m service``: hand over to the command line. No logic here."""

from __future__ import annotations

import sys

from service.cli.main import run


def main() -> None:
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
