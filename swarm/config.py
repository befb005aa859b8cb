"""Settings: where each comes from.

    flag  >  AETHERFS_<NAME>  >  --config FILE  >  $AETHERFS_HOME/config.toml  >  profile  >  default

The store's default is the one that a tracker or a seed of this home ran over last, which is remembered there.
A profile is a set of defaults for one kind of machine, so each of its values gives way to a setting that is made.
Every value keeps its origin, so that ``aetherfs config show --origin`` can tell it. The files are flat TOML tables
with the names of ``swarm.known_settings``. A name that is not known, or a value of the wrong kind, is refused with the
place where it stands. Secrets are no settings: they come from files, the environment or stdin.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from swarm.errors import NotFoundError, UsageError
from swarm.known_settings import PROFILES, SETTINGS, Kind, Value, parse

HOME_VARIABLE: Final = "AETHERFS_HOME"
DEFAULT_HOME: Final = "~/.aetherfs"
FILE_NAME: Final = "config.toml"
FILE_MAX_BYTES: Final = 64 * 1024
STORE_FILE: Final = "store_address"

_BY_NAME: Final = {setting.name: setting for setting in SETTINGS}

_IN_FILES: Final[Mapping[Kind, tuple[type, str]]] = {
    "count": (int, "a whole number"),
    "text": (str, "a text in quotes"),
    "switch": (bool, "true or false"),
}


@dataclass(frozen=True, slots=True)
class Chosen:
    """A value and where it comes from: ``flag --x``, ``environment AETHERFS_X``, a file's path, ``default``."""

    value: Value
    origin: str


class Settings:
    """All settings of one invocation. ``home`` is a folder's path, made absolute; it need not exist."""

    def __init__(self, home: Path, home_origin: str, chosen: Mapping[str, Chosen]) -> None:
        self.home = home
        self.home_origin = home_origin
        self._chosen = dict(chosen)

    @property
    def store(self) -> str:
        """The object store's URL."""
        return self._text("store") or self.own_store

    @property
    def own_store(self) -> str:
        """The URL of the folder in the home, which is the store unless another is named."""
        return (self.home / "store").as_uri()

    @property
    def listen(self) -> str:
        return self._text("listen")

    @property
    def dial_also(self) -> str:
        """Networks, with commas between."""
        return self._text("dial_also")

    @property
    def port_base(self) -> int:
        return self._count("port_base")

    @property
    def join_file(self) -> str:
        return self._text("join_file")

    @property
    def prices(self) -> str:
        """The path of the file with prices."""
        return self._text("prices")

    @property
    def secret_file(self) -> str:
        return self._text("secret_file")

    @property
    def passphrase_file(self) -> str:
        return self._text("passphrase_file")

    @property
    def tls_cert(self) -> str:
        return self._text("tls_cert")

    @property
    def tls_key(self) -> str:
        return self._text("tls_key")

    @property
    def traces(self) -> bool:
        return self._text("traces") == "on"

    @property
    def health_listen(self) -> str:
        """``host:port``."""
        return self._text("health_listen")

    @property
    def log_format(self) -> str:
        return self._text("log_format")

    @property
    def log_level(self) -> str:
        return self._text("log_level")

    @property
    def alert_webhook(self) -> str:
        """An address, or a file's path."""
        return self._text("alert_webhook")

    @property
    def alert_webhook_token_file(self) -> str:
        return self._text("alert_webhook_token_file")

    @property
    def offload_target(self) -> int:
        """Percent; 0 for none."""
        return self._count("offload_target")

    @property
    def seal_key(self) -> str:
        """Where the seal key is: a path, ``env:VARIABLE`` or ``credential:NAME``."""
        return self._text("seal_key")

    @property
    def require_signer(self) -> str:
        return self._text("require_signer")

    @property
    def signer_moves(self) -> str:
        return self._text("signer_moves")

    @property
    def memory_bytes(self) -> int:
        return self._count("memory_bytes")

    @property
    def disk_bytes(self) -> int:
        return self._count("disk_bytes")

    @property
    def profile(self) -> str:
        return self._text("profile")

    @property
    def memory_budget(self) -> int:
        """Bytes; 0 for none."""
        return self._count("memory_budget")

    @property
    def lan_discovery(self) -> bool:
        return self._text("lan_discovery") == "on"

    @property
    def upload_limit(self) -> str:
        """A rate, or a timetable of them."""
        return self._text("upload_limit")

    @property
    def download_limit(self) -> str:
        return self._text("download_limit")

    @property
    def metered(self) -> bool:
        return self._text("metered") == "on"

    def is_said(self, name: str) -> bool:
        """Whether somebody set it: flag, environment or file."""
        return self._chosen[name].origin not in ("default", f"profile {self.profile}")

    def items(self) -> list[tuple[str, Value, str]]:
        """Name, value and origin of every setting, the home first."""
        rest = [(setting.name, self._chosen[setting.name]) for setting in SETTINGS]
        shown = [(name, self.store if name == "store" else chosen.value, chosen.origin) for name, chosen in rest]
        return [("home", str(self.home), self.home_origin), *shown]

    def _text(self, name: str) -> str:
        return str(self._chosen[name].value)

    def _count(self, name: str) -> int:
        return int(self._chosen[name].value)


def load(flags: Mapping[str, str], environment: Mapping[str, str], config_file: str | None = None) -> Settings:
    """Settings from the flags that were given (by setting name, and ``home``), the environment and the files.

    Raises UsageError for what is malformed and NotFoundError when ``config_file`` is not there.
    """
    home, home_origin = _home(flags, environment)
    chosen = {setting.name: Chosen(setting.default, "default") for setting in SETTINGS}
    chosen |= _remembered_store(home / STORE_FILE)
    chosen |= _from_file(home / FILE_NAME, must_exist=False)
    if config_file is not None:
        chosen |= _from_file(Path(config_file), must_exist=True)
    for setting in SETTINGS:
        if environment.get(setting.variable):
            origin = f"environment {setting.variable}"
            chosen[setting.name] = Chosen(parse(setting, environment[setting.variable], origin), origin)
        if setting.name in flags:
            origin = f"flag --{setting.name.replace('_', '-')}"
            chosen[setting.name] = Chosen(parse(setting, flags[setting.name], origin), origin)
    return Settings(home, home_origin, _with_profile(chosen))


def _with_profile(chosen: Mapping[str, Chosen]) -> dict[str, Chosen]:
    """The profile's values in place of defaults, and of nothing else."""
    profile = str(chosen["profile"].value)
    values = {name: Chosen(value, f"profile {profile}") for name, value in PROFILES[profile].items()}
    return {name: values.get(name, one) if one.origin == "default" else one for name, one in chosen.items()}


def _home(flags: Mapping[str, str], environment: Mapping[str, str]) -> tuple[Path, str]:
    if flags.get("home"):
        text, origin = flags["home"], "flag --home"
    elif environment.get(HOME_VARIABLE):
        text, origin = environment[HOME_VARIABLE], f"environment {HOME_VARIABLE}"
    else:
        text, origin = DEFAULT_HOME, "default"
    if "\0" in text:
        raise UsageError(f"{origin} holds a NUL character: give a folder's path")
    return Path(os.path.abspath(os.path.expanduser(text))), origin


def _remembered_store(path: Path) -> dict[str, Chosen]:
    """The store that a role wrote down when it ran over it, if it is not the home's own."""
    try:
        with path.open("rb") as file:
            text = file.read(FILE_MAX_BYTES).decode("utf-8", "replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; repair it, or name the store with --store") from error
    return {"store": Chosen(text, str(path))} if text else {}


def _from_file(path: Path, *, must_exist: bool) -> dict[str, Chosen]:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        if must_exist:
            raise NotFoundError(f"{path} is not there: check the path given with --config") from error
        return {}
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; repair it or choose another with --config") from error
    if len(data) > FILE_MAX_BYTES:
        raise UsageError(f"{path} is longer than {FILE_MAX_BYTES} bytes: it is not a file of settings")
    import tomllib

    try:
        table = tomllib.loads(data.decode())
    except ValueError as error:
        raise UsageError(f"{path} is not valid TOML: {error}; correct it") from error
    return {name: Chosen(_of_file(name, value, path), str(path)) for name, value in table.items()}


def _of_file(name: str, value: object, path: Path) -> Value:
    setting = _BY_NAME.get(name)
    if setting is None:
        raise UsageError(f"{path} holds the unknown setting {name!r}: known are {', '.join(_BY_NAME)}")
    right_kind, wanted = _IN_FILES[setting.kind]
    if type(value) is not right_kind:
        raise UsageError(f"{path} sets {name} to {value!r}: expected {wanted}")
    return parse(setting, str(value), str(path))
