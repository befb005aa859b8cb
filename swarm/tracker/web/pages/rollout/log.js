// The event log of a rollout: which peer came into which state, when; who moved the tag, held it and let it go on.
import { html, useEffect, useMemo, useState } from "../../lib/html.js";
import { clean, count, counted, moment, span } from "../../lib/format.js";
import { Mark } from "../../lib/happenings.js";
import { Card, Missing, Name, PeerLink, Said } from "../../lib/parts.js";
import { STATE } from "../../lib/states.js";
import { call } from "../../lib/store.js";
import { Table } from "../../lib/table.js";
import { STEPS_MAX, withPage } from "./steps.js";

const LAST = 100;      // of a rollout of ten thousand peers come hundreds a second
const EARLIER = 1000;
const AGAIN_S = 5;

// The last steps, and while the rollout runs those that come; `earlier` asks for those before.
function useLog(path, serial, isRunning) {
  const [state, set] = useState({ steps: [], error: null, isLoading: true, started: 0, total: 0, dropped: 0, acts: [] });
  const ask = (query) => call("GET", `${path}?${new URLSearchParams({ ...query, ...(serial ? { serial } : {}) })}`);
  const take = (page, isEarlier) => set((now) => ({ ...withPage(now, page, isEarlier), error: null, isLoading: false }));
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

// What was done to it, by the log of the dataset: few lines, which thousands of steps must not hide.
const Acts = ({ acts, started }) => acts.length > 0 && html`<ol class="happenings acts" aria-label="What was done">${acts.map((one) => html`<li key=${one.serial}>
  <${Mark} of=${one} /><span class="text">entry ${count(one.serial)} <${Said} text=${one.text} most=${400} /></span>
  <time class="soft small nowrap" title=${moment(one.at)}>after ${span(Math.max(0, one.at - started))}</time></li>`)}</ol>`;

export function EventLog({ path, serial, isRunning }) {
  const log = useLog(path, serial, isRunning);
  const [text, setText] = useState("");
  const words = text.trim().toLowerCase();
  const steps = useMemo(() => [...log.steps].sort((a, b) => b.at - a.at || b.number - a.number), [log.steps]);
  const rows = steps.filter((row) => !words || `${row.peer} ${row.site} ${row.state} ${row.words}`.toLowerCase().includes(words));
  return html`<${Card} title="Event log" note=${log.total ? `${log.steps.length < log.total ? `${count(log.steps.length)} of ` : ""}${counted(log.total, "step")}${log.dropped ? `, ${log.dropped} more were not kept` : ""}` : ""} flush
      actions=${log.steps.length > 0 && html`<label><span class="unseen">Find in the log</span><input type="search" placeholder="Find in the log" value=${text}
        onInput=${(event) => setText(event.target.value)} /></label>`}>
    <${Acts} acts=${log.acts} started=${log.started} />
    ${log.error && !log.steps.length ? html`<${Missing} answer=${log} what="The event log" />` : html`<${Table} label="Event log" rows=${rows} keyOf=${(row) => row.number} most=${15} more=${log.earlier}
      isLoading=${log.isLoading} empty=${words ? "No step has these words." : log.acts.length ? "No peer has taken a step yet." : "Nothing has happened yet."} columns=${[
        { id: "at", label: "after", num: true, isHead: true, cell: (row) => html`<span title=${moment(log.started + row.at)}>${span(row.at)}</span>` },
        { id: "peer", label: "peer", cell: (row) => html`<${PeerLink} id=${row.peer} />` },
        { id: "state", label: "came to be", cell: (row) => html`<span class="row nowrap"><span class="swatch p-${STATE[row.state]?.pattern}"
          style=${{ "--fill": `var(${STATE[row.state]?.color})` }}></span>${clean(row.state)}</span>` },
        { id: "words", label: "", cell: (row) => html`<${Name} text=${row.words} />` },
        { id: "site", label: "site", narrow: false, cell: (row) => html`<${Name} text=${row.site} one />` },
      ]} />`}<//>`;
}
