// What happened in the swarm, newest first: what is kept, then what comes by the stream.
import { html, useEffect, useState } from "./html.js";
import { ago, moment } from "./format.js";
import { Icon } from "./icons.js";
import { useMessages } from "./live.js";
import { Said } from "./parts.js";
import { href } from "./router.js";
import { call } from "./store.js";

const KEPT = 300;
const PATH = "/api/v1/figures/events";
const ICONS = { joined: "plus", left: "back", died: "cross", back: "check", moved: "forward", begun: "play", done: "check", failed: "cross", stalled: "stop",
  paused: "pause", resumed: "play", promoted: "forward", "rolled-back": "back", aborted: "stop", alert: "alert", cleared: "check", tracker: "dht", "bad-block": "cross" };
const TONES = { info: "calm", warning: "warn", critical: "bad" };
const toneOf = ({ kind, severity }) => (kind === "rolled-back" ? "back" : TONES[severity] ?? "calm");

// { events (newest first), since, error, isLoading }. Ids are the same at every tracker, and what another one saw may come late.
export function useEvents() {
  const [state, set] = useState({ events: [], since: 0, error: null, isLoading: true });
  const add = ({ events, since }) => set((now) => {
    const fresh = new Map(now.events.map((one) => [one.id, one]));
    for (const one of events) {
      fresh.delete(one.was); // an earlier account of it has come since
      fresh.set(one.id, one);
    }
    return { events: [...fresh.values()].sort((a, b) => b.at - a.at || b.serial - a.serial).slice(0, KEPT), since, error: null, isLoading: false };
  });
  useEffect(() => { call("GET", PATH).then(add, (error) => set((now) => ({ ...now, error, isLoading: false }))); }, []);
  useMessages("events", add);
  return state;
}

export const Mark = ({ of: one }) => html`<span class="tone-${toneOf(one)} mark"><${Icon} name=${ICONS[one.kind] ?? "idle"} size=${13} /></span>`;

export const Happenings = ({ events, now, most = 12 }) => html`<ol class="happenings">${events.slice(0, most).map((one) => html`<li key=${one.id}>
  <${Mark} of=${one} />
  <span class="text">${one.dataset && one.tag ? html`<a href=${href(["rollout", ...one.dataset.split("/"), one.tag])}><${Said} text=${one.text} most=${240} /></a>` : html`<${Said} text=${one.text} most=${240} />`}</span>
  <time class="soft small nowrap" title=${moment(one.at)}>${ago(one.at, now)}</time></li>`)}</ol>`;
