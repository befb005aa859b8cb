// The keys, what colours mean, and how to switch single keys off.
import { html } from "./html.js";
import { choose, useChoice } from "./choices.js";
import { allKeys } from "./keys.js";
import { Dialog } from "./parts.js";
import { STATE, STATES } from "./states.js";

export function Help({ onClose }) {
  const keys = useChoice("keys");
  return html`<${Dialog} title="Keys and colours" onClose=${onClose}>${(close) => html`<div class="inside">
    <h2>Keys</h2>
    <dl class="keys">${allKeys().map(({ keys: text, says }) => html`<dt key=${text}>${text.split(" ").map((key) => html`<kbd>${key}</kbd> `)}</dt>
      <dd>${says}</dd>`)}<dt><kbd>Esc</kbd></dt><dd>Close what is open</dd></dl>
    <label class="row"><input type="checkbox" checked=${keys === "on"} onChange=${(event) => choose("keys", event.target.checked ? "on" : "off")} />
      Single keys are on</label>
    <h2>States of a peer</h2>
    <dl class="keys">${STATES.map((state) => html`<dt key=${state} class="row"><span class="swatch p-${STATE[state].pattern}"
      style=${{ "--fill": `var(${STATE[state].color})` }}></span>${STATE[state].word}</dt><dd>${STATE[state].says}</dd>`)}</dl>
    <div class="buttons"><button type="button" class="button is-main" onClick=${close}>Close</button></div></div>`}<//>`;
}
