"""Every setting: its name and kind, what it is when nobody says, what it means, and what it may be. Pure.

Where each value comes from is for ``swarm.config``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from swarm.errors import UsageError

Value = str | int
Kind = Literal["text", "count", "switch"]

DEFAULT_PORT_BASE: Final = 7070
PORT_BASE_MAX: Final = 65_533
MIB: Final = 1024**2
RATES: Final = "as 10mbit, or by the clock: '10mbit, mon-fri 08:00-18:00 2mbit'"
# What a process takes that does nothing: PROCESS_BYTES of ``swarm.peer.memory_budget``.
BUDGET_LEAST: Final = 72 * MIB
SWITCHES: Final = {
    "on": "on",
    "true": "on",
    "yes": "on",
    "1": "on",
    "off": "off",
    "false": "off",
    "no": "off",
    "0": "off",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. ``least`` and ``most`` bound a count, which may also be 0 where ``zero_means_none``; a text is one
    of ``choices``, if there are any.
    """

    name: str
    kind: Kind
    default: Value
    meaning: str
    least: int = 0
    most: int = 1 << 62
    choices: tuple[str, ...] = ()
    zero_means_none: bool = False

    @property
    def variable(self) -> str:
        return "AETHERFS_" + self.name.upper()


SETTINGS: Final = (
    Setting(
        "store",
        "text",
        "",
        "object store: file:///path or s3://bucket/prefix?endpoint=URL&region=R (empty: one in the home)",
    ),
    Setting("listen", "text", "127.0.0.1", "host to listen on, and to be reached at"),
    Setting("dial_also", "text", "", "networks that peers are dialled in too, as 127.0.0.0/8 (see SECURITY.md)"),
    Setting("port_base", "count", DEFAULT_PORT_BASE, "first of the three ports (0: free ones)", most=PORT_BASE_MAX),
    Setting("join_file", "text", "", "file with the join token of a home that is not enrolled yet"),
    Setting("prices", "text", "", "file with the prices of the object store, TOML (empty: AWS S3 Standard, us-east-1)"),
    Setting("secret_file", "text", "", "file with the swarm secret, from which a tracker or a seed enrols itself"),
    Setting("passphrase_file", "text", "", "file with the passphrase that the swarm secret is sealed with"),
    Setting("tls_cert", "text", "", "file with the certificate that a tracker shows people, PEM (empty: its own)"),
    Setting("tls_key", "text", "", "file with the private key of that certificate, PEM"),
    Setting(
        "health_listen",
        "text",
        "",
        "host:port where /livez, /readyz and /metrics are answered to whoever reaches it, without TLS (empty: nowhere)",
    ),
    Setting("log_format", "text", "text", "how a process that stays logs: text or json", choices=("text", "json")),
    Setting(
        "log_level",
        "text",
        "",
        "what it logs at least: debug, info, warning or error (empty: warning)",
        choices=("", "debug", "info", "warning", "error"),
    ),
    Setting("traces", "switch", "off", "make traces for OpenTelemetry, which OTEL_* variables lead: on or off"),
    Setting(
        "alert_webhook",
        "text",
        "",
        "http(s) address that a tracker sends alerts to, as Alertmanager does, or a file that holds it (empty: none)",
    ),
    Setting("alert_webhook_token_file", "text", "", "file with a bearer token for that address"),
    Setting("offload_target", "count", 80, "percent of a rollout's bytes that peers are to give (0: none)", most=99),
    Setting(
        "seal_key",
        "text",
        "",
        "what keys and kept blocks are sealed with: a file, env:VARIABLE or systemd's credential:NAME (empty: nothing)",
    ),
    Setting(
        "require_signer",
        "text",
        "",
        "take entries of these producers only: key ids, or names of `aetherfs key list`, parted by commas",
    ),
    Setting("signer_moves", "text", "own", "who moves tags among their versions: own, or published (anybody)"),
    Setting("memory_bytes", "count", 64 * MIB, "bytes of blocks kept in memory", least=MIB),
    Setting("disk_bytes", "count", 10_000 * MIB, "bytes of blocks kept on disk (0: no disk tier)"),
    Setting("profile", "text", "", "named set of defaults: edge, for a small device", choices=("", "edge")),
    Setting(
        "memory_budget",
        "count",
        0,
        "bytes that this process should fit into: blocks in memory, buffers, manifests and neighbours are sized by it "
        "(0: by the settings of each)",
        least=BUDGET_LEAST,
        most=1 << 40,
        zero_means_none=True,
    ),
    Setting("lan_discovery", "switch", "off", "find peers of this site by multicast, without a tracker: on or off"),
    Setting("upload_limit", "text", "", f"what is sent at most, {RATES}"),
    Setting("download_limit", "text", "", f"what is fetched at most, {RATES}"),
    Setting(
        "metered", "switch", "off", "on a link that costs: fetch only what is asked for, give only within the site"
    ),
)
# What a profile sets unless somebody says otherwise.
PROFILES: Final[Mapping[str, Mapping[str, Value]]] = {
    "": {},
    "edge": {"memory_budget": 112 * MIB, "disk_bytes": 0, "lan_discovery": "on"},
}


def parse(setting: Setting, text: str, origin: str) -> Value:
    """A value as it is written on a command line or in the environment. UsageError, which names its origin."""
    if setting.kind == "switch":
        if text.strip().lower() not in SWITCHES:
            raise UsageError(f"{text[:80]!r} ({origin}) is neither on nor off: {setting.name} is {setting.meaning}")
        return SWITCHES[text.strip().lower()]
    if setting.kind == "text":
        if setting.choices and text not in setting.choices:
            known = ", ".join(choice for choice in setting.choices if choice)
            raise UsageError(f"{text[:80]!r} ({origin}) is no {setting.name}: known are {known}")
        return text
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 19):
        raise UsageError(f"{text[:80]!r} ({origin}) is not a whole number: {setting.name} is {setting.meaning}")
    if setting.zero_means_none and int(digits) == 0:
        return 0
    if not setting.least <= int(digits) <= setting.most:
        raise UsageError(f"{digits} ({origin}) is out of bounds: {setting.name} is {setting.least} to {setting.most}")
    return int(digits)
