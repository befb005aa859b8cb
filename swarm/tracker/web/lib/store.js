// What the tracker tells: asked once however many parts of a page show it, kept for them, asked anew when it may be old.
import { useEffect, useState } from "./html.js";
import { bundle, isBundle, kept } from "./bundle.js";

const KEPT_MS = 60_000;
const TOLD_MAX = 300;
const HIDDEN_FACTOR = 6; // a tab that nobody looks at asks so much less often

// Who looks with this browser: what is asked before all else, and again when the session seems to have ended.
export const VISITOR = "/ui/visitor";

// A refusal, as the tracker words it. `isMissing`: this tracker has no such route, so there is nothing to be shown.
export class Problem extends Error {
  constructor(status, document) {
    super(document.detail || document.title || `the tracker answered with status ${status}`);
    Object.assign(this, { status, title: document.title || "", kind: document.type || "about:blank" });
    this.denial = document.denial || "";
  }
  get isMissing() { return this.status === 404 && this.kind === "about:blank"; }
  get isSignedOut() { return this.status === 401; }
}

// One call. Resolves with the decoded answer, rejects with a Problem.
export async function call(method, path, body) {
  if (isBundle) {
    const answer = method === "GET" ? kept(path) : undefined;
    if (answer !== undefined) return answer;
    throw new Problem(503, { detail: "this is a saved bundle: what it was not told before it was saved it does not know" });
  }
  let response;
  try {
    response = await fetch(path, {
      method,
      credentials: "same-origin",
      cache: "no-store",
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Problem(0, { detail: "the tracker does not answer: it may be restarting, or the network is away" });
  }
  const text = await response.text();
  let answer = {};
  try { answer = text ? JSON.parse(text) : {}; } catch { /* a refusal may be bare */ }
  if (response.status === 401 && entries.get(VISITOR)?.data?.who) reload(VISITOR);
  if (!response.ok) throw new Problem(response.status, answer);
  if (method === "GET") remember(path, answer);
  return answer;
}

// What was told lately, for a bundle.
const told = new Map();
function remember(path, answer) {
  told.delete(path);
  told.set(path, answer);
  if (told.size > TOLD_MAX) told.delete(told.keys().next().value);
}

const entries = new Map();

function entryOf(path) {
  let entry = entries.get(path);
  if (!entry) {
    entry = { path, data: undefined, error: null, at: 0, readers: new Map(), timer: 0, asking: null, forget: 0 };
    entries.set(path, entry);
  }
  return entry;
}

function tell(entry) {
  for (const reader of [...entry.readers.keys()]) reader();
}

function ask(entry) {
  entry.asking ??= call("GET", entry.path)
    .then((data) => Object.assign(entry, { data, error: null, at: Date.now() / 1000 }))
    .catch((error) => { entry.error = error; })
    .finally(() => { entry.asking = null; plan(entry); tell(entry); });
  return entry.asking;
}

function plan(entry) {
  clearTimeout(entry.timer);
  const every = Math.min(...entry.readers.values());
  if (!entry.readers.size || !Number.isFinite(every) || isBundle || entry.error?.isMissing) return;
  entry.timer = setTimeout(() => ask(entry), every * 1000 * (document.hidden ? HIDDEN_FACTOR : 1));
}

function subscribe(path, reader, every_s) {
  const entry = entryOf(path);
  clearTimeout(entry.forget);
  entry.readers.set(reader, every_s > 0 ? every_s : Infinity);
  if (entry.at * 1000 < Date.now() - Math.max(1, every_s) * 1000) ask(entry); else plan(entry);
  return () => {
    entry.readers.delete(reader);
    if (entry.readers.size) return;
    clearTimeout(entry.timer);
    entry.forget = setTimeout(() => entries.delete(path), KEPT_MS);
  };
}

// What a stream has told counts as an answer to the same question.
export function put(path, data) {
  const entry = entryOf(path);
  Object.assign(entry, { data, error: null, at: Date.now() / 1000 });
  remember(path, data);
  tell(entry);
}

export const answers = () => Object.fromEntries(told);

export async function reload(...starts) {
  const due = [...entries.values()].filter((entry) => entry.readers.size && starts.some((s) => entry.path.startsWith(s)));
  await Promise.all(due.map(ask));
}

// { data, error, at, isLoading, reload } of GET `path`; null asks nothing. `every_s` 0: once. An old answer stays shown
// while a new one is on its way, and beside an error.
export function useAnswer(path, every_s = 0) {
  const [, draw] = useState(0);
  useEffect(() => (path === null ? undefined : subscribe(path, () => draw((n) => n + 1), every_s)), [path, every_s]);
  const entry = path === null ? null : entries.get(path);
  return {
    data: entry?.data,
    error: entry?.error ?? null,
    at: entry?.at ?? 0,
    isLoading: path !== null && (!entry || (entry.data === undefined && !entry.error)),
    reload: () => (path === null ? null : ask(entryOf(path))),
  };
}

// Pages of a list, one behind another: { rows, more (null at the end), error, isLoading }. `rowsOf` and `nextOf` read
// an answer; `pathOf(cursor)` asks for the next one.
export function usePages(pathOf, rowsOf, nextOf) {
  const first = pathOf("");
  const [state, set] = useState({ first: null, rows: [], next: "", error: null, isLoading: true });
  const load = async (cursor, rows) => {
    set((now) => ({ ...now, isLoading: true, error: null }));
    try {
      const answer = await call("GET", pathOf(cursor));
      set({ first, rows: [...rows, ...rowsOf(answer)], next: nextOf(answer), error: null, isLoading: false, answer });
    } catch (error) {
      set((now) => ({ ...now, first, error, isLoading: false }));
    }
  };
  useEffect(() => { set({ first, rows: [], next: "", error: null, isLoading: true }); load("", []); }, [first]);
  return { ...state, more: state.next ? () => load(state.next, state.rows) : null, again: () => load("", []) };
}

const clocks = new Map(); // seconds -> who is told; one beat for all of a page
function onBeat(every_s, reader) {
  if (isBundle) return undefined;
  let clock = clocks.get(every_s);
  if (!clock) {
    const readers = new Set();
    const beat = () => { if (!document.hidden) for (const each of [...readers]) each(Date.now() / 1000); };
    clocks.set(every_s, clock = { readers, timer: setInterval(beat, every_s * 1000) });
  }
  clock.readers.add(reader);
  return () => {
    clock.readers.delete(reader);
    if (!clock.readers.size) { clearInterval(clock.timer); clocks.delete(every_s); }
  };
}

const nowOf = () => (bundle ? bundle.made : Date.now() / 1000);

// A clock for what is shown as "3 min ago": draws again every `every_s`. A bundle's clock stands.
export function useNow(every_s = 1) {
  const [now, set] = useState(nowOf);
  useEffect(() => onBeat(every_s, set), [every_s]);
  return now;
}

// What a clock says of something, "3 min ago": draws again when these words change, and not each second.
export function useWords(at, words) {
  const told = words(at, nowOf());
  const [, set] = useState(told);
  useEffect(() => { set(told); return onBeat(1, (now) => set(words(at, now))); }, [at]);
  return told;
}
