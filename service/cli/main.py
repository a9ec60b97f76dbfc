"""Arguments, help texts and exit statuses: 0 done, 1 runtime failure, 2 usage or configuration, 3 bad data met."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path

from service import __version__
from service.errors import ConfigError, HistoryError, ServiceError, TapeError

DONE, FAILED, USAGE, BAD_DATA = 0, 1, 2, 3

DESCRIPTION = """\
Estimated leverage ratio (ELR) of crypto perpetual futures, in real time: how loaded each market is, how fragile that
makes it, and which way the crowd leans, published every ten seconds over WebSocket and as Prometheus metrics.

  elr demo       try it: simulated venues, no network needed; then open http://127.0.0.1:8080/v1/signals/BTC
  elr watch      a live table in the terminal, of whatever runs on port 8080
  elr serve      the real thing: public data of live venues, no keys
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="elr", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"elr {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, text: str, detail: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name, help=text, description=detail, formatter_class=argparse.RawDescriptionHelpFormatter
        )

    def outputs(target: argparse.ArgumentParser) -> None:
        target.add_argument(
            "--record", metavar="TAPE", type=Path, help="keep raw frames here, for `elr replay` (appended)"
        )
        target.add_argument(
            "--signals", metavar="FILE", type=Path, help="append each signal body here, one JSON line each"
        )

    serve = command(
        "serve",
        "serve signals from live venues",
        "Read public data of live venues (no keys) and serve signals.",
    )
    serve.add_argument(
        "--config", metavar="FILE", type=Path, help="TOML file; without it the defaults (config/default.toml)"
    )
    outputs(serve)

    demo = command(
        "demo",
        "serve signals from simulated venues",
        "A seeded market behind venue servers that speak the real wire protocols on loopback ports of their own.\n"
        "Everything it publishes is labelled source=simulated. Ready in about 20 seconds, with all windows warm.",
    )
    demo.add_argument("--port", type=int, metavar="N", help="port of the feed (default: the configured one, 8080)")
    demo.add_argument("--seed", type=int, metavar="N", default=7, help="another seed, another market (default 7)")
    demo.add_argument("--config", metavar="FILE", type=Path, help="TOML file, as for serve")
    outputs(demo)

    record = command(
        "record",
        "keep raw frames of live venues",
        "Record raw frames with receive times; nothing is scored or served.",
    )
    record.add_argument("--out", metavar="TAPE", type=Path, required=True, help="file to append to")
    record.add_argument("--config", metavar="FILE", type=Path, help="TOML file, as for serve")

    replay = command(
        "replay",
        "run a tape through the same code",
        "Signals from a tape, byte-identical to those of the run that recorded it. Without --port they go to\n"
        "--signals, or to standard output; with --port they are also served as a feed labelled source=replay.",
    )
    replay.add_argument("tape", metavar="TAPE", type=Path, help="a file written by --record or `elr record`")
    replay.add_argument(
        "--speed", default="max", metavar="N|max", help="1 is real time, 60 a minute a second (default max)"
    )
    replay.add_argument(
        "--signals", metavar="FILE|-", help="where signal bodies go, one JSON line each; - is standard output"
    )
    replay.add_argument(
        "--ledger", metavar="FILE|-", help="where the ledger of outcomes goes, identical to the live run's"
    )
    replay.add_argument("--port", type=int, metavar="N", help="also serve the replay as a feed on this port")

    backtest = command(
        "backtest",
        "judge the signal on history files",
        "CSV files (gzipped or not; docs/backtest.md lists the columns) through the service's own code, into one\n"
        "self-contained HTML report and report.json. Needs the research extra.",
    )
    backtest.add_argument("files", metavar="FILE", nargs="+", type=Path, help="history with a price and open interest")
    backtest.add_argument("--report", metavar="DIR", type=Path, required=True, help="folder of the report; made if new")
    backtest.add_argument("--symbol", metavar="S", default="BTC", help="what the files are of (default BTC)")
    backtest.add_argument("--config", metavar="FILE", type=Path, help="TOML file whose [[assets]] are other names, too")
    backtest.add_argument(
        "--slow", metavar="FILE", type=Path, action="append",
        help="reserves, supply or settled funding from another file, each used once it was known; repeatable",
    )  # fmt: skip
    backtest.add_argument("--event", metavar="DATE", action="append", help="a UTC day to look at closely; repeatable")
    backtest.add_argument(
        "--delay-m", metavar="N", type=int, default=60, help="minutes after midnight a daily row is out (default 60)"
    )
    backtest.add_argument(
        "--cost-bp", metavar="X", type=float, default=10.0, help="cost of a round trip, basis points (default 10)"
    )
    backtest.add_argument("--resume", action="store_true", help="go on from the checkpoints of a run that was stopped")
    backtest.add_argument(
        "--export",
        metavar="FILE",
        type=Path,
        help="the signals too, as .csv or .csv.gz to merge with candles on `date`",
    )
    backtest.add_argument(
        "--export-timeframe", metavar="T", help="of the candles: 5m, 1h, 1d ... (default: the file's resolution)"
    )

    fit = command(
        "fit",
        "fit p_deleveraging anew, into a file",
        "The parameters of p_deleveraging from the folders of finished back-tests (docs/deleveraging.md). Prints how\n"
        "they did walk-forward and what changes. Nothing uses FILE until `deleveraging.file` names it.",
    )
    fit.add_argument("directories", metavar="REPORT_DIR", nargs="+", type=Path, help="folder of an `elr backtest`")
    fit.add_argument("--out", metavar="FILE", type=Path, required=True, help="JSON file to write")
    fit.add_argument("--force", action="store_true", help="replace FILE")

    decode = command(
        "decode",
        "show what a venue's frames say",
        "One frame a line (or one JSON document) in, one observation a line out, in coins and fractions per 8 h.\n"
        "Exit status 3 when a frame was broken.",
    )
    decode.add_argument("venue", metavar="VENUE", help="binance_usdm, bybit, okx, ...: `elr venues` lists them")
    decode.add_argument(
        "file", metavar="FILE", nargs="?", default="-", help="file to read; - or nothing is standard input"
    )

    watch = command("watch", "a live table in the terminal", "A live table of all symbols; plain lines when piped.")
    watch.add_argument("url", metavar="URL", nargs="?", default="ws://127.0.0.1:8080/v1/stream", help="feed address")
    watch.add_argument("--symbols", metavar="S", nargs="+", help="only these symbols")
    watch.add_argument("--config", metavar="FILE", type=Path, help="TOML file whose [[assets]] are other names, too")

    weights = command(
        "weights",
        "what the components' weights are, and would be",
        "The weights in force, those learned in the background, the guarantee and the regret measured so far: of a\n"
        "running service, or of a saved state (state.json.gz). docs/weights.md explains them.",
    )
    weights.add_argument(
        "source", metavar="URL|FILE", nargs="?", default="http://127.0.0.1:8080", help="feed address or state file"
    )
    weights.add_argument("--symbol", metavar="S", help="of this symbol, where each has its own")
    weights.add_argument("--save", metavar="FILE", type=Path, help='write what was learned, for mode = "frozen"')

    scoreboard = command(
        "scoreboard",
        "verify a ledger of outcomes and show what it comes to",
        "Checks the hash chain of ledger files (or of all those of a folder, in order) and prints hit rates, rank\n"
        "correlations and Brier scores with their intervals. Exit status 3 names the first broken line.\n"
        "docs/scoreboard.md says how to read it, and what it does not prove.",
    )
    scoreboard.add_argument(
        "files", metavar="FILE", nargs="*", type=Path, help="ledger files in order, or a folder; else the configured"
    )
    scoreboard.add_argument("--config", metavar="FILE", type=Path, help="TOML file that names scoreboard.folder")
    scoreboard.add_argument(
        "--hash",
        metavar="NUMBER:HASH",
        dest="kept",
        action="append",
        default=[],
        help="a line and its hash as the feed published them: is it still the same? repeatable",
    )
    scoreboard.add_argument("--symbols", metavar="S", nargs="+", help="rows of these symbols, beside those of all")

    audit = command(
        "audit",
        "the venues' own figures beside ours",
        "Asks every venue over HTTP (public data, no keys) for open interest, mark and funding, and prints them\n"
        "beside what a running service believes. Exit status 1 where one is further off than [audit] allows, or\n"
        "where nothing could be compared. docs/first-live-day.md says how to read it.",
    )
    audit.add_argument(
        "url", metavar="URL", nargs="?", default="http://127.0.0.1:8080", help="address of the running service"
    )
    audit.add_argument(
        "--config", metavar="FILE", type=Path, help="TOML file: what [audit] allows, network.proxy, which venues"
    )
    audit.add_argument("--symbols", metavar="S", nargs="+", help="only these symbols")
    audit.add_argument("--all", action="store_true", dest="everything", help="every figure, not only the furthest off")
    audit.add_argument("--json", action="store_true", help="JSON on standard output, every figure")

    command("venues", "what each venue provides", "Venues, their addresses, streams, units, cadences and limits.")

    check = command(
        "check",
        "judge a configuration file",
        "List every problem of a configuration file with its path; exit 2 if there is one.",
    )
    check.add_argument("file", metavar="FILE", nargs="?", type=Path, help="TOML file; without it the defaults")
    check.add_argument("--net", action="store_true", help="also say which venues are reachable from here")
    return parser


def _leave(number: int, frame: object) -> None:
    sys.exit(DONE)


def run(arguments: Sequence[str]) -> int:
    """Run one command line; returns its exit status. Errors of ours are one line with what to do, never a traceback."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of any script, in whatever a terminal can show
    signal.signal(signal.SIGTERM, _leave)  # until a command's event loop takes over
    handler: Callable[[argparse.Namespace], int] = import_module(f"service.cli.{options.command}").run
    try:
        return handler(options)
    except ConfigError as error:
        for problem in error.problems:
            print(f"elr: config: {problem}", file=sys.stderr)
        return USAGE
    except HistoryError as error:
        for problem in error.problems:
            print(f"elr: {problem}", file=sys.stderr)
        return BAD_DATA
    except TapeError as error:
        print(f"elr: {error}", file=sys.stderr)
        return BAD_DATA
    except ServiceError as error:
        print(f"elr: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return DONE
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        sys.stderr.close()
        return DONE
    except OSError as error:
        print(f"elr: {error.filename or 'output'}: {error.strerror or error}", file=sys.stderr)
        return FAILED
