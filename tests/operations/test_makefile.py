"""The real Makefile with a real pip, on a small project with its own index: when an environment passes for whole."""

from __future__ import annotations

import base64
import hashlib
import os
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path

import pytest

LOCKS = ("requirements.lock", "requirements-dev.lock")

BACKEND = """
import os, zipfile

def build_editable(folder, config_settings=None, metadata_directory=None):
    name = "own-1-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        told = "Metadata-Version: 2.1\\nName: own\\nVersion: 1\\nRequires-Dist: alpha\\n"
        wheel.writestr("own-1.dist-info/METADATA", told)
        wheel.writestr("own-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("own-1.dist-info/RECORD", "")
    return name
"""


def wheel(folder: Path, name: str, version: str, *needs: str) -> str:
    """An empty package, and the line that locks it."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    about = f"{name}-{version}.dist-info"
    told = "".join(f"Requires-Dist: {item}\n" for item in needs)
    files = {
        f"{name}.py": "",
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{told}",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    with zipfile.ZipFile(path, "w") as made:
        for inner, text in files.items():
            made.writestr(inner, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record += f"{inner},sha256={digest},{len(text)}\n"
        made.writestr(f"{about}/RECORD", f"{record}{about}/RECORD,,\n")
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


class Clone:
    """A project with the real Makefile and an index of its own, served over HTTP, that can be made to hang."""

    def __init__(self, folder: Path, makefile: Path) -> None:
        self.folder = folder
        self.wheels = folder / "wheels"
        self.wheels.mkdir()
        (folder / "Makefile").write_bytes(makefile.read_bytes())
        (folder / "backend.py").write_text(BACKEND)
        (folder / "pyproject.toml").write_text(
            '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
            '[project]\nname = "own"\nversion = "1"\ndependencies = ["alpha"]\n'
        )
        self.hangs = ""  # this file is asked for and never comes
        self.asked = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _handler(clone) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.strip("/")
                if name and name == clone.hangs:
                    clone.asked.set()
                    self.rfile.read(1)  # until the client is gone
                    return
                links = "".join(f'<a href="/{file.name}">{file.name}</a>' for file in clone.wheels.iterdir())
                body = (clone.wheels / name).read_bytes() if name else f"<!DOCTYPE html><html>{links}</html>".encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/octet-stream" if name else "text/html")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None: ...

        return Handler

    def lock(self, runs: str, tests: str) -> None:
        for name, text in zip(LOCKS, (runs, runs + tests), strict=True):
            if not (self.folder / name).exists() or (self.folder / name).read_text() != text:
                (self.folder / name).write_text(text)

    def start(self, *targets: str) -> subprocess.Popen[str]:
        mine = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
        pip = {
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": f"http://127.0.0.1:{self.server.server_port}/",
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_CACHE_DIR": "1",
        }
        return subprocess.Popen(
            ["make", f"PYTHON={sys.executable}", *targets],
            cwd=self.folder,
            env=mine | pip,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def make(self, *targets: str) -> tuple[int, str]:
        with self.start(*targets) as process:
            said, _ = process.communicate(timeout=120)
        return process.returncode, said

    def installed(self) -> set[str]:
        """Without what every environment begins with."""
        (site,) = (self.folder / ".venv" / "lib").glob("python*/site-packages")
        found = {f"{item.name} {item.version}" for item in metadata.distributions(path=[str(site)])}
        return {item for item in found if item.split()[0] not in ("pip", "setuptools")}

    def stamps(self) -> set[str]:
        return {item.name for item in (self.folder / ".venv").glob(".installed*")}


WHOLE = {".installed", ".installed-dev"}


@pytest.fixture
def clone(repository: Path, tmp_path: Path) -> Iterator[Clone]:
    made = Clone(tmp_path, repository / "Makefile")
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_what_make_installs_is_the_lock_and_a_changed_lock_is_installed_anew(clone: Clone) -> None:
    """Cause: pip added what a new lock names to what was there, and left what it no longer names."""
    alpha, beta, gamma = (wheel(clone.wheels, name, "1") for name in ("alpha", "beta", "gamma"))
    wheel(clone.wheels, "alpha", "2")  # newer, in nobody's lock
    clone.lock(alpha, beta + gamma)
    status, said = clone.make("dev")
    assert status == 0, said
    assert clone.installed() == {"own 1", "alpha 1", "beta 1", "gamma 1"}
    status, said = clone.make("dev")
    assert status == 0, said
    assert "installing" not in said
    clone.lock(alpha, beta)
    status, said = clone.make("dev")
    assert status == 0, said
    assert clone.installed() == {"own 1", "alpha 1", "beta 1"}
    assert clone.stamps() == WHOLE


def test_a_lock_that_lacks_something_is_told_and_leaves_no_stamp(clone: Clone) -> None:
    """With --no-deps pip itself says nothing about it."""
    alpha, beta = wheel(clone.wheels, "alpha", "1", "beta>=1"), wheel(clone.wheels, "beta", "1")
    clone.lock(alpha, "")
    status, said = clone.make("dev")
    assert status != 0
    assert "alpha 1 requires beta, which is not installed" in said
    assert "make lock" in said
    assert clone.stamps() == set()
    clone.lock(alpha + beta, "")
    status, said = clone.make("dev")
    assert status == 0, said
    assert clone.installed() == {"own 1", "alpha 1", "beta 1"}


def test_an_installation_that_was_killed_never_passes_for_whole(clone: Clone) -> None:
    """Cause: what a killed pip left behind looks installed to the next one."""
    alpha, beta, gamma = (wheel(clone.wheels, name, "1") for name in ("alpha", "beta", "gamma"))
    clone.lock(alpha, beta + gamma)
    clone.hangs = "gamma-1-py3-none-any.whl"
    with clone.start("dev") as process:
        assert clone.asked.wait(120)
        os.killpg(process.pid, signal.SIGKILL)
    assert ".installed-dev" not in clone.stamps()
    (site,) = (clone.folder / ".venv" / "lib").glob("python*/site-packages")
    (site / "beta-1.dist-info").mkdir()  # half of beta
    (site / "beta-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: beta\nVersion: 1\n")
    clone.hangs = ""
    status, said = clone.make("dev")
    assert status == 0, said
    assert clone.installed() == {"own 1", "alpha 1", "beta 1", "gamma 1"}
    assert (site / "beta.py").exists()
    assert clone.stamps() == WHOLE


def test_an_environment_whose_python_is_gone_or_another_is_made_anew(clone: Clone) -> None:
    """Cause: after an upgrade of the system's Python every command of .venv fails, and the stamp said that all is well;
    and `make PYTHON=python3.13 test` tested the Python that was there."""
    clone.lock("", "")
    python = clone.folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    for stamp in sorted(WHOLE):
        (clone.folder / ".venv" / stamp).touch()
    assert clone.make("--question", "dev")[0] == 0
    other = clone.folder / "other"
    other.write_text(f"#!/bin/sh\necho {(sys.hexversion >> 16) + 1}\n")
    other.chmod(0o755)
    assert clone.make("--question", "PYTHON=./other", "dev")[0] == 1
    python.unlink()
    python.symlink_to(clone.folder / "gone")
    assert clone.make("--question", "dev")[0] == 1
