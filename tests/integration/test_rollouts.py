"""Rollouts in a swarm of real parts: who goes ahead, who is held back, and what operators do with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from swarm.errors import AetherError, ConflictError, IncompleteError, NotAllowedError
from swarm.peer import announce
from swarm.peer.node import PeerNode
from swarm.principal import MEMBERS
from swarm.tracker.policy import TOKEN, PolicyRule
from tests.integration.swarm_rig import Swarm, make_tree, run
from tests.integration.test_recalled import change
from tests.integration.test_subscriptions import DEADLINE_S, REF, at, follower, until

CANARY = {"stages": [{"share": 0.0, "labels": ["ring=canary"]}, {"share": 1.0}]}
MEMBERS_RULES = (PolicyRule(MEMBERS, "tag", TOKEN),)
PUBLISHERS = (PolicyRule("label:team=ops", "tag", "*"),)


@asynccontextmanager
async def followers(swarm: Swarm, folder: Path, **labels: str) -> AsyncIterator[dict[str, PeerNode]]:
    """Peers that stay and follow the tag, by name, each with a label."""
    async with AsyncExitStack() as stack:
        found = {}
        for name, label in labels.items():
            home = await swarm.enrol_with(name, await swarm.token(labels=[label]))
            found[name] = await stack.enter_async_context(follower(swarm, home))
            await found[name].admitted.heard()
            await run(found[name], "subscribe", ref=REF, directory=str(folder / f"{name}-dir"))
        yield found


async def moved(producer: PeerNode, folder: Path, text: str, **more: Any) -> dict[str, Any]:
    (folder / "source" / "new").write_text(text)
    return await run(producer, "publish", path=str(folder / "source"), names=[REF], **more)


async def staged(producer: PeerNode, folder: Path, plan: dict[str, Any] | None = None) -> str:
    """Publish a version in stages: which."""
    return str((await moved(producer, folder, "second", plan=plan or CANARY))["version"])


def held_at(version: str) -> Any:
    return lambda following: following.told().version == version and following.told().held and not following.phase


def test_only_the_canary_goes_ahead_until_somebody_promotes_it(tmp_path: Path) -> None:
    async def main() -> None:
        make_tree(tmp_path / "source", 1, large_bytes=100_000)
        async with Swarm(tmp_path) as swarm:
            producer = await swarm.peer("producer")
            first = (await swarm.publish(producer, tmp_path / "source", REF))["version"]
            async with followers(swarm, tmp_path, canary="ring=canary", other="ring=late") as nodes:
                published = await moved(producer, tmp_path, "second", plan=CANARY)
                second = published["version"]
                assert published["staged"] == ["stable"]
                await until(nodes["canary"], at(second))
                await until(nodes["other"], held_at(first))
                # However it reads the tag.
                assert (await swarm.pull(nodes["other"], REF, tmp_path / "pulled"))["version"] == first
                assert (await swarm.pull(nodes["canary"], REF, tmp_path / "pulled2"))["version"] == second
                told = await run(producer, "rollout", name=REF)
                assert (told["state"], told["stage"], told["version"]) == ("running", 0, second)
                promoted = await run(producer, "rollout", name=REF, action="promote")
                assert promoted["state"] == "done"
                await until(nodes["other"], at(second))
                with pytest.raises(ConflictError):
                    await run(producer, "rollout", name=REF, action="pause")
                await run(producer, "rollout", name=REF, action="rollback", reason="it is bad")
                for node in nodes.values():
                    await until(node, at(first))

    asyncio.run(main())


def test_nobody_goes_ahead_of_a_pause_and_an_abort_takes_everybody_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announce, "LEAVE_DEADLINE_S", 60.0)  # who has left is not counted on

    async def main() -> None:
        make_tree(tmp_path / "source", 1, large_bytes=100_000)
        async with Swarm(tmp_path) as swarm:
            producer = await swarm.peer("producer")
            first = (await swarm.publish(producer, tmp_path / "source", REF))["version"]
            async with followers(swarm, tmp_path, canary="ring=canary") as nodes:
                second = await staged(producer, tmp_path)
                await until(nodes["canary"], at(second))
                await run(producer, "rollout", name=REF, action="pause")
                # Who has gone ahead stays there; a peer of the canary that comes now does not go.
                async with followers(swarm, tmp_path, late="ring=canary") as others:
                    assert (await until(others["late"], held_at(first))).is_held
                    await run(producer, "rollout", name=REF, action="resume")
                    await until(others["late"], at(second))
                    assert next(iter(nodes["canary"].subscriptions)).told().version == second
                    told = await run(producer, "rollout", name=REF, action="abort", reason="it is bad")
                    assert told["state"] == "aborted" and "it is bad" in told["says"]
                    for node in (nodes["canary"], others["late"]):
                        await until(node, at(first))
                with pytest.raises(AetherError, match=r"aborted by peer:.*it is bad") as raised:
                    await run(producer, "wait", name=REF, timeout_s=5)
                assert raised.value.exit_code == 1
                # What was taken back can be published again, and begins anew.
                again = await run(producer, "publish", path=str(tmp_path / "source"), names=[REF], plan=CANARY)
                assert (again["version"], again["unchanged"], again["staged"]) == (second, False, ["stable"])
                await until(nodes["canary"], at(second))
                # A rollback goes to what was settled, not to what was under way; a later publish goes out at once.
                third = (await moved(producer, tmp_path, "third"))["version"]
                await until(nodes["canary"], at(third))
                # What went to everybody is taken back by the same verb, with who did it and why.
                told = await run(producer, "rollout", name=REF, action="rollback", reason="so is this")
                assert (told["state"], told["plan"], told["reason"]) == ("rolled back", None, "so is this")
                await until(nodes["canary"], at(first))
                last = (await run(producer, "history", ref=REF))["entries"][-1]
                assert (last["author"], last["reason"]) == (f"peer:{producer.key.peer_id}", "so is this")
                await run(producer, "publish", path=str(tmp_path / "source"), names=[REF])
                await until(nodes["canary"], at(third))
                with pytest.raises(IncompleteError):
                    await run(producer, "wait", name=REF, share=1.0, labels=["ring=none"], timeout_s=0.1)
                assert (await run(producer, "wait", name=REF, share=0.5, timeout_s=DEADLINE_S))["version"] == third
                # A tracker that is younger than the version listens before it is taken at its word.
                picture = swarm.tracker.state.figures.picture
                picture.begun, begun = picture.begun + 3600, picture.begun
                with pytest.raises(IncompleteError, match=r"100\.0% have it .* a tracker that has just begun"):
                    await run(producer, "wait", name=REF, timeout_s=0.5)
                picture.begun = begun
                assert (await run(producer, "wait", name=REF, timeout_s=DEADLINE_S))["listening_until"] is None

    asyncio.run(main())


@pytest.mark.parametrize("what", ["validate", "hook"])
def test_health_aborts_what_a_command_of_the_canary_refuses(tmp_path: Path, what: str) -> None:
    """A peer reports it, its tracker writes the entry, and everybody goes back; nobody does anything."""

    async def main() -> None:
        make_tree(tmp_path / "source", 1, large_bytes=100_000)
        async with Swarm(tmp_path) as swarm:
            producer, state = await swarm.peer("producer"), swarm.tracker.state
            state.on_commit = producer.exchange.announce  # as the peer in a tracker's process does
            first = (await swarm.publish(producer, tmp_path / "source", REF))["version"]
            plan = {**CANARY, "health": {"failed": 0.1, "minimum": 1}}
            noted: list[str] = []
            state.note = lambda who, action, *more: noted.append(action)  # type: ignore[method-assign]
            async with followers(swarm, tmp_path, canary="ring=canary", other="ring=late") as nodes:
                canary = nodes["canary"]
                command = {what: "test ! -e new"}
                await run(canary, "subscribe", ref=REF, directory=str(tmp_path / "canary-dir"), **command)
                await staged(producer, tmp_path, plan)
                async with asyncio.timeout(DEADLINE_S):
                    while "rollout health" not in noted:  # which is after its entry
                        await asyncio.sleep(0.1)
                told = await run(producer, "rollout", name=REF)
                assert (told["state"], told["author"]) == ("aborted", "its plan")
                assert "1 of 1 peers that tried could not take it, 10% may" in told["reason"]
                await until(canary, lambda following: at(first)(following) and not following.problem)
                assert next(iter(nodes["other"].subscriptions)).told().version == first

    asyncio.run(main())


def test_a_tag_with_a_plan_goes_out_by_it_and_past_it_only_with_the_right_to_tag(tmp_path: Path) -> None:
    async def main() -> None:
        make_tree(tmp_path / "source", 1, large_bytes=100_000)
        async with Swarm(tmp_path) as swarm:
            await change(swarm.tracker, allow=PUBLISHERS, remove=MEMBERS_RULES)
            producer, operator = (
                await swarm.peer("producer"),
                await swarm.peer_with("operator", await swarm.token(labels=["team=ops"])),
            )
            await swarm.publish(producer, tmp_path / "source", REF)
            assert (await run(operator, "rollout", name=REF))["allowed"] == (), "there is nothing to go back to"
            first = (await moved(producer, tmp_path, "once more"))["version"]
            assert (await run(operator, "rollout", name=REF))["allowed"] == ("rollback",)
            assert (await run(producer, "rollout", name=REF))["allowed"] == ()
            with pytest.raises(NotAllowedError):
                await run(producer, "rollout", name=REF, action="rollback")
            for refused in ("rollout-plan", "rollout"):
                more = {"plan": CANARY} if refused == "rollout-plan" else {"action": "pause"}
                with pytest.raises(NotAllowedError):
                    await run(producer, refused, name=REF, **more)
            await run(operator, "rollout-plan", name=REF, plan=CANARY)
            assert (await run(producer, "rollout-plan", name=REF))["plan"]["stages"][0]["labels"] == ("ring=canary",)
            published = await moved(producer, tmp_path, "second")
            assert published["staged"] == ["stable"]
            assert (await swarm.pull(operator, REF, tmp_path / "pulled"))["version"] == first
            with pytest.raises(NotAllowedError):
                await run(producer, "publish", path=str(tmp_path / "source"), names=[REF], message="m", at_once=True)
            assert (await run(producer, "rollout", name=REF))["allowed"] == ()
            told = await run(operator, "rollout", name=REF)
            assert told["allowed"] == ("pause", "promote", "rollback", "abort")
            # Who is away from every tracker goes on by what it was told, and learns the rest from neighbours.
            held = await run(operator, "inspect", ref=REF)
            assert (held["version"], held["held"]) == (first, True)
            await run(operator, "rollout", name=REF, action="promote")
            assert (await run(operator, "inspect", ref=REF))["version"] == published["version"]
            raw = operator.ledger.entry_of_tag("maps/roads", "stable")
            old = operator.ledger.above("maps/roads", 0)[-2]
            operator.ledger.record(operator.access.learn(old), old)
            assert operator.ledger.entry_of_tag("maps/roads", "stable") == raw, "an old stage holds nobody back again"
            await swarm.stop(swarm.tracker)
            assert (await run(operator, "inspect", ref=REF))["version"] == published["version"]

    asyncio.run(main())


def test_a_required_signer_decides_what_goes_out_and_trackers_when(tmp_path: Path) -> None:
    async def main() -> None:
        make_tree(tmp_path / "source", 1, large_bytes=100_000)
        async with Swarm(tmp_path) as swarm:
            producer, consumer = await swarm.peer("producer"), await swarm.peer("consumer")
            signer = {"require_signer": producer.key.peer_id}
            first = (await swarm.publish(producer, tmp_path / "source", REF))["version"]
            second = await staged(producer, tmp_path)
            assert (await run(consumer, "inspect", ref=REF, **signer))["version"] == first
            await run(consumer, "rollout", name=REF, action="promote")
            assert (await run(consumer, "inspect", ref=REF, **signer))["version"] == second
            await run(consumer, "rollout", name=REF, action="rollback")
            assert (await run(consumer, "inspect", ref=REF, **signer))["version"] == first

    asyncio.run(main())
