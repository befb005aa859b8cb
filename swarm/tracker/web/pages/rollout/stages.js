// Rollouts in stages: what can be done now (the verbs of the command line), who is let in, and the plan for what comes.
import { html, useState } from "../../lib/html.js";
import { clean, counted, moment, percent, span } from "../../lib/format.js";
import { Icon } from "../../lib/icons.js";
import { useRights } from "../../lib/me.js";
import { Bar, Card, Chip, Confirmed, Dialog, Field, Legend, Said } from "../../lib/parts.js";
import { toast } from "../../lib/say.js";
import { STATE } from "../../lib/states.js";
import { call, reload, useAnswer } from "../../lib/store.js";

const pathOf = (dataset, tag, what) => `/api/v1/datasets/${dataset}/tags/${encodeURIComponent(tag)}/${what}`;
const TONES = { running: ["busy", "play"], paused: ["warn", "pause"], done: ["good", "check"], aborted: ["bad", "stop"], "rolled back": ["back", "back"] };
const isTakenBack = (data) => data.state === "aborted" || data.state === "rolled back";
const VERBS = {
  pause: { word: "Pause", icon: "pause", done: "It is paused.", asks: "Nobody goes ahead any more; who has the version keeps it." },
  resume: { word: "Resume", icon: "play", tone: "is-main", done: "It goes on.", asks: "Those who are let in go ahead." },
  promote: { word: "Promote", icon: "forward", tone: "is-main", done: "The next stage has begun.", asks: "The next stage begins: more peers are let in. One that is paused goes on with it." },
  full: { word: "To everybody", icon: "forward", done: "Everybody is let in.", asks: "The last stage begins: every peer that follows the tag is let in." },
  abort: { word: "Abort", icon: "stop", tone: "is-grave", done: "It is aborted.", asks: "The rollout ends, and everybody goes back to what was settled before it." },
  rollback: { word: "Roll back", icon: "back", tone: "is-grave", done: "It is rolled back.", asks: "Everybody goes back to the version that the tag meant before. It is a new entry of the log; what is published next goes on from there." },
};

async function act(dataset, tag, verb, staged, reason) {
  const body = { action: verb === "full" ? "promote" : verb, full: verb === "full", reason };
  if (staged.data.serial) body.if_serial = staged.data.serial;
  await call("POST", pathOf(dataset, tag, "rollout"), body);
  await reload(pathOf(dataset, tag, ""), "/api/v1/figures/rollouts", "/api/v1/figures/overview");
  toast(VERBS[verb].done);
}

// Buttons for what may be done now: the tracker says what the state and the policy allow to who asks.
export function Controls({ dataset, tag, staged }) {
  const allowed = staged.data?.allowed ?? [];
  const { plan, stage = 0 } = staged.data ?? {};
  const verbs = allowed.flatMap((verb) => (verb === "promote" && plan && stage + 2 < plan.stages.length ? ["promote", "full"] : [verb]));
  return verbs.map((verb) => {
    const { word, icon, tone, asks } = VERBS[verb] ?? { word: clean(verb), icon: "forward", asks: "" };
    return html`<${Confirmed} key=${verb} title="${word}: ${clean(`${dataset}:${tag}`, 80)}" icon=${icon} tone=${tone ?? ""} asks=${asks} wantsReason
      act=${(reason) => act(dataset, tag, verb, staged, reason)}>${word}<//>`;
  });
}

export function Stages({ dataset, tag, staged, now }) {
  const { may } = useRights(dataset);
  const plan = useAnswer(pathOf(dataset, tag, "plan"), 30);
  const { data } = staged;
  if (!data || (data.state === "none" && !may("tag"))) return null;
  const [tone, icon] = TONES[data.state] ?? ["calm", "idle"];
  const edit = may("tag") && plan.data && html`<${Plan} dataset=${dataset} tag=${tag} known=${plan.data} />`;
  if (data.state === "none") {
    return html`<${Card} title="Stages" actions=${edit}><p class="soft">${plan.data?.plan
      ? html`The next publish goes out in ${counted(plan.data.plan.stages.length, "stage")}: ${inWords(plan.data.plan)}.` : "A move of this tag goes to everybody at once."}
</p><//>`;
  }
  const { counts } = data;
  const parts = isTakenBack(data)
    ? [{ ...STATE.current, word: "back", value: counts.switched }, { ...STATE.waiting, word: "not back yet", value: counts.behind }, { ...STATE.failed, value: counts.failed }]
    : [{ ...STATE.current, word: "switched", value: counts.switched }, { ...STATE.fetching, word: "let in, behind", value: counts.behind },
      { ...STATE.waiting, word: "held back", value: counts.held }, { ...STATE.failed, value: counts.failed }];
  return html`<${Card} title="Stages" note=${html`<${Chip} tone=${tone} icon=${icon}>${clean(data.state)}<//>`} actions=${edit}>
    <div class="stack">
      <p><${Said} text=${data.says} /></p>
      ${data.plan && html`<ol class="stages" aria-label="Stages">${data.plan.stages.map((one, at) => html`<${Stage} key=${at} stage=${one} at=${at} data=${data} now=${now} />`)}</ol>`}
      <div class="figure"><${Bar} parts=${parts} label="peers of this rollout" /><${Legend} parts=${parts.filter((part) => part.value > 0)} /></div>
    </div><//>`;
}

function Stage({ stage, at, data, now }) {
  const isBack = isTakenBack(data) && at <= data.stage;
  const isOver = at < data.stage || data.state === "done", isNow = at === data.stage && !isOver && !isBack;
  const minimum = data.plan.health?.minimum ?? 0, left = (data.next_at ?? 0) - now;
  const passes = left > 0 ? `passes by itself in ${span(left)}` : data.counts.switched < minimum ? `passes once ${counted(minimum, "peer")} ${minimum > 1 ? "have" : "has"} it` : "is about to pass";
  const when = isNow && data.next_at ? passes : isNow && data.since ? `for ${span(now - data.since)}` : isBack && at === data.stage ? clean(data.state) : "";
  return html`<li class=${isNow ? "is-now" : isOver ? "is-over" : ""} aria-current=${isNow ? "step" : undefined}>
    <${Icon} name=${isBack ? "back" : isOver ? "check" : isNow ? (data.state === "paused" ? "pause" : "play") : "idle"} />
    ${(stage.share > 0 || !stage.labels.length) && html`<strong>${stage.share >= 1 ? "everybody" : percent(stage.share)}</strong>`}
    ${stage.labels.map((label) => html`<span key=${label} class="label">${clean(label)}</span>`)}<span class="soft small" title=${moment(data.next_at ?? 0)}>${when}</span></li>`;
}

const inWords = (plan) => plan.stages.map((stage) => (stage.share >= 1 ? "everybody" : [stage.share > 0 || !stage.labels.length ? percent(stage.share) : "", ...stage.labels.map((l) => clean(l))]
  .filter(Boolean).join(" and "))).join(", then ");

// "site=paris, 5%" on a line a stage; the last is everybody.
export function parsePlan(text) {
  const stages = text.split("\n").map((line) => line.trim()).filter(Boolean).map((line) => {
    const words = line.split(/[\s,]+/).filter(Boolean);
    const share = words.find((word) => /^\d+(\.\d+)?%$/.test(word));
    const isAll = words.includes("everybody");
    return { share: isAll ? 1 : share ? Number.parseFloat(share) / 100 : 0, labels: words.filter((word) => word.includes("=")) };
  });
  if (stages.length && stages.at(-1).share < 1) stages.push({ share: 1, labels: [] });
  return stages;
}

export const planText = (plan) => (plan?.stages ?? []).map((stage) => [stage.share >= 1 ? "everybody" : stage.share > 0 ? `${+(stage.share * 100).toFixed(3)}%` : "", ...stage.labels]
  .filter(Boolean).join(", ")).join("\n");

function Plan({ dataset, tag, known }) {
  const [isOpen, open] = useState(false);
  const [error, setError] = useState("");
  const { plan } = known;
  const save = async (close, made) => {
    try {
      await call("POST", pathOf(dataset, tag, "plan"), { plan: made, if_serial: known.serial });
      await reload(pathOf(dataset, tag, ""));
      toast(made ? "Every publish to the tag goes out by this plan." : "A publish to the tag goes to everybody at once.");
      close();
    } catch (problem) { setError(clean(problem.message, 400)); }
  };
  const submit = (close) => (event) => {
    event.preventDefault();
    const { stages, auto, failed, minimum, deadline } = event.target.elements;
    const minutes = (field) => (field.value ? Math.round(Number(field.value) * 60) : null);
    save(close, { stages: parsePlan(stages.value), auto_s: minutes(auto), health: failed.value === "" ? null : { failed: Number(failed.value) / 100, minimum: Number(minimum.value || 1), deadline_s: minutes(deadline) } });
  };
  const number = (name, value, most) => html`<input type="number" name=${name} defaultValue=${value ?? ""} min="0" max=${most} step="any" />`;
  return html`<button type="button" class="button" onClick=${() => { setError(""); open(true); }}>${plan ? "Change the plan" : "Plan stages"}</button>
  ${isOpen && html`<${Dialog} title="Plan stages" onClose=${() => open(false)}>${(close) => html`<form class="inside" onSubmit=${submit(close)}>
    <h2>Stages of every publish to ${clean(`${dataset}:${tag}`, 80)}</h2>
    <${Field} label="A stage a line: a share of the peers, labels, or both. The last is everybody."><textarea name="stages" rows="4" required spellcheck="false"
      placeholder=${"5%, site=paris\n25%\neverybody"} defaultValue=${planText(plan)}></textarea><//>
    <div class="form"><${Field} label="Pass by itself after (minutes; empty: never)" grow>${number("auto", plan?.auto_s ? plan.auto_s / 60 : null, 43200)}<//>
      <${Field} label="Abort when more than … % have failed (empty: never)" grow>${number("failed", plan?.health ? plan.health.failed * 100 : null, 100)}<//></div>
    <div class="form"><${Field} label="Judge after so many have tried" grow>${number("minimum", plan?.health?.minimum ?? 1, 1000000)}<//>
      <${Field} label="Abort a stage that takes longer (minutes)" grow>${number("deadline", plan?.health?.deadline_s ? plan.health.deadline_s / 60 : null, 43200)}<//></div>
    ${error && html`<p class="wrong" role="alert">${error}</p>`}
    <div class="buttons">${plan && html`<button type="button" class="button is-grave" onClick=${() => save(close, null)}>No stages</button>`}
      <button type="button" class="button" onClick=${close}>Cancel</button><button class="button is-main">Keep the plan</button></div></form>`}<//>`}`;
}
