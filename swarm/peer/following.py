"""Following one subscription: a round makes ``DIR/current`` the version that its reference means.

Resolve, fetch beside the others, validate, switch, run the hook, remove what is not kept. Each step is found done or is
done again, so a round that was killed anywhere is repeated like any other; ``current`` itself says what is current.
A version that has begun to come is finished though the tag moves on, since its files are then shared by the next.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from swarm.errors import AetherError
from swarm.fingerprint import after_links_went, unchanged
from swarm.paths import shown
from swarm.peer.commands import Ended, HookError, RefusedError, run_command
from swarm.peer.pull import Progress, Target, fingerprint_path, manifest_of, pull_resolved, untold
from swarm.peer.requiring import requiring_of
from swarm.peer.tracing import tracing
from swarm.rooted import Tree, failure
from swarm.scan_cache import ScanCache
from swarm.sharing import Origin
from swarm.staging import READ_ONLY
from swarm.subscription import Followed, Subscription, Wanted, cut
from swarm.tree import extra_in
from swarm.versions import CURRENT, VERSIONS, Versions

if TYPE_CHECKING:
    from swarm.peer.find import Resolved
    from swarm.peer.node import PeerNode

log = logging.getLogger("aetherfs.subscriptions")


class Following:
    """One subscription of a home. ``save`` keeps what ``followed`` has become, ``tell`` is told of all that changes."""

    def __init__(
        self,
        node: PeerNode,
        followed: Followed,
        save: Callable[[], None],
        tell: Callable[[Following], None],
        fetching: asyncio.Semaphore,
    ) -> None:
        self._node = node
        self.followed = followed
        self._save = save
        self._tell = tell
        self._fetching = fetching
        self._alone = asyncio.Lock()
        self.woken = asyncio.Event()
        self.is_removed = False
        # Whether the directory can be made, and is this home's, as far as was tried.
        self.is_usable = True
        # What it does or waits for, and why its last round failed.
        self.phase = ""
        self.problem = ""
        # Of what kind the problem is, and with which version it came; empty if none was known.
        self.failure: type[AetherError] | None = None
        self.failed_at = b""
        self._aim = b""
        self.is_stale = False
        # Whether a rollout lets others have a newer version already.
        self.is_held = False
        # Whether what is current was looked through since this process, or the subscription, began.
        self.is_checked = False
        self.versions = Versions(Path(followed.wanted.directory))

    @property
    def wanted(self) -> Wanted:
        return self.followed.wanted

    async def round(self, progress: Progress = untold, *, has_news: bool = False) -> None:
        """Make the version current that is meant now. Raises what hinders it; the next round begins anew."""
        async with self._alone:
            self._aim = b""
            try:
                while not await self._towards(await self._resolve(has_news), progress):
                    has_news = True
                self.failure = None
                self._say("", "")
            except AetherError as error:
                self._fails(error)
                raise
            except OSError as error:
                known = failure(f"cannot keep {shown(self.wanted.directory)} current", error)
                self._fails(known)
                raise known from error

    def _fails(self, error: AetherError) -> None:
        self.failure, self.failed_at = type(error), self._aim
        self._say("", str(error))

    async def _resolve(self, has_news: bool) -> Resolved:
        """What the reference means: by news that have come, so that not all ask the tracker at once; else by asking."""
        finder = self._node.finder
        with requiring_of(self._node, self.wanted.required):
            known = finder.known(self.wanted.reference) if has_news else None
            if known is not None and known.serial > self.followed.serial:
                return self._held(known)
            resolved = await finder.resolve(self.wanted.reference)
        self.is_stale = resolved.is_stale
        return self._held(resolved)

    def _held(self, resolved: Resolved) -> Resolved:
        """Note what is meant; note, and tell, whether a rollout holds this peer back."""
        self._aim = resolved.version
        if resolved.is_held != self.is_held:
            self.is_held = resolved.is_held
            self._tell(self)
        return resolved

    async def _towards(self, resolved: Resolved, progress: Progress) -> bool:
        """Whether that version is current now, or is not to be."""
        await self._open()
        current = await asyncio.to_thread(self.versions.current)
        is_current = current == resolved.version and self.versions.path_of(resolved.version).is_dir()
        if not is_current and resolved.version == self.followed.refused:
            raise self._refusal()
        if not is_current or not self.is_checked:
            # Of what lies there whole nothing is fetched; what was altered or lost meanwhile is.
            await self._fetch(resolved, progress)
            self.is_checked = is_current
        if not is_current:
            if self._is_overtaken(resolved):
                return False
            await self._validate(resolved, current)
            await asyncio.to_thread(self.versions.switch, resolved.version)
            self.is_checked = True
            log.info("%s is at %s", self.wanted.directory, resolved.version.hex()[:12])
        if self.followed.recent[:1] != (resolved.version,) or self.followed.serial != resolved.serial:
            self._become(self.followed.switched(resolved.version, resolved.serial))
        await self._hook(resolved)
        await self._remove_others(resolved.version)
        return True

    async def _open(self) -> None:
        """Make the directory, and mark it as this home's: two that followed one would remove each other's versions."""
        self.is_usable = False
        await asyncio.to_thread(self.versions.open)
        await asyncio.to_thread(self.versions.claim, self._node.key.peer_id, str(self._node.home.path))
        self.is_usable = True

    async def release(self) -> None:
        """Let another home follow in this directory."""
        await asyncio.to_thread(self.versions.release, self._node.key.peer_id)

    def _is_overtaken(self, resolved: Resolved) -> bool:
        """Whether the tag has gone back, meanwhile, to a version that lies here: no reader need see this one."""
        with requiring_of(self._node, self.wanted.required):
            known = self._node.finder.known(self.wanted.reference)
        if known is None or known.serial <= resolved.serial or known.version == resolved.version:
            return False
        return self.versions.path_of(known.version).is_dir()

    # ---- fetch --------------------------------------------------------------------------------------------------

    async def _fetch(self, resolved: Resolved, progress: Progress) -> None:
        self._say("waits for other subscriptions")
        async with self._fetching:
            self._say(f"fetches {resolved.version.hex()[:12]}")
            # What was staged of versions that are wanted no more takes room from this one.
            await asyncio.to_thread(self.versions.tidy, (resolved.version,))
            target = Target(
                self.versions.path_of(resolved.version),
                self.wanted.include,
                force=True,
                mask=READ_ONLY,
                origins=lambda: self._origins(resolved.version),
            )
            async with tracing(self._node, self.wanted.ref, resolved.dataset, target.directory) as traced:
                manifest, _ = await manifest_of(self._node, resolved, progress, traced)
                await pull_resolved(self._node, resolved, manifest, target, progress, traced)

    def _origins(self, coming: bytes) -> list[Origin]:
        """The versions that lie here and may have files in common with the one that comes, newest first."""
        here = [version for version in self.versions.whole() if version != coming]
        order = {version: place for place, version in enumerate(self.followed.recent)}
        found: list[Origin] = []
        for version in sorted(here, key=lambda version: order.get(version, len(order))):
            manifest, directory = self._node.trees.manifest(version), self.versions.path_of(version)
            if manifest is not None:
                found.append(Origin(directory, manifest, ScanCache.load(fingerprint_path(self._node, directory))))
        return found

    # ---- commands -----------------------------------------------------------------------------------------------

    async def _validate(self, resolved: Resolved, current: bytes | None) -> None:
        """RefusedError when the user's command refuses the version, which is then not tried again."""
        if not self.wanted.validate:
            return
        self._say("validates")
        ended = await self._run(self.wanted.validate, resolved, current)
        if ended.exit_code == 0:
            return
        said = cut(ended.said) or f"it ended with {ended.exit_code}"
        self._become(msgspec.structs.replace(self.followed, refused=resolved.version, refusal=said))
        await self._remove(resolved.version)
        raise self._refusal()

    def _refusal(self) -> RefusedError:
        return RefusedError(
            f"--validate refused version {self.followed.refused.hex()[:12]} of {self.wanted.ref}: "
            f"{self.followed.refusal}; move the tag, or subscribe again to try once more"
        )

    @property
    def is_hook_due(self) -> bool:
        """Whether the hook has not succeeded yet for the version that is current."""
        return bool(self.wanted.hook) and self.followed.recent[:1] != (self.followed.hooked,)

    async def _hook(self, resolved: Resolved) -> None:
        """Run the hook until it has succeeded once for this version. HookError when it does not."""
        if not self.wanted.hook or self.followed.hooked == resolved.version:
            return
        self._say("runs its hook")
        before = next((version for version in self.followed.recent if version != resolved.version), None)
        ended = await self._run(self.wanted.hook, resolved, before)
        if ended.exit_code != 0:
            said = cut(ended.said) or "it said nothing"
            raise HookError(f"the hook of {self.wanted.directory} ended with {ended.exit_code}: {said}; it is repeated")
        self._become(msgspec.structs.replace(self.followed, hooked=resolved.version))

    async def _run(self, line: str, resolved: Resolved, before: bytes | None) -> Ended:
        directory = self.versions.path_of(resolved.version)
        earlier = self.versions.path_of(before) if before is not None else None
        return await run_command(line, directory, environment_of(self._node.home.path, self.wanted, resolved, earlier))

    # ---- removing -----------------------------------------------------------------------------------------------

    async def _remove_others(self, current: bytes) -> None:
        doomed = self.followed.doomed(await asyncio.to_thread(self.versions.whole), current)
        if doomed:
            tree, noted = (
                Tree(self.versions.path_of(current)),
                fingerprint_path(self._node, self.versions.path_of(current)),
            )
            known = await asyncio.to_thread(lambda: unchanged(tree, ScanCache.load(noted)))
            for version in doomed:
                await self._remove(version)
            await asyncio.to_thread(lambda: after_links_went(tree, known).save(noted))
        await asyncio.to_thread(self.versions.tidy)

    async def _remove(self, version: bytes) -> None:
        """Remove a version, unless the user has put something into its directory."""
        directory = self.versions.path_of(version)
        own = await asyncio.to_thread(self._own_of_user, version)
        if own:
            log.warning("%s is kept: %s", directory, own)
            return
        self._node.directories.release(directory)
        self._node.trees.remove(directory)
        await asyncio.to_thread(self.versions.remove, version)
        fingerprint_path(self._node, directory).unlink(missing_ok=True)

    def _own_of_user(self, version: bytes) -> str:
        """Something in a version's directory that is not of the version, in words."""
        manifest = self._node.trees.manifest(version)
        if manifest is None:
            return ""
        return next(extra_in(self.versions.path_of(version), {entry.path for entry in manifest.files}), "")

    # ---- telling ------------------------------------------------------------------------------------------------

    def told(self) -> Subscription:
        """What it is and how it stands."""
        wanted, followed = self.wanted, self.followed
        current = followed.recent[0].hex() if followed.recent else ""
        return Subscription(
            id=wanted.id,
            ref=wanted.ref,
            directory=wanted.directory,
            keep=wanted.keep,
            validate=wanted.validate,
            hook=wanted.hook,
            include=wanted.include,
            require_signer=wanted.require_signer,
            signer_moves=wanted.signer_moves,
            paused=followed.is_paused,
            version=current,
            serial=followed.serial,
            previous=tuple(version.hex() for version in followed.recent[1 : wanted.keep + 1]),
            phase=self.phase,
            problem=self.problem,
            refused=followed.refused.hex(),
            refusal=followed.refusal,
            stale=self.is_stale,
            held=self.is_held,
        )

    async def looked(self) -> Subscription:
        """The same after a look at the directory: what was removed there is told, and mended by a round at once."""
        told = self.told()
        if told.phase or told.problem or not self.followed.recent:
            return told
        remedy = "--resume it to mend that" if told.paused else "the next round mends that"
        damage = await asyncio.to_thread(self.versions.damage, self.followed.recent[0], remedy)
        if damage:
            self.woken.set()
        return msgspec.structs.replace(told, problem=damage)

    def _become(self, followed: Followed) -> None:
        """Keep what is new. FullError leaves what was: the round is repeated."""
        before, self.followed = self.followed, followed
        try:
            self._save()
        except AetherError:
            self.followed = before
            raise
        self._tell(self)

    def _say(self, phase: str, problem: str | None = None) -> None:
        problem = self.problem if problem is None else problem
        if (phase, problem) != (self.phase, self.problem):
            self.phase, self.problem = phase, problem
            self._tell(self)


def environment_of(home: Path, wanted: Wanted, resolved: Resolved, before: Path | None) -> dict[str, str]:
    """What a command is told of the version that it is about; ``before`` is where the one before it lies."""
    directory = Path(wanted.directory)
    return {
        "AETHERFS_HOME": str(home),
        "AETHERFS_REF": wanted.ref,
        "AETHERFS_DATASET": resolved.dataset,
        "AETHERFS_TAG": resolved.tag or "",
        "AETHERFS_VERSION": resolved.version.hex(),
        "AETHERFS_SERIAL": str(resolved.serial),
        "AETHERFS_DIRECTORY": str(directory),
        "AETHERFS_CURRENT": str(directory / CURRENT),
        "AETHERFS_PATH": str(directory / VERSIONS / resolved.version.hex()),
        "AETHERFS_PREVIOUS_VERSION": before.name if before is not None else "",
        "AETHERFS_PREVIOUS_PATH": str(before) if before is not None else "",
    }
