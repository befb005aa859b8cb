// The states of peers and the trends of rollouts: one colour, one pattern, one picture and one word each, everywhere.
// Colours are Okabe and Ito's, told apart with any kind of colour vision; patterns tell them apart without any.

export const STATES = ["current", "verifying", "fetching", "waiting", "unaware", "failed", "lost"];

export const STATE = {
  current: { word: "current", says: "has the version, switched to it", color: "--state-current", pattern: "solid" },
  verifying: { word: "verifying", says: "has all blocks; validates, switches", color: "--state-verifying", pattern: "dots" },
  fetching: { word: "fetching", says: "blocks are on their way", color: "--state-fetching", pattern: "rising" },
  waiting: { word: "waiting", says: "knows of it, has not begun or is held back", color: "--state-waiting", pattern: "lines" },
  unaware: { word: "unaware", says: "has not heard of it yet", color: "--state-unaware", pattern: "sparse" },
  failed: { word: "failed", says: "could not take it", color: "--state-failed", pattern: "cross" },
  lost: { word: "lost", says: "not heard of any more", color: "--state-lost", pattern: "bars" },
};

export const TREND = {
  well: { word: "well", tone: "good", icon: "check" },
  running: { word: "running", tone: "busy", icon: "play" },
  slow: { word: "slow", tone: "warn", icon: "slow" },
  stalled: { word: "stalled", tone: "bad", icon: "stop" },
  failed: { word: "failed", tone: "bad", icon: "cross" },
  paused: { word: "paused", tone: "warn", icon: "pause" },
  aborted: { word: "aborted", tone: "bad", icon: "stop" },
  "rolled back": { word: "rolled back", tone: "back", icon: "back" },
  "taken back": { word: "taken back", tone: "back", icon: "cross" },
  overtaken: { word: "overtaken", tone: "calm", icon: "forward" },
  idle: { word: "idle", tone: "calm", icon: "idle" },
};

export const CAUSE = {
  "slow-link": "slow link", "own-limit": "own limit", "no-holder": "no holder", "no-neighbour": "no neighbour", "disk-full": "disk full",
  "not-heard": "not heard", "held-back": "held back", paused: "paused", refused: "refused", hook: "hook failed",
  "not-told": "not told", queued: "queued", error: "error", "": "on its way",
};

// A pattern on a canvas, as `fillStyle` takes it; each is made once.
const made = new Map();
export function patternOf(context, color, pattern, back) {
  const key = [color, pattern, back, devicePixelRatio].join();
  if (made.size > 64) made.clear();
  if (!made.has(key)) made.set(key, makePattern(context, color, pattern, back));
  return made.get(key);
}

function makePattern(context, color, pattern, back) {
  const size = 8 * devicePixelRatio;
  const tile = document.createElement("canvas");
  tile.width = tile.height = size;
  const draw = tile.getContext("2d");
  draw.fillStyle = color;
  draw.fillRect(0, 0, size, size);
  draw.strokeStyle = draw.fillStyle = back;
  draw.lineWidth = 1.4 * devicePixelRatio;
  const line = (x1, y1, x2, y2) => { draw.beginPath(); draw.moveTo(x1, y1); draw.lineTo(x2, y2); draw.stroke(); };
  const s = size, h = size / 2;
  if (pattern === "rising" || pattern === "cross") { line(0, s, s, 0); line(-h, h, h, -h); line(h, s + h, s + h, h); }
  if (pattern === "cross") { line(0, 0, s, s); line(-h, h, h, s + h); line(h, -h, s + h, h); }
  if (pattern === "lines") line(0, h, s, h);
  if (pattern === "bars") line(h, 0, h, s);
  if (pattern === "dots") { draw.beginPath(); draw.arc(h, h, s / 5, 0, 7); draw.fill(); }
  if (pattern === "sparse") { draw.beginPath(); draw.arc(h, h, s / 8, 0, 7); draw.fill(); }
  return context.createPattern(tile, "repeat");
}
