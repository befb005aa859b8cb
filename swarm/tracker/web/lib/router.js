// Where we are is in the address, all of it: /ui/PAGE/PARAMS?QUERY. Links, back and forward then work by themselves.
// A saved bundle is one file without a server, so there the same stands behind the #.
import { useEffect, useState } from "./html.js";
import { isBundle } from "./bundle.js";

const ROOT = "/ui/";
const listeners = new Set();

function whole() {
  if (!isBundle) return location.pathname.slice(ROOT.length) + location.search;
  return location.hash.replace(/^#\/?/, "");
}

function decoded(part) {
  try { return decodeURIComponent(part); } catch { return part; }
}

// { page, params, query }: the first part of the path, the others, and what stands behind "?".
export function here() {
  const [path, search = ""] = whole().split("?", 2);
  const [page = "", ...params] = path.split("/").filter(Boolean).map(decoded);
  return { page: page || "overview", params, query: new URLSearchParams(search) };
}

// The address of a page. `query` (object) is added to what outlives a click: the time range and the wall.
export function href(parts, query = {}) {
  const kept = new URLSearchParams();
  for (const name of ["range", "wall"]) {
    if (here().query.has(name)) kept.set(name, here().query.get(name));
  }
  for (const [name, value] of Object.entries(query)) {
    if (value === null || value === undefined || value === "") kept.delete(name);
    else kept.set(name, value);
  }
  const path = (Array.isArray(parts) ? parts : [parts]).map(encodeURIComponent).join("/");
  const search = String(kept).replace(/=(?=&|$)/g, "");
  return (isBundle ? "#/" : ROOT) + path + (search ? `?${search}` : "");
}

// The same page with another query.
export const hrefHere = (query) => {
  const { page, params, query: now } = here();
  return href([page, ...params], { ...Object.fromEntries(now), ...query });
};

export function go(address, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", address);
  tell();
}

function tell() {
  for (const listener of listeners) listener();
}

addEventListener("popstate", tell);
addEventListener("hashchange", tell);
document.addEventListener("click", (event) => {
  if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.target.closest?.("a[href]");
  if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin || isBundle) return;
  if (!link.pathname.startsWith(ROOT) || link.pathname.startsWith("/ui/sign") || link.hash) return;
  event.preventDefault();
  if (link.href !== location.href) go(link.href);
});

export function useRoute() {
  const [route, set] = useState(here);
  useEffect(() => {
    const listen = () => set(here());
    listeners.add(listen);
    return () => listeners.delete(listen);
  }, []);
  return route;
}

// The time range in the address: ?range=15m.
export const RANGES = { "5m": 300, "15m": 900, "1h": 3600, "6h": 21600, "24h": 86400, "7d": 604800 };
export const DEFAULT_RANGE = "15m";
export function rangeOf(query) {
  const name = query.get("range");
  return Object.hasOwn(RANGES, name ?? "") ? name : DEFAULT_RANGE;
}
