"""Routes of the policy: its rules, their history, why something is or was refused, and which grants are recalled."""

from __future__ import annotations

import time

from aiohttp import web

from swarm.access_messages import AccessAnswer, AccessRequest, ExplainAnswer, PolicyHistory, PolicyItem, RuleItem
from swarm.errors import UsageError
from swarm.http.routes import Route
from swarm.identity import public_of
from swarm.limits import PAGE_MAX
from swarm.names import check_dataset
from swarm.principal import ANONYMOUS, GROUPS_MAX, RIGHTS, Principal, Right, check_subject, check_subject_name
from swarm.tracker.asking import asker_of
from swarm.tracker.denials import not_allowed, unknown
from swarm.tracker.policy import (
    CHANGE_MAX_CHARS,
    Decision,
    Policy,
    PolicyRule,
    added,
    decide,
    what_would_allow,
    without,
)
from swarm.tracker.state import TrackerState, answer, body_of, number_of

SERIAL_MAX = (1 << 53) - 1
ME = "me"
BINARY = "application/octet-stream"


def access_routes(state: TrackerState) -> list[Route]:
    """The declarations."""
    serve = _Serve(state)
    access, denial = "/api/v1/access", "/api/v1/access/denials/{denial}"
    show, change = state.for_askers("access", serve.show), state.for_askers("access", serve.change)
    history = state.for_askers("access", serve.history)
    explain, denied = state.for_askers("explain", serve.explain), state.for_askers("explain", serve.denied)
    asked = ("who", "group", "right", "dataset")
    listed, told = state.counted("recalls", serve.recalls), state.counted("recalls", serve.learn)
    return [
        Route("GET", access, show, "admin", "The rules of the policy", response=AccessAnswer),
        Route("POST", access, change, "admin", "Change them", AccessRequest, AccessAnswer),
        Route("GET", access + "/history", history, "admin", "Earlier versions", None, PolicyHistory, ("before",)),
        Route(
            "GET", access + "/explain", explain, "known", "Why somebody may do something", None, ExplainAnswer, asked
        ),
        Route("GET", denial, denied, "known", "Why something was refused", None, ExplainAnswer),
        Route("GET", "/api/v1/recalls", listed, "member", "Recalled grants", response=BINARY),
        Route("POST", "/api/v1/recalls", told, "member", "Such a list that this tracker has not", request=BINARY),
    ]


class _Serve:
    def __init__(self, state: TrackerState) -> None:
        self.state = state

    async def show(self, request: web.Request, who: Principal) -> web.Response:
        return answer(_told((await self.state.work(self.state.rights.known, max_age_s=0.0)).policy))

    async def change(self, request: web.Request, who: Principal) -> web.Response:
        asked, state = await body_of(request, AccessRequest), self.state
        allow, remove = [_rule(item) for item in asked.allow], [_rule(item) for item in asked.remove]

        def make(policy: Policy) -> tuple[tuple[PolicyRule, ...], int]:
            rules = added(without(policy.rules, remove), allow)
            return rules, asked.grant_lifetime_s or policy.grant_lifetime_s

        def work() -> tuple[int, Policy, int]:
            members = state.members.principals
            before = state.rights.policies.current(max_age_s=0.0).policy.serial
            done = state.rights.change(make, by=str(who), what=_words(asked), members=members, wall_now=time.time())
            return before, *done

        before, policy, recalled = await state.work(work)
        is_new = policy.serial != before
        if is_new or recalled:
            state.note(who, "access", f"version {policy.serial}", _words(asked))
        return answer(_told(policy, recalled, is_new=is_new))

    async def history(self, request: web.Request, who: Principal) -> web.Response:
        before = number_of(request, "before", SERIAL_MAX, lowest=1, highest=SERIAL_MAX)
        policies = self.state.rights.policies
        found = await self.state.work(policies.history, before if before < SERIAL_MAX else None, PAGE_MAX // 10)
        items = [PolicyItem(one.serial, one.wall_time, one.by, one.change, len(one.rules)) for one in found]
        return answer(PolicyHistory(tuple(items)))

    async def explain(self, request: web.Request, who: Principal) -> web.Response:
        dataset, right = check_dataset(request.query.get("dataset", "")), _right_of(request)
        asked = request.query.get("who", ME)
        peer = asker_of(request).member
        if peer is not None and asked == str(peer.principal):
            who = peer.principal  # A person asks about the home that he is signed in at.
        elif asked not in (ME, str(who)):
            if not await self.state.may(who, "admin", dataset):
                raise not_allowed(who, "admin", dataset)
            who = await self._meant(asked, tuple(request.query.getall("group", [])))
        return answer(await self._explained(who, right, dataset, 0))

    async def denied(self, request: web.Request, who: Principal) -> web.Response:
        denial = self.state.denials.find(request.match_info["denial"])
        is_own = denial.who == asker_of(request).who and who.kind != "anonymous"
        if not is_own and not await self.state.may(who, "admin", denial.pattern):
            raise unknown(denial.id)
        return answer(await self._explained(denial.who, denial.right, denial.pattern, denial.wall_time))

    async def recalls(self, request: web.Request) -> web.Response:
        return web.Response(body=self.state.rights.recalls_data, content_type=BINARY)

    async def learn(self, request: web.Request) -> web.Response:
        await self.state.work(self.state.rights.learn, await request.read())
        return web.Response(body=b"", content_type=BINARY)

    async def _meant(self, text: str, groups: tuple[str, ...]) -> Principal:
        """Whom an admin asks about. ``groups`` are those that only an issuer knows of."""
        kind, _, name = check_subject(text).partition(":")
        if kind == "peer":
            public_of(name)
            return (await self.state.member(name)).principal
        if kind not in ("user", "service"):
            raise UsageError(f"{text!r} is not somebody who asks: write peer:ID, user:NAME, service:NAME or {ME}")
        if len(groups) > GROUPS_MAX:
            raise UsageError(f"{len(groups)} groups are named, the limit is {GROUPS_MAX}")
        named = tuple(check_subject_name(group, "group") for group in groups)
        people = self.state.identifier.people
        if kind == "user":
            user = await self.state.work(people.user, name)
            return Principal("user", name, (*(user.groups if user is not None else ()), *named))
        services = await self.state.work(people.services)
        own = (group for service in services if service.name == name for group in service.groups)
        return Principal("service", name, tuple(dict.fromkeys([*own, *named])))

    async def _explained(self, who: Principal, right: Right, dataset: str, at: int) -> ExplainAnswer:
        known = await self.state.policy()
        found: Decision = decide(known.policy, who, right, dataset)
        why = found.why or f"no rule gives this to any of {', '.join(who.subjects())}"
        remedy = "" if found.allowed else what_would_allow(who, right, dataset)
        if who == ANONYMOUS and not found.allowed:
            remedy = "log in, or join the swarm"
        return ExplainAnswer(str(who), right, dataset, found.allowed, why, remedy, who.subjects(), at)


def _rule(item: RuleItem) -> PolicyRule:
    return PolicyRule(item.subject, item.right, item.pattern)


def _words(asked: AccessRequest) -> str:
    """A change in words, for the history."""
    parts = [f"allow {_rule(item)}" for item in asked.allow] + [f"remove {_rule(item)}" for item in asked.remove]
    if asked.grant_lifetime_s is not None:
        parts.append(f"grants live {asked.grant_lifetime_s} s")
    return "; ".join(parts)[:CHANGE_MAX_CHARS]


def _told(policy: Policy, recalled: int = 0, *, is_new: bool = False) -> AccessAnswer:
    rules = tuple(RuleItem(rule.subject, rule.right, rule.pattern) for rule in policy.rules)
    return AccessAnswer(policy.serial, policy.grant_lifetime_s, rules, recalled, is_new)


def _right_of(request: web.Request) -> Right:
    text = request.query.get("right", "")
    found = next((right for right in RIGHTS if right == text), None)
    if found is None:
        raise UsageError(f"{text[:40]!r} is not a right: write {', '.join(RIGHTS)}")
    return found
