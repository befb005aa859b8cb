// Figures as they change: one stream of server-sent events a tab, whatever the page shows. Each message is the same
// JSON as the GET of its topic, so without a stream (an older tracker, a proxy that swallows it) the same is asked for.
import { useEffect, useRef, useState } from "./html.js";
import { isBundle, bundle } from "./bundle.js";
import { VISITOR, put, reload, useAnswer } from "./store.js";

const FIGURES = "/api/v1/figures/";
const SETTLE_MS = 60;      // the parts of one page say within a moment what they want
const SILENT_S = 10;       // a stream that says nothing for so long is taken for broken
const POLL_S = 5;
const RETRY_MS = [500, 1000, 2000, 5000, 10_000];

const wanted = new Map();   // topic -> how many parts want it
const hearers = new Map();  // topic -> functions that take each message as it is (what tells only what is new)
const refused = new Map();
const watchers = new Set();
let source = null, open = "", settle = 0, retry = 0, failures = 0, watch = 0;

// state: "idle" nothing is streamed; "connecting"; "live"; "stale" (since: wall seconds of the last message);
// "polled": there is no stream here; "saved": a bundle.
export let status = { state: isBundle ? "saved" : "idle", since: isBundle ? bundle.made : 0 };

// Each message says that the stream lives; who shows that is told when it is something else, not each time.
function say(state, since = status.since) {
  const isOther = state !== status.state;
  status = { state, since };
  if (isOther) for (const watcher of watchers) watcher();
}

// The path that answers a topic by GET; "" for those that only a stream tells.
export function pathOf(topic) {
  const [kind, ...rest] = topic.split(":");
  const name = rest.join(":");
  const encoded = (text) => text.split("/").map(encodeURIComponent).join("/");
  if (kind === "rollout") return `${FIGURES}rollouts/${encoded(name.replace(/:(?=[^:]*$)/, "/"))}`;
  if (kind === "blocks") return `${FIGURES}blocks/${encoded(name)}`;
  if (kind === "peer") return `${FIGURES}peers/${encodeURIComponent(name)}`;
  return name ? "" : FIGURES + kind;
}

const ONLY_NEW = new Set(["events", "flow", "peers", "series"]);
const isWhole = (topic) => !ONLY_NEW.has(topic.split(":")[0]);

function connect() {
  const topics = [...wanted.keys()].sort().join(",");
  if (topics === open && source) return;
  close();
  open = topics;
  if (!topics || isBundle) return say(isBundle ? "saved" : "idle");
  if (status.state !== "stale") say("connecting");
  source = new EventSource(`${FIGURES}stream?topics=${encodeURIComponent(topics)}`);
  for (const topic of wanted.keys()) source.addEventListener(topic, (event) => heard(topic, event.data));
  source.addEventListener("refused", (event) => refuse(JSON.parse(event.data)));
  source.onopen = () => { failures = 0; touch(); };
  source.onerror = broken;
  watch = setInterval(() => {
    if (Date.now() / 1000 - status.since > SILENT_S && status.state === "live") broken();
  }, 2000);
}

function close() {
  source?.close();
  source = null;
  clearTimeout(retry);
  clearInterval(watch);
}

function touch() { say("live", Date.now() / 1000); }

function heard(topic, text) {
  touch();
  const data = JSON.parse(text);
  if (isWhole(topic)) put(pathOf(topic), data);
  for (const hearer of hearers.get(topic) ?? []) hearer(data);
}

function refuse({ topic, why }) {
  touch();
  refused.set(topic, why);
  for (const watcher of watchers) watcher();
}

function broken() {
  close();
  failures += 1;
  const hadIt = status.since > 0;
  say(hadIt ? "stale" : "polled");
  open = "";
  const wait = RETRY_MS[Math.min(failures, RETRY_MS.length) - 1];
  retry = setTimeout(again, hadIt ? wait * (0.75 + Math.random() / 2) : Math.max(wait, 10_000));
}

// A stream is ended when its session is: whoever is signed out is told so by one question, and does not try on.
async function again() {
  await reload(VISITOR);
  if (!source) connect();
}

function want(topic, hearer) {
  wanted.set(topic, (wanted.get(topic) ?? 0) + 1);
  if (hearer) hearers.set(topic, (hearers.get(topic) ?? new Set()).add(hearer));
  clearTimeout(settle);
  settle = setTimeout(connect, SETTLE_MS);
  return () => {
    hearers.get(topic)?.delete(hearer);
    const left = wanted.get(topic) - 1;
    if (left) wanted.set(topic, left);
    else { wanted.delete(topic); refused.delete(topic); }
    clearTimeout(settle);
    settle = setTimeout(connect, SETTLE_MS);
  };
}

export function useStatus() {
  const [, draw] = useState(0);
  useEffect(() => {
    const watcher = () => draw((n) => n + 1);
    watchers.add(watcher);
    return () => watchers.delete(watcher);
  }, []);
  return status;
}

// { data, error, at, isLoading, reload } of a figure that changes: `topic` is the stream's, null wants nothing.
// Asked by GET at first and while nothing is streamed.
export function useFigure(topic) {
  const { state } = useStatus();
  useEffect(() => (topic ? want(topic) : undefined), [topic]);
  const answer = useAnswer(topic ? pathOf(topic) : null, state === "live" ? 0 : POLL_S);
  const why = topic ? refused.get(topic) : undefined;
  return why && !answer.data ? { ...answer, isLoading: false, error: new Error(why) } : answer;
}

// Each message of a topic, as it comes: for those that tell only what is new ("events", "flow", "peers", "series:X").
export function useMessages(topic, take) {
  const latest = useRef(take);
  latest.current = take;
  useEffect(() => (topic ? want(topic, (data) => latest.current(data)) : undefined), [topic]);
}
