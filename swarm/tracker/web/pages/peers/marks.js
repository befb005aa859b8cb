// How a peer is, in a mark and a word.
import { html } from "../../lib/html.js";
import { clean, span } from "../../lib/format.js";
import { Chip } from "../../lib/parts.js";
import { STATE } from "../../lib/states.js";

export const HEALTH = { alive: ["good", "check"], doubtful: ["warn", "slow"], gone: ["bad", "cross"] };
export const Health = ({ health }) => {
  const [tone, icon] = HEALTH[health] ?? ["calm", "idle"];
  return html`<${Chip} tone=${tone} icon=${icon}>${clean(health, 20)}<//>`;
};

export const StateMark = ({ state }) => (state ? html`<span class="row nowrap"><span class="swatch p-${STATE[state]?.pattern}"
  style=${{ "--fill": `var(${STATE[state]?.color ?? "--line"})` }}></span>${STATE[state]?.word ?? clean(state, 20)}</span>` : html`<span class="soft">follows nothing</span>`);

// A clock that is further off than this is told.
const SKEW_S = 1;
export const Offset = ({ seconds }) => (seconds === null ? html`<span class="soft">–</span>`
  : Math.abs(seconds) < SKEW_S ? html`<span title="${seconds.toFixed(3)} s against the tracker">fits</span>`
    : html`<${Chip} tone="warn" icon="slow">${seconds > 0 ? "+" : "−"}${span(Math.abs(seconds))}<//>`);
