"""The dashboard as people use it: a real Chromium on a live swarm of processes, both shared by all tests here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Error, expect

from swarm.units import size
from tests.browser.acting import modules, press, run_script
from tests.browser.chromium import PATIENCE_MS, axe_source, barriers, chromium
from tests.browser.faces import api_face, metrics_face, page_face, program_face
from tests.browser.live_swarm import DATASET, HOSTILE, LONG, TAG, LiveSwarm, Visitor, live_swarm
from tests.e2e.harness import wait_for

PAGES: Final = (
    "overview",
    "rollout",
    f"rollout/{DATASET}/{TAG}",
    "alerts",
    "datasets",
    f"datasets/{DATASET}",
    f"datasets/{DATASET}?tab=history",
    f"datasets/{DATASET}?tab=performance",
    "access",
    "access?tab=explain&who=user:bob&right=publish&dataset=maps/roads",
    "access?tab=history",
    "access?tab=members",
    "access?tab=people",
    "audit",
    "blocks",
    f"blocks/{DATASET}",
    "flow",
    "peers",
    "dht",
    "origin",
    "no-such-page",
    "signin",
)
pytestmark = pytest.mark.timeout(900)
SCREENS: Final = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 800}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 800}},
    "narrow": {"color_scheme": "light", "viewport": {"width": 360, "height": 740}},
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def swarm(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSwarm]:
    with live_swarm(tmp_path_factory.mktemp("dashboard")) as started:
        yield started


@pytest.fixture(scope="module")
def alice(browser: Browser, swarm: LiveSwarm) -> Iterator[Visitor]:
    visitor = Visitor(browser, swarm.url, name="alice", reduced_motion="reduce")
    yield visitor
    visitor.context.close()


@pytest.fixture(autouse=True)
def nothing_went_wrong(alice: Visitor) -> Iterator[None]:
    yield
    wrong, alice.wrong[:] = list(alice.wrong), []
    assert not wrong


def version_in(swarm: LiveSwarm) -> str:
    found = swarm.bench.ok("hub", "history", f"{DATASET}:{TAG}", "--json").json
    return str(found["entries"][-1]["moves"][0]["version"])


def first_in(swarm: LiveSwarm) -> str:
    found = swarm.bench.ok("hub", "history", f"{DATASET}:{TAG}", "--json").json
    return str(found["entries"][0]["moves"][0]["version"])


def test_who_has_a_link_comes_to_its_page_after_signing_in(browser: Browser, swarm: LiveSwarm) -> None:
    visitor = Visitor(browser, swarm.url)
    page = visitor.visit("datasets?range=1h")
    page.fill("[name=user]", "bob")
    page.fill("[name=password]", "wrong")
    page.click("button")
    expect(page.get_by_role("alert")).to_contain_text("user or password is wrong")
    page.fill("[name=user]", "bob")
    page.fill("[name=password]", "correct horse battery")
    page.click("button")
    expect(page.get_by_role("link", name=DATASET)).to_be_visible()
    assert page.url == f"{swarm.url}/ui/datasets?range=1h"
    for elsewhere in ("https://evil.example/", "//evil.example/", "/ui//evil.example", "/ui/../../x", "/api/v1/audit"):
        page.goto(f"{swarm.url}/ui/signin?next={elsewhere}")
        assert "evil" not in page.content().split("<form")[1], elsewhere
        assert 'action="/ui/signin"' in page.content(), elsewhere
    visitor.context.close()


def test_what_has_not_changed_is_not_drawn_again(alice: Visitor) -> None:
    page = alice.visit("peers")
    found = run_script(page, "redrawn.js")
    assert found == {"first": [2, 1], "same": [0, 0], "other": [1, 1], "aligned": ["left"]}


def test_no_two_lines_of_a_picture_are_labelled_the_same(alice: Visitor) -> None:
    page = alice.visit("peers")
    asked = """async (base) => {
        const { labelsOf } = await import(base + "lib/chart.js");
        const { count, rate } = await import(base + "lib/format.js");
        return [labelsOf([0, 0.2e-6, 0.4e-6], rate), labelsOf([0, 0.5, 1], count)];
    }"""
    found = page.evaluate(asked, modules(page))
    assert found == [["0 B/s", None, None], ["0", None, "1"]]


def test_what_an_agent_takes_over_a_slow_link_is_no_jump(alice: Visitor) -> None:
    page = alice.visit("peers")
    assert run_script(page, "moved.js") == [50, 50, 50, 25, 0, None]


def test_no_name_in_the_flow_covers_another_or_what_is_drawn(alice: Visitor) -> None:
    page = alice.visit("flow")
    for told, least in zip(run_script(page, "named.js"), (0.75, 0.75, 0.3, 0.3), strict=True):
        assert (told["outside"], told["covered"]) == (0, 0)
        assert told["named"] >= least, told


def test_pages_of_a_log_are_joined_without_a_gap(alice: Visitor) -> None:
    page = alice.visit("peers")
    last, more, jump, earlier, far, anew = run_script(page, "logged.js")
    assert (last, more, earlier) == ([90, 99, 10], [90, 104, 15], [80, 99, 20])
    assert jump == [190, 199, 10], "what came meanwhile is not known: it begins anew"
    assert far == [90, 99, 10], "what does not join is left away"
    assert anew == [0, 4, 5], "a tracker that began anew"


def test_a_reader_sees_what_he_may_and_no_controls(browser: Browser, swarm: LiveSwarm) -> None:
    bob = Visitor(browser, swarm.url, name="bob")
    page = bob.visit("datasets")
    expect(page.get_by_role("link", name=DATASET)).to_be_visible()
    expect(page.get_by_role("navigation", name="Pages").get_by_role("link", name="Audit")).to_have_count(0)
    page = bob.visit("audit")
    expect(page.get_by_text("takes the right “admin”")).to_be_visible()
    page = bob.visit("access?tab=rules")
    expect(page.get_by_role("button", name="Allow")).to_have_count(0)
    page.fill("[name=dataset]", DATASET)
    page.select_option("[name=right]", "publish")
    page.get_by_role("button", name="Explain").click()
    expect(page.get_by_text(f"user:bob may not publish {DATASET}")).to_be_visible()
    expect(page.get_by_text(f"aetherfs access allow user:bob publish {DATASET}")).to_be_visible()
    assert not bob.wrong
    bob.context.close()


def test_the_address_is_the_state_and_back_works(alice: Visitor, swarm: LiveSwarm) -> None:
    page = alice.visit("datasets")
    page.get_by_role("link", name=DATASET).click()
    page.get_by_role("navigation", name="Parts of the dataset").get_by_role("link", name="History").click()
    expect(page.get_by_text("first survey")).to_be_visible()
    assert page.url == f"{swarm.url}/ui/datasets/{DATASET}?tab=history"
    page.reload()
    expect(page.get_by_text("first survey")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("link", name=f"{DATASET}:{TAG}")).to_be_visible()
    page.go_back()
    expect(page).to_have_title("Datasets · AetherFS")
    assert page.evaluate("performance.getEntriesByType('navigation').length") == 1


def test_keys_search_and_themes(alice: Visitor, swarm: LiveSwarm) -> None:
    page = alice.visit("audit")
    alice.await_keys()
    page.keyboard.press("/")
    expect(page.get_by_role("combobox", name="Search")).to_be_focused()
    page.keyboard.type("roads:sta")
    expect(page.get_by_role("option", name=f"{DATASET}:{TAG}")).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.get_by_role("option", name=f"{DATASET}:{TAG}").click()
    expect(page).to_have_url(f"{swarm.url}/ui/rollout/{DATASET}/{TAG}")

    def lead_to_access() -> bool:
        """One soon after the other, which a loaded machine may not manage."""
        page.keyboard.press("g")
        page.keyboard.press("a")
        return page.title() == "Access · AetherFS"

    wait_for("the keys to lead there", lead_to_access)
    expect(page.locator("#main")).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys and colours")).to_be_visible()
    page.get_by_label("Single keys are on").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.evaluate("localStorage.clear()")
    page = alice.visit("access")
    alice.await_keys()
    page.keyboard.press("t")
    light = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    page.keyboard.press("t")
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") != light
    page.evaluate("localStorage.clear()")


def test_hostile_names_are_text_wherever_they_stand(alice: Visitor, swarm: LiveSwarm) -> None:
    swarm.publish(HOSTILE, "v1", "hostile")
    version = version_in(swarm)
    page = alice.visit(f"datasets/{DATASET}/files/{version}/by%20country")
    expect(page.get_by_text(HOSTILE)).to_be_visible()
    expect(page.get_by_text("invoice‹U+202E›fdp.exe")).to_be_visible()
    expect(page.get_by_text(LONG)).to_be_visible()
    page.get_by_role("link", name="The directory above").click()
    expect(page.get_by_role("heading", name="Roads of Europe")).to_be_visible()
    readme = page.get_by_role("region", name="README")
    expect(readme).to_contain_text(f"<script>window.stung=1</script> {HOSTILE}")
    assert readme.locator("script, img").count() == 0
    assert [link.get_attribute("href") for link in readme.get_by_role("link").all()] == ["https://example.org/survey"]
    for path in (f"datasets/{DATASET}?tab=history", "access", "access?tab=history", "access?tab=people", "audit"):
        page = alice.visit(path)
        expect(page.get_by_text(HOSTILE).first).to_be_visible()
        expect(page.get_by_text("\u202e")).to_have_count(0)
    page = alice.visit("%3Cimg%20src=x%20onerror=window.stung=1%3E")
    expect(page.get_by_text("There is no such page")).to_be_visible()
    for path in (f"datasets/{DATASET}/files/{version}/by%20country", "audit", f"datasets/{DATASET}?tab=history"):
        page = alice.visit(path)
        assert page.evaluate("window.stung") is None
        assert page.evaluate("document.querySelectorAll('img[src=x]').length") == 0
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_no_code_but_ours_runs_in_a_page(alice: Visitor, swarm: LiveSwarm) -> None:
    page = alice.visit("datasets")
    with pytest.raises(Error):
        page.add_script_tag(content="window.stung = 1")
    with page.expect_console_message(lambda said: "inline event handler" in said.text):
        page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=window.stung=1>')")
    assert page.evaluate("window.stung") is None
    assert [line for line in alice.wrong if "Content Security Policy" in line], "the policy has refused both"
    alice.wrong.clear()


def test_an_admin_changes_a_rule_and_it_is_noted(alice: Visitor, swarm: LiveSwarm) -> None:
    page = alice.visit("access")
    page.fill("[name=subject]", "group:night shift")
    page.fill("[name=pattern]", "maps/*")
    page.get_by_role("button", name="Allow").click()
    expect(page.get_by_text("The rule counts now.")).to_be_visible()
    row = page.get_by_role("row").filter(has_text="group:night shift")
    row.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.get_by_text("The rule is removed.")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="group:night shift")).to_have_count(0)
    rules = swarm.bench.ok("hub", "access", "ls", "--json").json["rules"]
    assert not [rule for rule in rules if rule["subject"] == "group:night shift"]
    page = alice.visit("access?tab=history")
    expect(page.get_by_text("remove group:night shift read maps/*")).to_be_visible()


def test_a_saved_bundle_opens_without_a_network(
    browser: Browser, alice: Visitor, swarm: LiveSwarm, tmp_path: Path
) -> None:
    page = alice.visit(f"datasets/{DATASET}?tab=history")
    alice.settle()
    page.get_by_role("button", name="You and this page").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save a support bundle").click()
    path = tmp_path / "bundle.html"
    download.value.save_as(path)
    text = path.read_text(encoding="utf-8")
    [kept] = re.findall(r'id="aetherfs-bundle">(.*?)</script>', text)
    answers = json.loads(kept)["answers"]
    assert f"/api/v1/datasets/{DATASET}" in answers
    assert HOSTILE in json.dumps(answers) and "<" not in kept, "what people wrote ends no script"
    context = browser.new_context(offline=True)
    saved, wrong, asked = context.new_page(), list[str](), list[str]()
    saved.on("pageerror", lambda error: wrong.append(str(error)))
    saved.on("request", lambda request: asked.append(request.url))
    saved.goto(f"{path.as_uri()}#/datasets/{DATASET}?tab=history")
    expect(saved.get_by_text("first survey")).to_be_visible()
    expect(saved.get_by_text("nothing here changes any more")).to_be_visible()
    saved.get_by_role("link", name="Performance").click()
    expect(saved.get_by_role("group", name="When peers had each move")).to_be_visible()
    saved.get_by_role("navigation", name="Pages").get_by_role("link", name="Audit").click()
    expect(saved.get_by_role("heading", name="Audit")).to_be_visible()
    for shown in (
        "rollout",
        "alerts",
        "datasets",
        "peers",
        "flow",
        "dht",
        "origin",
        "access",
        "access?tab=members",
        "audit",
    ):
        saved.goto(f"{path.as_uri()}#/{shown}")
        expect(saved.locator("main h1")).to_be_visible()
        expect(saved.locator("[aria-busy=true]")).to_have_count(0)
        expect(saved.get_by_text("what it was not told")).to_have_count(0)
    expect(saved.get_by_role("region", name="Audit").get_by_role("row")).not_to_have_count(0)
    assert saved.evaluate("window.stung") is None
    assert not wrong
    assert {url.split(":", 1)[0] for url in asked} <= {"file", "blob", "data"}
    context.close()


def test_a_rollout_is_watched_steered_and_taken_back(alice: Visitor, swarm: LiveSwarm) -> None:
    """From the plan to the end: who is slow is named with the reason, and each button does what its verb says."""
    swarm.follow("near", "nearer", slow="far")
    first = version_in(swarm)
    page = alice.visit(f"rollout/{DATASET}/{TAG}")
    expect(page.locator(".tile").first).to_contain_text("3 of 3")
    expect(page.locator(".heading .actions").get_by_role("button")).to_have_count(0)
    page.get_by_role("button", name="Plan stages").click()
    page.get_by_label("A stage a line").fill("ring=nobody\neverybody")
    page.get_by_role("button", name="Keep the plan").click()
    expect(page.get_by_text("The next publish goes out in 2 stages")).to_be_visible()

    swarm.write(2, 3_000_000)
    swarm.publish("second survey", TAG)
    buttons, stages = page.locator(".heading .actions"), page.get_by_role("region", name="Stages")
    expect(page.get_by_text("second survey").first).to_be_visible()
    press(alice, "Pause", "the wind is too strong")
    expect(stages).to_contain_text("the wind is too strong")
    behind = alice.visit("overview").locator(".followed").filter(has_text=f"{DATASET}:{TAG}")
    expect(behind).to_contain_text("waiting, held back by the rollout; and 2 more are behind")
    expect(behind.locator("dl div").filter(has_text="left")).to_contain_text("waits")
    alice.visit(f"rollout/{DATASET}/{TAG}")
    expect(buttons.get_by_role("button")).to_have_text(["Resume", "Promote", "Roll back", "Abort"])
    press(alice, "Resume")
    press(alice, "Promote")
    rows = page.get_by_role("region", name="Who is behind").get_by_role("row")
    slow = rows.filter(has_text="held to 100 kB/s by its own download limit")
    expect(slow).to_have_count(1)
    assert swarm.peer_id("far").startswith(slow.get_by_role("link").inner_text())
    expect(page.locator(".tile").first).to_contain_text("3 of 3", timeout=2 * PATIENCE_MS)
    expect(page.get_by_role("region", name="Who is behind").first).to_contain_text("Nobody is behind")
    expect(page.get_by_role("region", name="Event log").first).to_contain_text("current")
    page.keyboard.press("v")
    expect(page.get_by_role("region", name="Peers by state").get_by_role("row")).not_to_have_count(0)
    page.keyboard.press("v")

    _performance(alice, swarm, first)
    press(alice, "Roll back", "ferries are missing")
    expect(stages).to_contain_text("rolled back")
    expect(page.locator(".verdict.tone-back")).to_contain_text("rolled back by user:alice (ferries are missing)")
    expect(stages.get_by_role("img", name="peers of this rollout: back 3")).to_be_visible()
    expect(buttons.get_by_role("button")).to_have_count(0)
    rows = alice.visit("rollout").get_by_role("row").filter(has_text="user:alice: ferries are missing")
    expect(rows.filter(has_text="rolled back")).to_have_count(1)
    expect(rows.filter(has_text="taken back")).to_have_count(1)
    entry = alice.visit(f"datasets/{DATASET}?tab=history").get_by_role("row").filter(has_text="ferries are missing")
    expect(entry).to_contain_text("user:alice")
    wait_for("all are back", lambda: {swarm.version_of(name) for name in ("near", "nearer", "far")} == {first})
    told = swarm.bench.ok("hub", "rollout", "status", f"{DATASET}:{TAG}", "--json").json
    assert told["state"] == "rolled back" and told["reason"] == "ferries are missing"
    assert told["author"] == "user:alice"
    card = alice.visit("overview").get_by_role("article", name=f"{DATASET}:{TAG}")
    expect(card.locator("dl div").first).to_have_text(re.compile(r"back\s*3 of 3"))


def test_program_api_metrics_and_page_tell_the_same_numbers(alice: Visitor, swarm: LiveSwarm) -> None:
    """Of a swarm in which nothing moves any more."""
    if not swarm.bench.home("near").exists():
        swarm.follow("near", "nearer", "far")
    near = swarm.peer_id("near")

    def are_the_same() -> bool:
        told = program_face(swarm)
        is_still = told["wanted"] == 3 and not told["behind"]
        return is_still and api_face(alice, near) == told and metrics_face(alice, swarm).items() <= told.items()

    wait_for("program, API and metrics to tell the same", are_the_same)
    told = program_face(swarm)
    assert told["peers"] == 4 and told["received"] > 200_000, told

    def is_on_pages() -> bool:
        """Nodes look others up now and then."""
        told = program_face(swarm)
        return page_face(alice, near) == {
            "peers": str(told["peers"]),
            "current": f"{told['wanted']} of {told['wanted']}",
            "received": size(told["received"]),
            "lookups": f"{told['lookups']:,}",
            "lookups_in_vain": f"{told['lookups_in_vain']:,}",
        }

    wait_for("the pages to tell the same", is_on_pages)


def _performance(visitor: Visitor, swarm: LiveSwarm, first: str) -> None:
    """How that move went stands on the dataset's page, and leads to what changed."""
    rollout = visitor.page.url
    page = visitor.visit(f"datasets/{DATASET}?tab=performance")
    move = page.get_by_role("region", name="Moves of").get_by_role("row").filter(has_text="second survey")
    expect(move).to_contain_text("3 of 3")
    expect(page.get_by_role("group", name=re.compile("When peers had each move: .*stable"))).to_be_visible()
    expect(page.get_by_role("group", name=re.compile("Who has which version: .*stable"))).to_be_visible()
    move.get_by_role("link", name="changes").click()
    expect(page).to_have_url(f"{swarm.url}/ui/datasets/{DATASET}/diff/{first}/{version_in(swarm)}")
    expect(page.get_by_role("group", name="Where it is new: roads.bin: 3.0 MB of 3.0 MB are fetched")).to_be_visible()
    page.get_by_role("button", name="Table of Where it is new").click()
    expect(page.get_by_role("row").filter(has_text="roads.bin")).to_contain_text("changed")
    page.goto(rollout)


def test_what_is_old_says_since_when(browser: Browser, swarm: LiveSwarm) -> None:
    visitor = Visitor(browser, swarm.url, name="alice")
    page = visitor.visit("overview")
    status = page.locator(".live")
    expect(status).to_have_text("live")
    with swarm.halted("hub"):
        expect(status).to_contain_text("stale since")
        expect(page.get_by_text("the tracker's stream has broken off")).to_be_visible()
    expect(status).to_have_text("live")
    visitor.context.close()


@pytest.mark.parametrize("screen", SCREENS)
def test_no_page_has_a_barrier_and_none_is_wider_than_the_screen(
    browser: Browser, swarm: LiveSwarm, screen: str
) -> None:
    source = axe_source()
    visitor = Visitor(browser, swarm.url, name="alice", reduced_motion="reduce", **SCREENS[screen])
    found = []
    version = version_in(swarm)
    changes = f"datasets/{DATASET}/diff/{first_in(swarm)}/{version}"
    for path in (*PAGES, f"datasets/{DATASET}/files/{version}", changes, swarm.agent_url("hub")):
        page = visitor.visit(path)
        visitor.settle()
        found += [f"{path}: {line}" for line in barriers(page, source)]
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            found.append(f"{path}: wider than the screen")
    assert not found
    page.evaluate("document.querySelector('main').append(document.createElement('button'))")
    assert any("button-name" in line for line in barriers(page, source)), "it would be found"
    assert not visitor.wrong
    visitor.context.close()
