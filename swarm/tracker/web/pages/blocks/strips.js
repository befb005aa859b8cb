// Strips: a version's blocks from the first to the last, coloured by how many peers hold them.
import { html, useState } from "../../lib/html.js";
import { Canvas, Small } from "../../lib/canvas.js";
import { color } from "../../lib/choices.js";
import { count, counted } from "../../lib/format.js";
import { patternOf } from "../../lib/states.js";

// From so many copies on. Fewer copies stand out; many are one hue that grows stronger.
export const STEPS = [
  { least: 0, word: "no copy at peers", color: "--copies-0", pattern: "cross" },
  { least: 1, word: "1 copy", color: "--copies-1", pattern: "lines" },
  { least: 2, word: "2 or 3", color: "--copies-2" },
  { least: 4, word: "4 to 9", color: "--copies-4" },
  { least: 10, word: "10 or more", color: "--copies-10" },
];
export const stepOf = (copies) => STEPS.findLast((step) => copies >= step.least) ?? STEPS[0];

function fillOf(context, step) {
  const own = color(step.color);
  return step.pattern ? patternOf(context, own, step.pattern, color("--surface")) : own;
}

export const wordsOf = ([first, length, fewest, mean, origin]) => `blocks ${count(first)} to ${count(first + length - 1)}: at least ${counted(fewest, "copy", "copies")}, `
  + `${mean.toFixed(1)} on average, ${origin ? `${count(origin)} in the origin` : "none in the origin"}`;

// The whole version: fewest copies as bars, the mean as a line over them. Arrows walk along it and tell what is there.
export function Availability({ ranges, blocks, says }) {
  const [at, setAt] = useState(null);
  const high = Math.max(1, ...ranges.map((range) => range[3])) * 1.08;
  const find = (x, y, { width }) => {
    const block = ((x - EDGE) / (width - EDGE)) * blocks;
    setAt(Math.max(0, Math.min(ranges.length - 1, ranges.findLastIndex((range) => range[0] <= block))));
  };
  const onKeyDown = (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: 10, PageDown: -10, Home: -1e9, End: 1e9 }[event.key];
    if (!by) return;
    event.preventDefault();
    setAt(Math.max(0, Math.min(ranges.length - 1, (at ?? (by > 0 ? -1 : ranges.length)) + by)));
  };
  return html`<div class="walk" role="slider" tabindex="0" aria-label="A place in the version" aria-valuemin="0" aria-valuemax=${ranges.length - 1}
      aria-valuenow=${at ?? 0} aria-valuetext=${at === null ? "the whole version" : wordsOf(ranges[at])} onKeyDown=${onKeyDown} onBlur=${() => setAt(null)}>
    <${Canvas} height=${150} says=${says} deps=${[ranges, at]} onPoint=${find} onLeave=${() => setAt(null)} draw=${(context, width, height) => drawMap(context, width, height, { ranges, blocks, high, at })} />
    <p class="soft small said">${at === null ? says : wordsOf(ranges[at])}</p></div>`;
}

const EDGE = 34, FOOT = 20, ORIGIN = 6;

function drawMap(context, width, height, { ranges, blocks, high, at }) {
  const floor = height - FOOT - ORIGIN - 3;
  const x = (block) => EDGE + (block / blocks) * (width - EDGE), y = (copies) => floor - (copies / high) * (floor - 8);
  context.font = `11.5px ${getComputedStyle(document.body).fontFamily}`;
  context.textBaseline = "middle";
  const top = Math.max(1, Math.floor(high)), lines = top < 4 ? [0, top] : [0, Math.round(top / 2), top];
  for (const copies of lines) {
    context.fillStyle = color("--line");
    context.fillRect(EDGE, Math.round(y(copies)), width - EDGE, 1);
    context.fillStyle = color("--soft");
    context.textAlign = "right";
    context.fillText(String(copies), EDGE - 7, y(copies));
  }
  for (const [first, length, fewest, , origin] of ranges) {
    const left = x(first), wide = Math.max(1, x(first + length) - left - (ranges.length < width / 4 ? 1 : 0));
    context.fillStyle = fillOf(context, stepOf(fewest));
    const bar = Math.max(fewest ? 3 : floor - 8, (fewest / high) * (floor - 8)); // nothing at all is as high as can be
    context.globalAlpha = fewest ? 1 : 0.85;
    context.fillRect(left, floor - bar, wide, bar);
    context.globalAlpha = 1;
    context.fillStyle = origin ? color("--origin") : color("--sunken");
    context.fillRect(left, floor + 3, wide, ORIGIN);
  }
  context.beginPath();
  for (const [first, length, , mean] of ranges) { context.lineTo(x(first), y(mean)); context.lineTo(x(first + length), y(mean)); }
  context.strokeStyle = color("--ink");
  context.lineWidth = 1.4;
  context.stroke();
  drawFoot(context, width, height, blocks);
  if (at === null) return;
  const [first, length] = ranges[at];
  context.strokeStyle = color("--accent");
  context.lineWidth = 2;
  context.strokeRect(x(first) - 1, 4, Math.max(3, x(first + length) - x(first)) + 1, floor + ORIGIN + 1);
}

function drawFoot(context, width, height, blocks) {
  context.fillStyle = color("--soft");
  context.textBaseline = "alphabetic";
  for (const [share, align] of [[0, "left"], [0.5, "center"], [1, "right"]]) {
    context.textAlign = align;
    context.fillText(share ? count(Math.round(blocks * share)) : "block 0", EDGE + (width - EDGE) * share, height - 4);
  }
}

// The same, as high as a line of text: of a dataset, or of a file within it (`first`, `length`).
// Drawn again when it looks another way, not when a count changes that is not seen.
export function Strip({ ranges, first = 0, length, says }) {
  const all = length ?? Math.max(1, ...ranges.map((range) => range[0] + range[1]));
  const marks = ranges.map(([start, many, fewest]) => [(start - first) / all, (start + many - first) / all, stepOf(fewest)]).filter(([from, to]) => to > 0 && from < 1);
  const key = marks.map(([from, to, step]) => `${from} ${to} ${step.least}`).join();
  return html`<${Small} says=${says} deps=${[key]} draw=${(context, width, height) => {
    for (const [from, to, step] of marks) {
      const left = Math.max(0, Math.round(from * width)), right = Math.min(width, Math.round(to * width));
      if (right <= left) continue;
      context.fillStyle = fillOf(context, step);
      context.fillRect(left, 0, right - left, height);
    }
  }} />`;
}

// What one peer holds: a text of a digit for each range, "x" for all of it.
export const Held = ({ strip, says }) => html`<${Small} says=${says} deps=${[strip]} draw=${(context, width, height) => {
  context.fillStyle = color("--state-fetching");
  const wide = width / Math.max(1, strip.length);
  [...strip].forEach((digit, place) => {
    const share = digit === "x" ? 1 : Number(digit) / 10;
    if (!share) return;
    const left = Math.round(place * wide);
    context.fillRect(left, Math.round(height * (1 - share)), Math.round((place + 1) * wide) - left, height);
  });
}} />`;
