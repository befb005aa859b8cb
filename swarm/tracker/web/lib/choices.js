// What this browser was told to do: theme, pictures or tables, single keys. Kept in it, where that is allowed.
import { useEffect, useState } from "./html.js";

const DEFAULTS = { theme: "auto", tables: "off", keys: "on" };
const chosen = {};
const listeners = new Set();
const colors = new Map();

export function choice(name) {
  if (!(name in chosen)) {
    let kept = null;
    try { kept = localStorage.getItem(`aetherfs.${name}`); } catch { /* storage may be forbidden */ }
    chosen[name] = kept ?? DEFAULTS[name];
  }
  return chosen[name];
}

export function choose(name, value) {
  colors.clear();
  chosen[name] = value;
  try { localStorage.setItem(`aetherfs.${name}`, value); } catch { /* it lasts as long as this page then */ }
  if (name === "theme") document.documentElement.dataset.theme = value;
  for (const listener of [...listeners]) listener();
}

export function useChoice(name) {
  const [, draw] = useState(0);
  useEffect(() => onChoice(() => draw((n) => n + 1)), []);
  return choice(name);
}

// Called after each choice, and when the system changes between dark and light. Returns what ends that.
export function onChoice(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  colors.clear();
  for (const listener of [...listeners]) listener();
});

export const isStill = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

// What a custom property of the style sheet is now, as a canvas needs it. Found out once a theme: it costs a look at all styles.
const probe = document.createElement("span");
probe.hidden = true;
export function color(property) {
  if (!colors.has(property)) {
    if (!probe.isConnected) document.body.append(probe);
    probe.style.color = `var(${property})`;
    colors.set(property, getComputedStyle(probe).color);
  }
  return colors.get(property);
}
