"""What the bench's options take: sizes, rates, contenders by name, and where a report goes."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

import click

from bench.contenders.curl_nginx import NAME as NGINX_AND_CURL
from bench.scenarios import parse_rate

UNITS: Final = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
# Also understood; reports and tables have the name.
SYNONYMS: Final = {"curl": NGINX_AND_CURL}


class Size(click.ParamType[int]):
    """A number of bytes with a unit, as 512MiB."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        matched = re.fullmatch(r"(\d+)\s*([A-Za-z]*)", str(value))
        if matched is None or matched[2].upper() not in UNITS or not int(matched[1]):
            self.fail(f"{value!r} is no size: write it as 512MiB", param, ctx)
        return int(matched[1]) * UNITS[matched[2].upper()]


class Rate(click.ParamType[int]):
    """Bits per second with a unit, as 50mbit."""

    name = "rate"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return parse_rate(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Named(Protocol):
    """A contender of whatever kind."""

    @property
    def name(self) -> str: ...


AnyContender = TypeVar("AnyContender", bound=Named)


class Names(click.ParamType[list[AnyContender]], Generic[AnyContender]):
    """Contenders, by name, with commas between them."""

    name = "names"

    def __init__(self, contenders: Sequence[AnyContender]) -> None:
        self._known = {contender.name: contender for contender in contenders}

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> list[AnyContender]:
        if isinstance(value, list):
            return value
        wanted = [SYNONYMS.get(name, name) for name in str(value).split(",") if name]
        for name in wanted:
            if name not in self._known:
                self.fail(f"{name!r} is no contender: choose from {', '.join(self._known)}", param, ctx)
        if not wanted:
            self.fail(f"there are no contenders: choose from {', '.join(self._known)}", param, ctx)
        return [self._known[name] for name in dict.fromkeys(wanted)]


FOLDER: Final = click.Path(path_type=Path, exists=True, file_okay=False)
FILE: Final = click.Path(path_type=Path, dir_okay=False)


def in_a_folder(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Refuse before the measurement what could not be written after it."""
    if path is not None and not path.absolute().parent.is_dir():
        raise click.BadParameter(f"there is no folder {path.absolute().parent}", context, parameter)
    return path


folder_option: Final = click.option("--folder", type=FOLDER, help="Where files go.")
report_option: Final = click.option("--json", "out", type=FILE, callback=in_a_folder, help="Write the report there.")


def memory_folder() -> Path:
    """Where files of many peers go unless told: into memory, so that no disk decides."""
    return Path("/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir())
