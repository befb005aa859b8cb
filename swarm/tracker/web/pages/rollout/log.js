// The event log of a rollout: which peer came into which state, when.
import { html, useEffect, useMemo, useState } from "../../lib/html.js";
import { clean, count, counted, moment, span } from "../../lib/format.js";
import { Card, Missing, Name, PeerLink } from "../../lib/parts.js";
import { STATE } from "../../lib/states.js";
import { call } from "../../lib/store.js";
import { Table } from "../../lib/table.js";

const LAST = 100;      // of a rollout of ten thousand peers come hundreds a second
const EARLIER = 1000;
const STEPS_MAX = 5000;
const AGAIN_S = 5;

// Steps of an answer, with their numbers in the log.
const stepsOf = (page) => page.steps.map(([at, peer, state, words], place) => ({ number: page.first + place, at, peer: page.peers[peer]?.[0] ?? "",
  site: page.peers[peer]?.[1] ?? "", state: page.states[state], words: words ?? "" }));

// The last steps, and while the rollout runs those that come; `earlier` asks for those before. What is shown has no
// gap: where more has come than is asked for, it begins anew with the last.
function useLog(path, serial, isRunning) {
  const [state, set] = useState({ steps: [], error: null, isLoading: true, started: 0, total: 0, dropped: 0 });
  const ask = (query) => call("GET", `${path}?${new URLSearchParams({ ...query, ...(serial ? { serial } : {}) })}`);
  const take = (page, isEarlier) => set((now) => {
    const isSame = Math.abs(now.started - page.started) < 1 && page.total >= now.total; // a tracker that began anew knows less
    const told = stepsOf(page), known = isSame ? now.steps : [];
    const [before, after] = isEarlier ? [told, known] : [known, told];
    const first = after[0]?.number ?? page.total, from = before[0]?.number ?? first;
    const isJoined = before.length > 0 && before.at(-1).number >= first - 1 && from <= first;
    const steps = isJoined ? [...before.slice(0, first - from), ...after] : isEarlier ? known : told;
    return { steps: isEarlier ? steps.slice(0, STEPS_MAX) : steps.slice(-STEPS_MAX), started: page.started, total: page.total, dropped: page.dropped, error: null, isLoading: false };
  });
  const fail = (error) => set((now) => ({ ...now, error, isLoading: false }));
  useEffect(() => {
    let isOver = false, timer = 0;
    const load = async () => {
      try {
        const page = await ask({ last: LAST });
        if (!isOver) take(page, false);
      } catch (error) {
        if (!isOver) fail(error);
        if (error.isMissing) return;
      }
      if (isRunning && !isOver) timer = setTimeout(load, AGAIN_S * 1000);
    };
    load();
    return () => { isOver = true; clearTimeout(timer); };
  }, [path, serial, isRunning]);
  const first = state.steps[0]?.number ?? 0;
  const earlier = () => {
    const limit = Math.min(EARLIER, first);
    set((now) => ({ ...now, isLoading: true }));
    ask({ after: first - limit, limit }).then((page) => take(page, true), fail);
  };
  return { ...state, earlier: first > 0 && state.steps.length < STEPS_MAX ? earlier : null };
}

export function EventLog({ path, serial, isRunning }) {
  const log = useLog(path, serial, isRunning);
  const [text, setText] = useState("");
  const words = text.trim().toLowerCase();
  const steps = useMemo(() => [...log.steps].sort((a, b) => b.at - a.at || b.number - a.number), [log.steps]);
  const rows = steps.filter((row) => !words || `${row.peer} ${row.site} ${row.state} ${row.words}`.toLowerCase().includes(words));
  return html`<${Card} title="Event log" note=${log.total ? `${log.steps.length < log.total ? `${count(log.steps.length)} of ` : ""}${counted(log.total, "step")}${log.dropped ? `, ${log.dropped} more were not kept` : ""}` : ""} flush
      actions=${log.steps.length > 0 && html`<label><span class="unseen">Find in the log</span><input type="search" placeholder="Find in the log" value=${text}
        onInput=${(event) => setText(event.target.value)} /></label>`}>
    ${log.error && !log.steps.length ? html`<${Missing} answer=${log} what="The event log" />` : html`<${Table} label="Event log" rows=${rows} keyOf=${(row) => row.number} most=${15} more=${log.earlier}
      isLoading=${log.isLoading} empty=${words ? "No step has these words." : "Nothing has happened yet."} columns=${[
        { id: "at", label: "after", num: true, isHead: true, cell: (row) => html`<span title=${moment(log.started + row.at)}>${span(row.at)}</span>` },
        { id: "peer", label: "peer", cell: (row) => html`<${PeerLink} id=${row.peer} />` },
        { id: "state", label: "came to be", cell: (row) => html`<span class="row nowrap"><span class="swatch p-${STATE[row.state]?.pattern}"
          style=${{ "--fill": `var(${STATE[row.state]?.color})` }}></span>${clean(row.state)}</span>` },
        { id: "words", label: "", cell: (row) => html`<${Name} text=${row.words} />` },
        { id: "site", label: "site", narrow: false, cell: (row) => html`<${Name} text=${row.site} one />` },
      ]} />`}<//>`;
}
