"""Estimated-leverage-ratio signals for crypto perpetual futures, in real time.

The flow, which is also the order of the folders:

``venues`` turn a venue's bytes into observations (mark, funding, open interest);
``market`` keeps what is fresh and credible, and samples one consensus per symbol and second;
``indicators`` turn consensus samples into windows, scales and trailing statistics;
``scoring`` turns readings into one signal per symbol every ten seconds;
``publishing`` sends signals to WebSocket clients and exposes metrics.

``wiring`` is the only package that knows all five. ``tapes`` records and replays raw frames,
``simulation`` is a seeded market behind protocol-true venue servers, ``cli`` is the ``elr`` command.
"""

__version__ = "0.1.0"
