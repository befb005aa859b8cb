// Pictures of figures over time, drawn on a canvas, each with its table. Colours follow the theme as it changes.
import { html, useEffect, useRef, useState } from "./html.js";
import uPlot from "../vendor/uPlot.esm.js";
import { choose, color, onChoice, useChoice } from "./choices.js";
import { clock, count, moment, span } from "./format.js";
import { Icon } from "./icons.js";
import { Card, Legend } from "./parts.js";
import { patternOf } from "./states.js";
import { Table } from "./table.js";

const TABLE_ROWS = 60;
const HALF_LABEL = 32; // pixels of "08:05:09", and of "2 h 5 min"
const DAY_S = 86_400;
// How far apart labels may stand: none says the same as the one before.
const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, ...[1, 2, 5, 10, 30, 100].map((days) => days * DAY_S)];

// A picture in a card with a switch to its table. `picture` is what is drawn; `table` the props of a Table. Use it for
// every canvas. `says`: the picture in one sentence, for who cannot see it.
export function Figure({ title, note, actions, picture, table, says, legend }) {
  const all = useChoice("tables");
  const [own, setOwn] = useState(null);
  useEffect(() => setOwn(null), [all]);
  const isTable = own ?? all === "on";
  const toggle = html`<button type="button" class="button is-bare" aria-pressed=${isTable} onClick=${() => setOwn(!isTable)}>
    <${Icon} name=${isTable ? "chart" : "table"} />${isTable ? "Picture" : "Table"}<span class="unseen"> of ${title}</span></button>`;
  return html`<${Card} title=${title} note=${note} flush=${isTable} actions=${html`${actions}${toggle}`}>
    ${isTable ? html`<${Table} label=${title} ...${table} />` : html`<figure class="figure" role="group" aria-label=${says ?? title}>
      ${legend}<div class="plot">${picture}</div></figure>`}<//>`;
}

export const showTables = () => choose("tables", "on");

// series: [{ word, values, color, pattern, dash, fill }]; `kind`: "lines", "steps" or "stack" (from the bottom up).
// `x` are wall seconds, or seconds since something with `since`. marks: [{ x, word }] are upright lines.
export function Chart({ title, note, x, series, kind = "lines", since = false, format = count, height = 190, marks = [], actions,
  says, top }) {
  const name = (value) => (since ? span(value) : clock(value));
  const parts = series.map((one) => ({ ...one, value: undefined, text: undefined }));
  const every = Math.max(1, Math.ceil(x.length / TABLE_ROWS));
  const rows = x.map((at, place) => ({ at, place })).filter(({ place }) => place % every === 0 || place === x.length - 1).reverse();
  const columns = [
    { id: "at", label: since ? "after" : "time", value: (row) => row.at, cell: (row) => name(row.at), isHead: true },
    ...series.map((one, place) => ({ id: `s${place}`, label: one.word, num: true, cell: (row) => format(one.values[row.place]) })),
  ];
  return html`<${Figure} title=${title} note=${note} actions=${actions} says=${says ?? `${title}: ${series.map((one) => one.word).join(", ")} over time`}
    legend=${html`<${Legend} parts=${kind === "stack" ? [...parts].reverse() : parts} line=${kind !== "stack"} />`}
    picture=${x.length > 1 ? html`<${Plot} ...${{ x, series, kind, since, format, height, marks, top }} />`
      : html`<p class="empty">Nothing has been recorded yet.</p>`}
    table=${{ columns, rows, keyOf: (row) => row.at, empty: "Nothing has been recorded yet." }} />`;
}

// The canvas alone: for a picture that has its table elsewhere.
export function Plot({ x, series, kind = "lines", since = false, format = count, height = 190, marks = [], top }) {
  const place = useRef(null);
  const plot = useRef(null);
  const [theme, setTheme] = useState(0);
  useEffect(() => onChoice(() => setTheme((n) => n + 1)), []);
  const shape = `${kind}/${since}/${height}/${theme}/${series.map((one) => one.word + one.color).join()}`;
  useEffect(() => {
    const options = optionsOf({ series, kind, since, format, marks, top, height, width: place.current.clientWidth || 300 });
    plot.current = new uPlot(options, dataOf(x, series, kind), place.current);
    const watch = new ResizeObserver(([entry]) => plot.current?.setSize({ width: Math.floor(entry.contentRect.width), height }));
    watch.observe(place.current);
    return () => { watch.disconnect(); plot.current.destroy(); plot.current = null; };
  }, [shape]);
  useEffect(() => {
    if (!plot.current) return;
    plot.current.marks = marks;
    plot.current.setData(dataOf(x, series, kind));
  }, [x, marks.map((mark) => `${mark.x} ${mark.word}`).join(), ...series.map((one) => one.values)]);
  return html`<div ref=${place} style=${{ minHeight: `${height}px` }}></div>`;
}

function dataOf(x, series, kind) {
  if (kind !== "stack") return [x, ...series.map((one) => one.values)];
  const sums = [];
  let below = x.map(() => 0);
  for (const one of series) {
    below = below.map((sum, place) => sum + (one.values[place] ?? 0));
    sums.push(below);
  }
  return [x, ...sums.reverse()]; // the highest first: each paints over what is below it
}

function optionsOf({ series, kind, since, format, marks, top, height, width }) {
  const ink = color("--soft"), line = color("--line"), ground = color("--surface");
  const drawn = kind === "stack" ? [...series].reverse() : series;
  const font = `11.5px ${getComputedStyle(document.body).fontFamily}`;
  const axis = { stroke: ink, font, grid: { stroke: line, width: 1 }, ticks: { show: false } };
  return {
    width, height, padding: [marks.length ? 20 : 10, HALF_LABEL, 0, 0], // the last time on the axis is not cut
    cursor: { drag: { x: false, y: false }, points: { size: 6 }, y: false },
    legend: { show: false },
    scales: {
      x: { time: !since },
      y: { range: (u, low, high) => [Math.min(0, low ?? 0), top ?? Math.max(high ?? 0, 0.000001) * (kind === "stack" ? 1 : 1.08)] },
    },
    axes: [
      { ...axis, grid: { show: false }, size: 32, gap: 10, space: 2 * HALF_LABEL + 20, incrs: since ? [0.1, 0.2, 0.5, ...STEPS_S] : STEPS_S, ...(since ? { values: (u, at) => at.map(span) }
        : { values: (u, at, i, gap, step) => at.map((t) => timeOn(t, step)) }) },
      { ...axis, size: sizeOf, gap: 6, values: (u, at) => labelsOf(at, format) },
    ],
    series: [{}, ...drawn.map((one) => seriesOf(one, kind, ground))],
    hooks: { init: [(u) => { u.marks = marks; }], draw: [(u) => drawMarks(u, ink, font)] },
    plugins: [tip({ drawn, kind, since, format })],
  };
}

// A moment as an axis says it whose labels stand `step_s` apart.
export const timeOn = (at, step_s) => (step_s >= DAY_S ? moment(at).slice(5, 10) : clock(at).slice(0, step_s < 60 ? 8 : 5));

// What stands beside the lines of a picture: whole numbers where things are counted, and none that says the same as the one below.
export function labelsOf(at, format) {
  let last = null;
  return at.map((value) => {
    const text = format === count && value % 1 ? null : format(value);
    if (text === null || text === last) return null;
    last = text;
    return text;
  });
}

// As wide as its longest number.
function sizeOf(u, values) {
  const longest = Math.max(2, ...(values ?? []).map((text) => String(text).length));
  return Math.ceil(longest * 6.4) + 16;
}

function seriesOf(one, kind, ground) {
  const stroke = color(one.color);
  if (kind === "stack") {
    return { stroke: ground, width: 0.5, points: { show: false },
      fill: (u) => (one.pattern && one.pattern !== "solid" ? patternOf(u.ctx, stroke, one.pattern, ground) : stroke) };
  }
  return { stroke, width: 2, points: { show: false }, dash: one.dash ? [6, 4] : undefined, spanGaps: true,
    fill: one.fill ? stroke.replace("rgb(", "rgba(").replace(")", ", .13)") : undefined,
    paths: kind === "steps" ? uPlot.paths.stepped({ align: 1 }) : undefined };
}

function drawMarks(u, ink, font) {
  const { ctx, bbox } = u;
  const scale = devicePixelRatio;
  ctx.save();
  ctx.font = font.replace(/^[\d.]+px/, `${11.5 * scale}px`);
  ctx.textBaseline = "top";
  ctx.textAlign = "left"; // as the axes leave it, words would stand beside their lines
  let end = -Infinity, row = 0; // of the words before: those that would stand on one another go a row down
  for (const { x, word } of [...(u.marks ?? [])].sort((a, b) => a.x - b.x)) {
    if (x === null || x < u.scales.x.min || x > u.scales.x.max) continue;
    const at = Math.round(u.valToPos(x, "x", true));
    ctx.strokeStyle = ink;
    ctx.setLineDash([4 * scale, 3 * scale]);
    ctx.lineWidth = scale;
    ctx.beginPath(); ctx.moveTo(at, bbox.top); ctx.lineTo(at, bbox.top + bbox.height); ctx.stroke();
    const width = ctx.measureText(word).width;
    const left = Math.max(bbox.left, Math.min(at - width / 2, bbox.left + bbox.width - width));
    row = left < end + 6 * scale ? row + 1 : 0;
    end = Math.max(end, left + width);
    ctx.fillStyle = ink;
    ctx.fillText(word, left, bbox.top - 15 * scale + row * 14 * scale);
  }
  ctx.restore();
}

// What stands under the pointer, in words.
function tip({ drawn, kind, since, format }) {
  let box;
  return { hooks: {
    init: [(u) => {
      box = document.createElement("div");
      box.className = "tip";
      box.hidden = true;
      u.over.append(box);
    }],
    setCursor: [(u) => {
      const { left, idx } = u.cursor;
      box.hidden = idx === null || idx === undefined || left < 0;
      if (box.hidden) return;
      const below = (place) => (kind === "stack" && place + 2 < u.data.length ? u.data[place + 2][idx] : 0);
      const lines = drawn.map((one, place) => [one.word, (u.data[place + 1][idx] ?? null) === null ? null : u.data[place + 1][idx] - below(place)]);
      box.replaceChildren(...[[since ? `after ${span(u.data[0][idx])}` : clock(u.data[0][idx]), null], ...lines].map(([word, value]) => {
        const line = document.createElement("div");
        line.textContent = value === null ? word : `${word} ${format(value)}`;
        return line;
      }));
      const isRight = left > u.over.clientWidth / 2;
      box.style.left = isRight ? "" : `${left + 12}px`;
      box.style.right = isRight ? `${u.over.clientWidth - left + 12}px` : "";
    }],
  } };
}

// A small line without axes. `values` from 0 to their highest (or `top`).
export function Spark({ values, top, color: property = "--series-1", says }) {
  const canvas = useRef(null);
  const [theme, setTheme] = useState(0);
  useEffect(() => onChoice(() => setTheme((n) => n + 1)), []);
  useEffect(() => {
    const { current } = canvas, draw = current.getContext("2d");
    const width = current.width = current.clientWidth * devicePixelRatio;
    const height = current.height = current.clientHeight * devicePixelRatio;
    const known = values.filter((value) => value !== null);
    if (known.length < 2) return;
    const high = top ?? Math.max(...known, 1e-9), edge = 2 * devicePixelRatio;
    const at = (value, place) => [(place / (values.length - 1)) * width, height - edge - (value / high) * (height - 2 * edge)];
    draw.beginPath();
    values.forEach((value, place) => { if (value !== null) draw.lineTo(...at(value, place)); });
    draw.strokeStyle = color(property);
    draw.lineWidth = 1.6 * devicePixelRatio;
    draw.lineJoin = "round";
    draw.stroke();
    draw.lineTo(width, height); draw.lineTo(0, height); draw.closePath();
    draw.globalAlpha = 0.14;
    draw.fillStyle = color(property);
    draw.fill();
  }, [values, top, theme]);
  return html`<canvas ref=${canvas} class="spark" role="img" aria-label=${says}></canvas>`;
}
