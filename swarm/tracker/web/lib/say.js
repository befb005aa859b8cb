// One polite live region for the whole page, and notes that come and go. It never says more than once in ten seconds
// what changes by itself; what somebody has just done is told at once.
import { html, useEffect, useState } from "./html.js";
import { Icon } from "./icons.js";

const QUIET_MS = 10_000;
const SHOWN_MS = 8000;
let tellNow = () => {};
let said = "", saidAt = 0;

// After something that the user did.
export const toast = (text, tone = "good") => tellNow({ text, tone, id: Date.now() });

// When the picture itself has changed: a verdict, for those who hear the page.
export function announce(text) {
  if (text === said || Date.now() - saidAt < QUIET_MS) return;
  [said, saidAt] = [text, Date.now()];
  document.getElementById("announced").textContent = text;
}

export function Toasts() {
  const [note, set] = useState(null);
  useEffect(() => { tellNow = set; }, []);
  useEffect(() => {
    if (!note) return undefined;
    const timer = setTimeout(() => set(null), note.tone === "bad" ? SHOWN_MS * 2 : SHOWN_MS);
    return () => clearTimeout(timer);
  }, [note]);
  return html`<div id="announced" class="unseen" role="status"></div>
    <div role="status">${note && html`<div class="toast tone-${note.tone}"><span>${note.text}</span>
      <button type="button" aria-label="Close" onClick=${() => set(null)}><${Icon} name="cross" /></button></div>`}</div>`;
}
