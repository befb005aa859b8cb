"""The logs of all datasets as ``gc`` reads them: which versions they and their keep rules keep. Blocking.

Every entry is verified, as by a tracker; a damaged log ends it, since what it keeps is not known then. Entries do not
change, so each is read once.
"""

from __future__ import annotations

from seed.collect import Collector
from seed.seeing import Sight
from swarm import log
from swarm.claims import Version, keys_below
from swarm.errors import IntegrityError, NotFoundError, RemoteProtocolError
from swarm.objects import ObjectStore
from swarm.retention import History
from swarm.tracker.catalogue import NAMES
from swarm.tracker.entries import log_key
from swarm.tracker.orders import keep_rules, purges
from swarm.trust import Trust


class Histories:
    """All logs over a store. ``authority``: the CA's keys."""

    def __init__(self, objects: ObjectStore, authority: Trust) -> None:
        self._objects = objects
        self._authority = authority
        self._histories: dict[str, tuple[History, bytes]] = {}

    def kept(self, wall_now: float) -> frozenset[Version]:
        """The versions that are kept, as of now."""
        found: set[Version] = set()
        datasets = [key.removeprefix(NAMES) for key in keys_below(self._objects, NAMES)]
        rules = keep_rules(self._objects, self._authority)
        for dataset in datasets:
            history = self._read(dataset)
            found.update((dataset, version) for version in history.kept(rules.get(dataset), wall_now))
        return frozenset(found)

    def _read(self, dataset: str) -> History:
        history, head = self._histories.get(dataset, (History(), b""))
        while (data := self._entry(dataset, history.serial + 1)) is not None:
            try:
                entry = log.verify_endorsed(data, authority=self._authority)
                log.check_follows(entry, history.serial, head)
                if entry.dataset != dataset:
                    raise RemoteProtocolError(f"it is of {entry.dataset}")
            except RemoteProtocolError as error:
                raise IntegrityError(
                    f"entry {history.serial + 1} of {dataset} in the object store proves nothing ({error}): "
                    "if no new key of the CA is on its way to this home, restore it from a backup; nothing was removed"
                ) from error
            history.apply(entry)
            head = log.entry_hash(data)
            self._histories[dataset] = (history, head)
        return history

    def _entry(self, dataset: str, serial: int) -> bytes | None:
        try:
            return self._objects.get(log_key(dataset, serial))
        except NotFoundError:
            return None


def collector(objects: ObjectStore, authority: Trust) -> Collector:
    """``gc`` over a store."""
    histories = Histories(objects, authority)
    return Collector(Sight(objects, histories.kept, lambda: frozenset(purges(objects, authority))))
