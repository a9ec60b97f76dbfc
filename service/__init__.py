"""Estimated-leverage-ratio signals for crypto perpetual futures, in real time.

The flow, which is also the order of the folders:

``venues`` turn a venue's bytes into observations (mark, funding, open interest);
``market`` keeps what is fresh and credible, and samples one consensus per symbol and second;
``indicators`` turn consensus samples into windows, scales and trailing statistics;
``scoring`` turns readings into one signal per symbol every ten seconds;
``publishing`` sends signals to WebSocket clients and exposes metrics.

``core`` composes them into one pure engine; ``runtime`` feeds it from live sockets and keeps its files. ``tapes``
record raw frames for the replay. ``cli`` is the ``elr`` command. ``simulation`` (a seeded market behind servers that
speak the venues' protocols) and ``research`` (back-test, indicator library) never run in the live service.
"""

__version__ = "0.1.0"
