// The event log of a rollout: which peer came into which state, when.
import { html, useEffect, useState } from "../../lib/html.js";
import { clean, counted, moment, span } from "../../lib/format.js";
import { Card, Missing, Name, PeerLink } from "../../lib/parts.js";
import { STATE } from "../../lib/states.js";
import { call } from "../../lib/store.js";
import { Table } from "../../lib/table.js";

const PAGE = 1000;
const STEPS_MAX = 5000;
const AGAIN_S = 5;

// All steps up to STEPS_MAX, page after page; while the rollout runs, those that are new every few seconds.
function useLog(path, serial, isRunning) {
  const [state, set] = useState({ steps: [], error: null, isLoading: true, dropped: 0 });
  useEffect(() => {
    let isOver = false, timer = 0, after = 0, steps = [];
    const load = async () => {
      try {
        for (;;) {
          const query = new URLSearchParams({ limit: PAGE, ...(after ? { after } : {}), ...(serial ? { serial } : {}) });
          const page = await call("GET", `${path}?${query}`);
          if (isOver) return;
          const told = page.steps.map(([at, peer, stateAt, words], place) => ({ key: `${after}.${place}`, at, peer: page.peers[peer]?.[0] ?? "", site: page.peers[peer]?.[1] ?? "",
            state: page.states[stateAt], words: words ?? "" }));
          steps = after ? [...steps, ...told] : told;
          set({ steps, started: page.started, error: null, isLoading: false, dropped: page.dropped });
          if (page.next === null || page.next === undefined || steps.length >= STEPS_MAX) break;
          after = page.next;
        }
      } catch (error) {
        if (!isOver) set((now) => ({ ...now, error, isLoading: false }));
        if (error.isMissing) return;
      }
      if (isRunning && !isOver) { after = 0; timer = setTimeout(load, AGAIN_S * 1000); }
    };
    load();
    return () => { isOver = true; clearTimeout(timer); };
  }, [path, serial, isRunning]);
  return state;
}

export function EventLog({ path, serial, isRunning }) {
  const log = useLog(path, serial, isRunning);
  const [text, setText] = useState("");
  const words = text.trim().toLowerCase();
  const rows = [...log.steps].reverse().filter((row) => !words || `${row.peer} ${row.site} ${row.state} ${row.words}`.toLowerCase().includes(words));
  return html`<${Card} title="Event log" note=${log.steps.length ? counted(log.steps.length, "step") + (log.dropped ? `, ${log.dropped} more were not kept` : "") : ""} flush
      actions=${log.steps.length > 0 && html`<label><span class="unseen">Find in the log</span><input type="search" placeholder="Find in the log" value=${text}
        onInput=${(event) => setText(event.target.value)} /></label>`}>
    ${log.error && !log.steps.length ? html`<${Missing} answer=${log} what="The event log" />` : html`<${Table} label="Event log" rows=${rows} keyOf=${(row) => row.key} most=${15}
      isLoading=${log.isLoading} empty=${words ? "No step has these words." : "Nothing has happened yet."} columns=${[
        { id: "at", label: "after", num: true, isHead: true, cell: (row) => html`<span title=${moment(log.started + row.at)}>${span(row.at)}</span>` },
        { id: "peer", label: "peer", cell: (row) => html`<${PeerLink} id=${row.peer} />` },
        { id: "state", label: "came to be", cell: (row) => html`<span class="row nowrap"><span class="swatch p-${STATE[row.state]?.pattern}"
          style=${{ "--fill": `var(${STATE[row.state]?.color})` }}></span>${clean(row.state)}</span>` },
        { id: "words", label: "", cell: (row) => html`<${Name} text=${row.words} />` },
        { id: "site", label: "site", narrow: false, cell: (row) => html`<${Name} text=${row.site} one />` },
      ]} />`}<//>`;
}
