// Alerts as a list: what is wrong, since when, what to do.
import { isBundle } from "../../lib/bundle.js";
import { html } from "../../lib/html.js";
import { ago, clean, moment, short } from "../../lib/format.js";
import { Icon } from "../../lib/icons.js";
import { Said } from "../../lib/parts.js";
import { href } from "../../lib/router.js";

const TONES = { critical: "bad", warning: "warn" };

export const firingOf = (data) => (data?.alerts ?? []).filter((one) => one.state === "firing" && !one.silenced);

// Where an alert's subject is shown.
export function subjectLink(alert) {
  if (alert.kind === "rollout" && alert.dataset) {
    return href(["rollout", ...alert.dataset.split("/"), alert.subject.slice(alert.dataset.length + 1)]);
  }
  return alert.kind === "peer" ? href(["peers", alert.subject]) : "";
}

export const subjectName = (alert) => (alert.kind === "peer" ? `peer ${short(alert.subject)}` : clean(alert.subject, 120));

// "AetherfsRolloutStalled" as "rollout stalled".
export const ruleName = (rule) => clean(rule).replace(/^Aetherfs/, "").replace(/(?!^)([A-Z])/g, " $1").toLowerCase();

export const AlertList = ({ alerts, now, withRemedy = false, actions = () => null }) => html`<ul class="alerts">${alerts.map((alert) => {
  const to = subjectLink(alert);
  return html`<li key=${alert.id} class="tone-${alert.state === "firing" && !alert.silenced ? TONES[alert.severity] ?? "warn" : "calm"}">
    <${Icon} name=${alert.state === "resolved" ? "check" : alert.silenced ? "sleep" : "alert"} />
    <div><p><strong>${to ? html`<a href=${to}>${subjectName(alert)}</a>` : subjectName(alert)}: <${Said} text=${alert.summary} most=${300} /></strong></p>
      <p class="small soft">${clean(alert.severity)}, ${ruleName(alert.rule)},
        ${alert.state === "resolved" ? html` over <time title=${moment(alert.resolved)}>${ago(alert.resolved, now)}</time>`
          : html` since <time title=${moment(alert.since)}>${ago(alert.since, now)}</time>`}${alert.silenced ? ", silenced" : ""}</p>
      ${withRemedy && alert.remedy && html`<p><${Said} text=${alert.remedy} most=${500} /></p>`}
      ${withRemedy && alert.runbook && html`<p class="small">${isBundle ? html`Runbook: <code>${clean(alert.runbook)}</code>` : html`<a target="_blank" rel="noopener" href=${`/ui/runbooks/${encodeURIComponent(alert.rule)}`}>Runbook: ${ruleName(alert.rule)}</a>`}</p>`}</div>
    ${actions(alert)}</li>`;
})}</ul>`;
