// Figures, times and names as text. Pure. Bytes are in decimal units, to the letter as the program says them (swarm/units.py).

export const NONE = "–";
const number = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];
const HOSTILE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Cn}]|(?![ \u00a0])\p{Zs}/gu;
const NAME_MAX_CHARS = 300;

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

// 12345 as "12,345".
export const count = (value) => (isNumber(value) ? number.format(value) : NONE);

// "1 peer", "2 peers".
export const counted = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;

// "17 B", "1.2 MB", "123 GB". Halves are rounded up.
export function bytes(value) {
  if (!isNumber(value)) return NONE;
  let size = Math.abs(value), unit = 0;
  while (size >= 999.5 && unit < UNITS.length - 1) { size /= 1000; unit += 1; }
  const sign = value < 0 ? "-" : "";
  if (unit === 0 || size >= 99.95) return `${sign}${Math.floor(size + 0.5)} ${UNITS[unit]}`;
  const tenths = Math.floor(10 * size + 0.5);
  return `${sign}${Math.floor(tenths / 10)}.${tenths % 10} ${UNITS[unit]}`;
}

export const rate = (value) => (isNumber(value) ? `${bytes(value)}/s` : NONE);

// A share of 1 as "1.8%". Never "100%" for what is not all, nor "0%" for what is not nothing.
export function percent(share, digits = 1) {
  if (!isNumber(share)) return NONE;
  if (share > 0 && share < 0.0005) return "<0.1%";
  if (share < 1 && share >= 0.9995) return "99.9%";
  const text = (share * 100).toFixed(share === 0 || share === 1 || share >= 99.5 ? 0 : digits);
  return `${text.replace(/\.0$/, "")}%`;
}

// Seconds as people say them: "0.4 s", "12 s", "3 min", "2 h 5 min", "4 d".
export function span(seconds) {
  if (!isNumber(seconds)) return NONE;
  const s = Math.max(0, seconds);
  if (s < 0.95) return s === 0 ? "0 s" : `${Math.max(0.1, s).toFixed(1)} s`;
  if (s < 9.95 && s % 1 > 0.05) return `${s.toFixed(1)} s`;
  if (s < 99.5) return `${Math.round(s)} s`;
  if (s < 3600) return `${Math.round(s / 60)} min`;
  if (s < 86400) {
    const minutes = Math.round((s % 3600) / 60), hours = Math.floor(s / 3600);
    if (minutes === 60) return `${hours + 1} h`;
    return hours < 10 && minutes ? `${hours} h ${minutes} min` : `${hours} h`;
  }
  return `${Math.round(s / 86400)} d`;
}

export const ago = (wallTime_s, now_s) => (isNumber(wallTime_s) && wallTime_s > 0
  ? (now_s - wallTime_s < 2 ? "just now" : `${span(now_s - wallTime_s)} ago`) : NONE);

const two = (value) => String(value).padStart(2, "0");

// Local time of day, "08:05:09".
export function clock(wallTime_s) {
  if (!isNumber(wallTime_s) || wallTime_s <= 0) return NONE;
  const at = new Date(wallTime_s * 1000);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

// Local date and time, "2026-11-26 08:05:09".
export function moment(wallTime_s) {
  if (!isNumber(wallTime_s) || wallTime_s <= 0 || wallTime_s > 8.64e12) return NONE;
  const at = new Date(wallTime_s * 1000);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock(wallTime_s)}`;
}

// A name that somebody else chose, safe to show: what cannot be seen, or turns text around, is spelled out.
export function clean(text, most = NAME_MAX_CHARS) {
  const given = String(text ?? "");
  const cut = given.length > most ? `${given.slice(0, most)}…` : given;
  return cut.replace(HOSTILE, (sign) => `‹U+${sign.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}›`)
    .replace(/(\p{M}{3})\p{M}+/gu, "$1");
}

// The first digits of a signature or a peer's id.
export const short = (id, digits = 10) => clean(String(id ?? "").slice(0, digits));
