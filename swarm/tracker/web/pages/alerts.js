// Alerts: what is wrong, what to do about it, what is silenced; admins silence.
import { html, useState } from "../lib/html.js";
import { ago, clean, count, counted, moment, span } from "../lib/format.js";
import { Card, Confirmed, Dialog, Field, Heading, Missing, Name, Notice, Verdict } from "../lib/parts.js";
import { toast } from "../lib/say.js";
import { call, reload, useAnswer, useNow } from "../lib/store.js";
import { Table } from "../lib/table.js";
import { AlertList, firingOf, ruleName } from "./alerts/list.js";

export default { id: "alerts", title: "Alerts", group: "Rollouts", key: "l", icon: "alert", view: Alerts };

const OLD_S = 60;
const SPANS = [["1 hour", 3600], ["8 hours", 28800], ["1 day", 86400], ["7 days", 604800]];

function Alerts({ me }) {
  const answer = useAnswer("/api/v1/alerts", 10);
  const now = useNow(5);
  const { data } = answer;
  const mayChange = me.everywhere("admin");
  const firing = firingOf(data);
  const rest = (state) => (data?.alerts ?? []).filter((one) => one.state === state);
  const silenced = rest("firing").filter((one) => one.silenced);
  const critical = firing.filter((one) => one.severity === "critical").length;
  const silence = (alert) => mayChange && html`<${Silence} rule=${alert.rule} subject=${alert.subject} />`;
  return html`<${Heading} title="Alerts" actions=${mayChange && data && html`<${Silence} rule="" subject="" />`} />
  ${!data ? html`<${Card}><${Missing} answer=${answer} what="The list of alerts" /><//>` : html`
    <${Verdict} tone=${critical ? "bad" : firing.length ? "warn" : "good"} icon=${firing.length ? "alert" : "check"}>
      ${firing.length ? `${counted(firing.length, "alert is firing", "alerts are firing")}${critical === 0 ? "" : firing.length === 1 ? ", a critical one" : `, ${critical} of them critical`}.` : "Nothing is wrong that a rule looks for."}<//>
    ${now - data.looked > OLD_S && html`<${Notice} tone="warn">The rules were last gone through ${ago(data.looked, now)}: this may be old.<//>`}
    ${firing.length > 0 && html`<${Card} title="Firing"><${AlertList} alerts=${firing} now=${now} withRemedy actions=${silence} /><//>`}
    ${silenced.length > 0 && html`<${Card} title="Firing, silenced"><${AlertList} alerts=${silenced} now=${now} /><//>`}
    ${rest("pending").length > 0 && html`<${Card} title="Pending" note="true, but not yet for as long as the rule wants"><${AlertList} alerts=${rest("pending")} now=${now} /><//>`}
    ${rest("resolved").length > 0 && html`<${Card} title="Over" note="within the last hour"><${AlertList} alerts=${rest("resolved")} now=${now} /><//>`}
    ${data.total > data.alerts.length && html`<${Notice}>${count(data.total - data.alerts.length)} more are not listed.<//>`}
    <div class="grid">
    <${Card} title="Silences" flush><${Table} label="Silences" rows=${data.silences} keyOf=${(row) => row.id} empty="Nothing is silenced." columns=${[
      { id: "rule", label: "rule", isHead: true, cell: (row) => (row.rule ? ruleName(row.rule) : "every rule") },
      { id: "subject", label: "about", cell: (row) => html`<${Name} text=${row.subject || "anything"} one />` },
      { id: "until", label: "for", num: true, value: (row) => row.until, cell: (row) => html`<time title=${moment(row.until)}>${span(row.until - now)}</time>` },
      { id: "by", label: "by", narrow: false, cell: (row) => html`<${Name} text=${row.by} one />` },
      { id: "comment", label: "why", narrow: false, cell: (row) => html`<${Name} text=${row.comment} />` },
      ...(mayChange ? [{ id: "end", label: "", num: true, cell: (row) => html`<${Confirmed} title="End the silence" look="is-quiet" icon="cross" asks="Alerts that it covers are told again at once."
        act=${async () => { await call("DELETE", `/api/v1/alerts/silences/${encodeURIComponent(row.id)}`); await reload("/api/v1/alerts"); toast("The silence is over."); }}>End<//>` }] : []),
    ]} /><//>
    <${Card} title="Webhook"><${Webhook} hook=${data.webhook} now=${now} /><//></div>`}`;
}

const Webhook = ({ hook, now }) => (!hook?.is_set ? html`<p class="soft">Nobody is told but this page. A webhook is set where the tracker is configured (<code>aetherfs config show</code>).</p>`
  : html`<dl class="facts"><dt>Told</dt><dd>${clean(hook.address) || "a webhook"}</dd><dt>Sent</dt><dd>${count(hook.sent)}${hook.sent_last ? `, last ${ago(hook.sent_last, now)}` : ""}</dd>
    <dt>Given up</dt><dd>${count(hook.dropped)}</dd>${hook.failure && html`<dt>Last failure</dt><dd>${clean(hook.failure, 300)}</dd>`}</dl>`);

function Silence({ rule, subject }) {
  const [isOpen, open] = useState(false);
  const [error, setError] = useState("");
  const submit = (close) => async (event) => {
    event.preventDefault();
    const { elements } = event.target;
    const body = { for_s: Number(elements.for_s.value), rule: elements.rule.value.trim(), subject: elements.subject.value.trim(), comment: elements.comment.value.trim() };
    try { await call("POST", "/api/v1/alerts/silences", body); await reload("/api/v1/alerts"); toast("It is silenced."); close(); }
    catch (problem) { setError(clean(problem.message, 400)); }
  };
  return html`<button type="button" class="button" onClick=${() => { setError(""); open(true); }}>Silence${rule ? html`<span class="unseen"> ${ruleName(rule)} of ${clean(subject, 60)}</span>` : "…"}</button>
  ${isOpen && html`<${Dialog} title="Silence alerts" onClose=${() => open(false)}>${(close) => html`<form class="inside" onSubmit=${submit(close)}>
    <h2>Silence alerts</h2><p class="soft">They stay on this page, and no webhook is told of them.</p>
    <${Field} label="Rule (empty: every rule)"><input name="rule" defaultValue=${rule} maxlength="64" spellcheck="false" autocomplete="off" /><//>
    <${Field} label="Subject (empty: anything; * stands for any text)"><input name="subject" defaultValue=${subject} maxlength="320" spellcheck="false" autocomplete="off" /><//>
    <${Field} label="For"><select name="for_s">${SPANS.map(([word, seconds]) => html`<option key=${word} value=${seconds}>${word}</option>`)}</select><//>
    <${Field} label="Why"><input name="comment" maxlength="512" autocomplete="off" /><//>
    ${error && html`<p class="wrong" role="alert">${error}</p>`}
    <div class="buttons"><button type="button" class="button" onClick=${close}>Cancel</button><button class="button is-main">Silence</button></div></form>`}<//>`}`;
}
