// Single keys, listed under "?". They can be switched off there (WCAG 2.1.4), and rest while somebody types.
import { choice } from "./choices.js";

const bound = new Map(); // "t", or "g d" for one after the other
let first = "", firstAt = 0;

// what: { keys, says, act }. Returns what unbinds it.
export function bind(what) {
  bound.set(what.keys, what);
  return () => { if (bound.get(what.keys) === what) bound.delete(what.keys); };
}

export const allKeys = () => [...bound.values()];

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const target = event.target;
  const isTyping = target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) || target.closest?.("dialog");
  if (isTyping || choice("keys") === "off") return;
  const pair = Date.now() - firstAt < 1200 ? `${first} ${event.key}` : "";
  const found = bound.get(pair) ?? bound.get(event.key);
  [first, firstAt] = [event.key, Date.now()];
  if (!found) return;
  event.preventDefault();
  first = "";
  found.act();
});
