"""What is installed is the lock: the files as they stand, and the real Makefile with a real pip on a small project."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import service

LOCKS = ("requirements.lock", "requirements-dev.lock")
BENCH = "requirements-bench.lock"  # what `make bench` compares with: some of it is published as source alone


class Pin(NamedTuple):
    asked: Requirement
    hashes: frozenset[str]

    @property
    def version(self) -> str:
        (only,) = self.asked.specifier
        return only.version

    @property
    def here(self) -> bool:
        return self.asked.marker is None or self.asked.marker.evaluate()


def pins(path: Path) -> list[Pin]:
    """Every line of a lock file; anything but a pinned, hashed requirement fails."""
    found = []
    for line in path.read_text().replace("\\\n", " ").splitlines():
        asked, *hashes = re.split(r"\s+--hash=", line.strip())
        assert hashes, f"no hash: {asked}"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", item) for item in hashes), asked
        pin = Pin(Requirement(asked), frozenset(hashes))
        (only,) = pin.asked.specifier
        assert only.operator == "==", asked
        assert "*" not in only.version, asked
        assert pin.asked.url is None, asked
        found.append(pin)
    return found


def project(repository: Path) -> dict[str, Any]:
    return tomllib.loads((repository / "pyproject.toml").read_text())


def group(document: dict[str, Any], name: str) -> Iterator[Requirement]:
    for item in document["dependency-groups"][name]:
        if isinstance(item, str):
            yield Requirement(item)
        else:
            yield from group(document, item["include-group"])


def direct(document: dict[str, Any], lock: str) -> list[Requirement]:
    """What pyproject.toml asks for in that lock."""
    runs = [Requirement(item) for item in document["project"]["dependencies"]]
    return [*runs, *group(document, "build" if lock == LOCKS[0] else "dev")]


def needed(asked: Iterable[Requirement]) -> dict[str, set[Requirement]]:
    """By name, everything that is asked for on this Python, by us or by what we ask for, from installed metadata."""
    todo = [item for item in asked if item.marker is None or item.marker.evaluate()]
    found: dict[str, set[Requirement]] = {}
    seen: set[tuple[str, str]] = set()
    while todo:
        item = todo.pop()
        name = canonicalize_name(item.name)
        found.setdefault(name, set()).add(item)
        for extra in {"", *item.extras} - {known for other, known in seen if other == name}:
            seen.add((name, extra))
            for text in metadata.requires(name) or ():
                deeper = Requirement(text)
                if deeper.marker is None or deeper.marker.evaluate({"extra": extra}):
                    todo.append(deeper)
    return found


# -- the files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_is_complete_and_leaves_no_pip_anything_to_look_for(repository: Path, lock: str) -> None:
    """Cause: a lock with ``coverage`` where pytest-cov asks for ``coverage[toml]`` made pip 23 take the newest of the
    index, which no hash knows: it broke by itself. And a package that is missing here is missing with --no-deps."""
    locked = {canonicalize_name(pin.asked.name): pin for pin in pins(repository / lock) if pin.here}
    asked = needed(direct(project(repository), lock))
    assert set(locked) == set(asked)
    for name, items in asked.items():
        assert locked[name].asked.extras == set().union(*(item.extras for item in items)), name
        for item in items:
            assert item.specifier.contains(locked[name].version, prereleases=True), (str(item), locked[name].version)


@pytest.mark.parametrize("lock", [*LOCKS, BENCH])
def test_a_package_is_locked_once_for_each_python(repository: Path, lock: str) -> None:
    found = pins(repository / lock)
    for version in pythons(repository):
        names = [
            canonicalize_name(pin.asked.name)
            for pin in found
            if pin.asked.marker is None
            or pin.asked.marker.evaluate({"python_version": version, "python_full_version": f"{version}.0"})
        ]
        assert len(set(names)) == len(names)


def test_what_runs_is_a_part_of_what_is_tested(repository: Path) -> None:
    runs, tests = ({str(pin.asked): pin.hashes for pin in pins(repository / lock)} for lock in LOCKS)
    assert runs.items() <= tests.items()
    assert len(runs) < len(tests)
    measured = {str(pin.asked) for pin in pins(repository / BENCH)}
    readers = {text for text in runs if text.startswith(("orjson=", "msgspec="))}
    assert len(readers) == 2
    assert readers <= measured  # beside the peers, frames are read by the versions that run (ccxt wants another uvloop)


def test_what_is_installed_here_is_what_is_locked(repository: Path) -> None:
    for pin in pins(repository / LOCKS[1]):
        if pin.here:
            assert metadata.version(pin.asked.name) == pin.version, pin.asked.name


def test_the_research_extra_is_tested_as_it_is_offered(repository: Path) -> None:
    document = project(repository)
    extra = {str(Requirement(item)) for item in document["project"]["optional-dependencies"]["research"]}
    assert extra <= {str(item) for item in group(document, "dev")}


def test_the_recipe_locks_for_all_supported_pythons(repository: Path) -> None:
    text = (repository / "Makefile").read_text().replace("\\\n", " ")
    (recipe,) = re.findall(r"^compile = (.*)$", text, re.MULTILINE)
    least = re.search(r"--python-version (\S+)", recipe)
    assert least is not None
    assert project(repository)["project"]["requires-python"] == f">={least[1]}"
    assert {"--universal", "--generate-hashes", "--no-strip-extras", "--exclude-newer"} <= set(recipe.split())
    made = dict(re.findall(r"^\t\$\(compile\) .*--group (\w+) .*-o (\S+)", text, re.MULTILINE))
    assert made == {"dev": LOCKS[1], "build": LOCKS[0], "bench": BENCH}
    assert set(made) <= set(project(repository)["dependency-groups"])


FROM_LOCK = {"--require-hashes", "--no-deps", "--only-binary"}
OURS = {"--no-deps", "--no-build-isolation"}


def installs(repository: Path) -> Iterator[tuple[str, str]]:
    """Each line, of all that people and machines read, that installs a Python package."""
    paths = ["Makefile", "Dockerfile", ".ci/run", "README.md", "ARCHITECTURE.md", "pyproject.toml"]
    files = [repository / path for path in paths]
    for folder, pattern in (("docs", "*.md"), (".github", "**/*.yml"), ("service", "**/*.py"), ("bench", "*.py")):
        files += sorted((repository / folder).glob(pattern))
    for file in files:
        for line in file.read_text().replace("\\\n", " ").splitlines():
            for command in re.split(r"&&|;", line):
                if re.search(r"(?:\bpipx?|\$\(pip\)) (-\S+ )*(install|sync)\b", command):
                    yield str(file.relative_to(repository)), command


def test_nothing_is_installed_but_from_a_lock(repository: Path) -> None:
    """Cause: a hint named a package index that does not carry this project; an install that resolves rots by itself."""
    seen = set()
    for place, command in installs(repository):
        words = set(command.split())
        if re.search(r"(pipx|pip) install uv\b", command) or "pip==$(OLD_PIP)" in command:
            continue  # the tool that makes the lock; the pip that is proved
        if re.search(r"requirements(-dev)?\.lock|\$\(1\)", command):
            assert words >= FROM_LOCK - ({"--no-deps"} if " sync" in command else set()), (place, command)
        elif BENCH in command:
            assert words >= FROM_LOCK - {"--only-binary"}, (place, command)
        else:
            assert words >= OURS or ("--no-deps" in words and ".whl" in command), (place, command)
        seen.add(place)
    assert seen == {"Makefile", "Dockerfile", "docs/install.md", "docs/release.md"}


@pytest.mark.parametrize("place", ["Makefile", "Dockerfile", "docs/install.md"])
def test_every_installation_is_checked(repository: Path, place: str) -> None:
    text = (repository / place).read_text()
    assert "pip check" in text or "$(pip) check" in text


def test_targets_of_make_that_messages_name_exist(repository: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (repository / "Makefile").read_text(), re.MULTILINE))
    used = {
        name
        for file in (repository / "service").rglob("*.py")
        for name in re.findall(r"`make ([a-z]+)`", file.read_text())
    }
    assert "dev" in used
    assert used <= targets


def pythons(repository: Path) -> list[str]:
    classifiers = project(repository)["project"]["classifiers"]
    return [
        found[1] for item in classifiers if (found := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", item))
    ]


def workflow(repository: Path) -> dict[str, Any]:
    return dict(yaml.safe_load((repository / ".github" / "workflows" / "test.yml").read_text()))


def test_the_hosted_run_tests_every_supported_python(repository: Path) -> None:
    document = workflow(repository)
    (job,) = document["jobs"].values()
    versions = job["strategy"]["matrix"]["python"]
    assert all(isinstance(version, str) for version in versions)  # 3.10 is no number
    assert versions == pythons(repository)
    accepted = SpecifierSet(project(repository)["project"]["requires-python"])
    minors = [int(version.split(".")[1]) for version in versions]
    assert minors == list(range(minors[0], minors[-1] + 1))
    assert all(version in accepted for version in versions)
    assert f"3.{minors[0] - 1}" not in accepted
    assert f"3.{sys.version_info.minor}" in versions
    assert "${{ matrix.python }}" in job["container"]["image"]
    assert "make test" in [step.get("run") for step in job["steps"]]


def test_the_hosted_run_may_read_and_no_more(repository: Path) -> None:
    document = workflow(repository)
    assert document["permissions"] == {"contents": "read"}
    for job in document["jobs"].values():
        assert "permissions" not in job
        assert 10 <= job["timeout-minutes"] <= 90
        for step in job["steps"]:
            if "uses" in step:
                assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"]), step["uses"]
                assert step["with"]["persist-credentials"] is False


def test_both_runs_install_what_tests_look_for(repository: Path) -> None:
    """Cause: a test that skips where its server is missing proves nothing where nobody installs it."""
    script = (repository / ".ci" / "run").read_text()
    provided = dict(re.findall(r"command -v (\S+) .*\|\| missing\+=\((\S+)\)", script))
    (steps,) = [job["steps"] for job in workflow(repository)["jobs"].values()]
    (line,) = [step["run"] for step in steps if "apt-get install" in step.get("run", "")]
    assert set(provided.values()) == set(line.split("--no-install-recommends ")[1].split())
    text = "".join(file.read_text() for file in (repository / "tests").rglob("*.py") if file != Path(__file__))
    named = set(re.findall(r"\(Debian package ([\w-]+)\)", text))
    assert named
    assert named <= set(provided.values())


def test_the_version_is_the_same_everywhere(repository: Path) -> None:
    assert project(repository)["project"]["version"] == service.__version__
    compose = yaml.safe_load((repository / "docker-compose.yml").read_text())
    assert compose["services"]["elr"]["image"] == f"elr-signal-service:{service.__version__}"


def test_the_image_is_built_from_files_that_it_gets(repository: Path) -> None:
    """Cause: what the build backend reads (readme, licence) and .dockerignore holds back ends the build."""
    text = (repository / "Dockerfile").read_text()
    build = text[: text.index("FROM ", text.index("FROM ") + 1)]
    copied = {item for line in re.findall(r"^COPY (.+) \S+$", build, re.MULTILINE) for item in line.split()}
    allowed = set(re.findall(r"^!(\S+)$", (repository / ".dockerignore").read_text(), re.MULTILINE))
    about = project(repository)["project"]
    assert copied == {"pyproject.toml", "requirements.lock", about["readme"], *about["license-files"], "service"}
    assert copied | {"config"} == allowed
    assert all((repository / item).exists() for item in allowed)


def test_the_wheel_and_the_source_archive_hold_what_they_should(repository: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
        folder = next(name.split("/")[0] for name in names if name.endswith("/METADATA"))
        told = wheel.read(f"{folder}/METADATA").decode()
    files = {
        file.relative_to(repository).as_posix()
        for file in (repository / "service").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert {name for name in names if not name.startswith(f"{folder}/")} == files
    assert "service/py.typed" in files
    assert f"{folder}/licenses/LICENSE" in names
    assert "\nLicense-Expression: Apache-2.0\n" in told
    assert "\nRequires-Python: >=3.11\n" in told
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as source:
        inside = {name.split("/", 1)[1] for name in source.getnames()}
    assert files | {"LICENSE", "README.md", "pyproject.toml", "Makefile", *LOCKS} <= inside
    folders = {name.split("/")[0] for name in inside if "/" in name}  # no environment that somebody made in the clone
    assert folders == {"service", "tests", "bench", "config", "docs", ".ci", ".github"}
