"""Routes of keep rules, quotas and purges.

A keep rule is for whoever may publish to the dataset; quotas and purges are for who administrates it.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

import msgspec
from aiohttp import web

from swarm.claims import Version
from swarm.errors import ConflictError, FullError, NotAllowedError, NotFoundError
from swarm.http.routes import Route
from swarm.names import check_name
from swarm.order_messages import (
    MEMBERS_TOLD_MAX,
    KeepAnswer,
    KeepRequest,
    PurgeAnswer,
    PurgedRequest,
    PurgeRequest,
    QuotaAnswer,
    QuotaRequest,
)
from swarm.principal import Principal
from swarm.retention import PINS_MAX, KeepRule
from swarm.signature import from_hex
from swarm.tracker import forecasts, orders, sealed
from swarm.tracker.asking import asker_of
from swarm.tracker.figures import keeping
from swarm.tracker.membership import Member
from swarm.tracker.orders import KEEP, QUOTAS, Purge, Quota
from swarm.tracker.revivals import claimed, claimed_until
from swarm.tracker.state import TrackerState, answer, body_of, dataset_of

# A commit takes a second or two of the store, a call ten at most; who is killed leaves its claim.
DAY_S: Final = 86_400
CLAIMS_WAIT_S: Final = 4.0
CLAIMS_POLL_S: Final = 0.2
OF_DATASET: Final = "/api/v1/datasets/{scope}/{name}"
OF_VERSION: Final = OF_DATASET + "/versions/{version}"
OF_SCOPE: Final = "/api/v1/scopes/{scope}"


def order_routes(state: TrackerState) -> list[Route]:
    """The declarations."""
    serve = _Serve(state)
    show, change = state.for_askers("keep", serve.keep), state.for_askers("keep", serve.change_keep)
    quota, set_quota = state.for_askers("quota", serve.quota), state.for_askers("quota", serve.set_quota)
    purge, purge_state = state.for_askers("purge", serve.purge), state.for_askers("purge", serve.purge_state)
    purged = state.for_members("purged", serve.purged)
    return [
        Route("GET", OF_DATASET + "/keep", show, "read", "The keep rule", response=KeepAnswer),
        Route("POST", OF_DATASET + "/keep", change, "publish", "Change the keep rule", KeepRequest, KeepAnswer),
        Route("GET", OF_SCOPE + "/quota", quota, "known", "The quota of a scope", response=QuotaAnswer),
        Route("POST", OF_SCOPE + "/quota", set_quota, "admin", "Set it", QuotaRequest, QuotaAnswer),
        Route("GET", OF_VERSION + "/purge", purge_state, "admin", "Who has purged a version", None, PurgeAnswer),
        Route("POST", OF_VERSION + "/purge", purge, "admin", "Purge a version", PurgeRequest, PurgeAnswer),
        Route("POST", OF_VERSION + "/purged", purged, "member", "Nothing is left here", PurgedRequest),
    ]


class _Serve:
    def __init__(self, state: TrackerState) -> None:
        self.state = state

    async def keep(self, request: web.Request, who: Principal) -> web.Response:
        dataset = dataset_of(request)
        await self.state.work(self.state.catalogue.head, dataset)
        return answer(_told(dataset, await self.state.work(self._rule, dataset)))

    async def change_keep(self, request: web.Request, who: Principal) -> web.Response:
        dataset = dataset_of(request)
        asked = await body_of(request, KeepRequest)
        await self.state.work(self.state.catalogue.head, dataset)
        rule = await self.state.work(self._change, dataset, asked, time.time())
        self.state.note(who, "keep", dataset, f"rule {rule.serial}: {_words(rule)}")
        return answer(_told(dataset, rule))

    async def quota(self, request: web.Request, who: Principal) -> web.Response:
        scope = check_name(request.match_info["scope"], "scope")
        found = await self.state.work(orders.quota, self.state.objects, self.state.keys.authority.trust, scope)
        return answer(QuotaAnswer(scope, found))

    async def set_quota(self, request: web.Request, who: Principal) -> web.Response:
        scope = check_name(request.match_info["scope"], "scope")
        asked = await body_of(request, QuotaRequest)
        await self.state.work(self._set_quota, scope, asked.bytes, time.time())
        self.state.note(who, "quota", f"{scope}/*", str(asked.bytes) if asked.bytes is not None else "none")
        return answer(QuotaAnswer(scope, asked.bytes))

    async def purge(self, request: web.Request, who: Principal) -> web.Response:
        version, member = _version_of(request), asker_of(request).member
        if member is None:
            raise NotAllowedError(
                "an order to purge names the member from whose home it comes: your right is not enough, it takes a "
                "certificate of the swarm as well; use `aetherfs purge` at a home that has joined"
            )
        asked = await body_of(request, PurgeRequest)
        data = await self.state.work(self._purge, version, asked.reason, member.public, time.time())
        self.state.purges.add(version)
        self.state.note(who, "purge", dataset_and(version), asked.reason)
        if self.state.on_order is not None:
            self.state.on_order(data)
        # A tag that was committed between the look and the order did not see it, nor one that has only claimed the
        # version: it looks for an order after its claim, so who claims it from now on is refused.
        until = await self._claims_over(version)
        if tags := await self.state.work(self._tags_at, version):
            raise ConflictError(
                f"the order to purge stands, and {', '.join(tags[:8])} of {version[0]} were pointed to this version "
                "meanwhile: move or remove these tags, nobody can pull them any more"
            )
        await self.state.work(keeping.purge, self.state.objects, *version)
        await self.state.work(forecasts.purge, self.state.objects, *version)
        told = await self.state.work(self._purge_state, version)
        return answer(msgspec.structs.replace(told, claimed_until=until))

    async def _claims_over(self, version: Version) -> int | None:
        """Return when nobody claims a version; after a while until when it is claimed, by who was killed perhaps."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CLAIMS_WAIT_S
        while (until := await self.state.work(claimed_until, self.state.objects, version, time.time())) is not None:
            if loop.time() > deadline:
                return until
            await asyncio.sleep(CLAIMS_POLL_S)
        return None

    async def purge_state(self, request: web.Request, who: Principal) -> web.Response:
        return answer(await self.state.work(self._purge_state, _version_of(request)))

    async def purged(self, request: web.Request, member: Member) -> web.Response:
        version = _version_of(request)
        await body_of(request, PurgedRequest)
        if await self.state.work(orders.is_purged, self.state.objects, version):
            await self.state.work(orders.confirm, self.state.objects, version, member.peer_id)
        return web.Response(status=200)

    # ---- what waits for the store -------------------------------------------------------------------------------

    def _rule(self, dataset: str) -> KeepRule | None:
        found = orders.latest(self.state.objects, f"{KEEP}{dataset}/", KeepRule, self.state.keys.authority.trust)
        return found.get("")

    def _change(self, dataset: str, asked: KeepRequest, wall_now: float) -> KeepRule:
        """The new rule. A pin is a claim on its version, which may be an old one."""
        pinned = bytes.fromhex(asked.pin) if asked.pin is not None else None
        if pinned is not None:
            self.state.catalogue.find_version(dataset, pinned, wall_now)

        def changed(known: KeepRule | None, serial: int) -> KeepRule:
            return _changed(known or KeepRule(1, dataset, 1, None, None, (), 0), serial, asked, int(wall_now))

        with claimed(self.state.objects, [(dataset, pinned)] if pinned is not None else [], wall_now):
            authority = self.state.keys.authority
            return orders.change(self.state.objects, authority, KEEP, dataset, KeepRule, changed)

    def _set_quota(self, scope: str, limit: int | None, wall_now: float) -> None:
        def changed(_: Quota | None, serial: int) -> Quota:
            return Quota(1, scope, serial, limit, int(wall_now))

        orders.change(self.state.objects, self.state.keys.authority, QUOTAS, scope, Quota, changed)

    def _purge(self, version: Version, reason: str, member: bytes, wall_now: float) -> bytes:
        """Write the order, unless there is one: its bytes. ConflictError while a tag points to the version."""
        dataset, signature = version
        self.state.catalogue.find_version(dataset, signature, wall_now)
        if tags := self._tags_at(version):
            raise ConflictError(f"{dataset} has this version under {', '.join(tags[:8])}: move or remove that first")
        order = Purge(1, dataset, signature, member, reason, int(wall_now))
        self.state.objects.put_if_absent(orders.purge_key(version), sealed.seal(self.state.keys.authority.key, order))
        return self.state.objects.get(orders.purge_key(version))

    def _tags_at(self, version: Version) -> list[str]:
        """The tags that point to a version now, or mean it to peers that a rollout holds back."""
        dataset, signature = version
        head, _, staged = self.state.catalogue.staged(dataset)
        return [tag.tag for tag in head.tags if signature in (tag.version, staged.settled(tag.tag, {tag.tag: tag}))]

    def _purge_state(self, version: Version) -> PurgeAnswer:
        try:
            data = self.state.objects.get(orders.purge_key(version))
        except NotFoundError as error:
            raise NotFoundError(f"nobody has ordered to purge {version[0]}@{version[1].hex()[:16]}") from error
        order = orders.open_purge(data, self.state.keys.authority.trust)
        done = set(orders.confirmed(self.state.objects, version))
        left = set(self.state.members.all_ids()) - done
        obeyed, unheard = (tuple(sorted(ids)[:MEMBERS_TOLD_MAX]) for ids in (done, left))
        return PurgeAnswer(order.dataset, order.version.hex(), order.wall_time, order.reason, obeyed, unheard)


def _changed(rule: KeepRule, serial: int, asked: KeepRequest, wall_time: int) -> KeepRule:
    """A rule as it is after a change."""
    last, age_s = (None, None) if asked.clear else (rule.last, rule.age_s)
    pinned = [version for version in rule.pinned if version.hex() not in (asked.pin, asked.unpin)]
    if asked.pin is not None:
        pinned.append(bytes.fromhex(asked.pin))
    if len(pinned) > PINS_MAX:
        raise FullError(f"{rule.dataset} has {PINS_MAX} pins, which is the limit: unpin some")
    return KeepRule(
        format=1,
        dataset=rule.dataset,
        serial=serial,
        last=asked.last if asked.last is not None else last,
        age_s=asked.age_s if asked.age_s is not None else age_s,
        pinned=tuple(pinned),
        wall_time=wall_time,
    )


def _told(dataset: str, rule: KeepRule | None) -> KeepAnswer:
    if rule is None:
        return KeepAnswer(dataset, 0, None, None, ())
    return KeepAnswer(dataset, rule.serial, rule.last, rule.age_s, tuple(version.hex() for version in rule.pinned))


def dataset_and(version: Version) -> str:
    """A version in words."""
    return f"{version[0]}@{version[1].hex()[:16]}"


def _version_of(request: web.Request) -> Version:
    return dataset_of(request), from_hex(request.match_info["version"])


def _words(rule: KeepRule) -> str:
    """A rule for the audit, with as many of what it pins as there is room for."""
    last = [f"last {rule.last}"] if rule.last is not None else []
    age = [f"younger than {rule.age_s / DAY_S:g} d"] if rule.age_s is not None else []
    pinned = [f"pinned {version.hex()[:12]}" for version in rule.pinned]
    return ", ".join([*(last + age or ["everything"]), *pinned])
