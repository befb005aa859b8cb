// DHT: how well its nodes know one another, and whether they find what they look for.
import { html } from "../lib/html.js";
import { count, counted, percent, span } from "../lib/format.js";
import { useFigure } from "../lib/live.js";
import { Canvas } from "../lib/canvas.js";
import { Figure } from "../lib/chart.js";
import { color } from "../lib/choices.js";
import { Card, Heading, Missing, Name, PeerLink, Tiles, Verdict } from "../lib/parts.js";
import { Table } from "../lib/table.js";

export default { id: "dht", title: "DHT", group: "Swarm", key: "h", icon: "dht", view: Dht };

// A node that knows fewer others than this, though there are more, is nearly cut off.
const FEW = 8;
const FAILED_MANY = 0.05;

function Dht() {
  const answer = useFigure("dht");
  const { data } = answer;
  return html`<${Heading} title="DHT">What peers find each other by when no tracker answers: each node keeps records for others, and knows some of them.<//>
  ${!data ? html`<${Card}><${Missing} answer=${answer} what="The picture of the DHT" /><//>` : html`<${Judged} data=${data} />
    <${Tiles} items=${[
      { label: "nodes", value: count(data.nodes), detail: `and ${counted(data.clients, "client")}, who only ask` },
      { label: "known to a node", value: data.known_mean.toFixed(1), detail: `on average; ${count(data.known_fewest)} at least` },
      { label: "records", value: count(data.records), detail: data.nodes ? `${count(Math.round(data.records / data.nodes))} a node` : "" },
      { label: "lookups", value: count(data.lookups), detail: "since the nodes began" },
      { label: "found nobody", value: data.lookups ? percent(data.failed_lookups / data.lookups) : "–", tone: isFailing(data) ? "warn" : "", detail: count(data.failed_lookups) },
      { label: "a lookup takes", value: quick(data.lookup_p50_s), detail: data.lookups ? `half of them; 95% take ${quick(data.lookup_p95_s)} at most` : "" },
    ]} />
    <${Known} data=${data} />
    <${Rows} data=${data} />`}`;
}

// Most take less than a tenth of a second.
const quick = (seconds) => seconds !== null && seconds < 0.95 ? `${Math.max(1, Math.round(1000 * seconds))} ms` : span(seconds);

const isFailing = (data) => data.lookups > 0 && data.failed_lookups / data.lookups > FAILED_MANY;

function Judged({ data }) {
  const lonely = data.rows.filter((row) => row.nodes < Math.min(FEW, data.nodes - 1)).length;
  if (!data.nodes) return html`<${Verdict} tone="calm" icon="idle">No node of the DHT has reported yet.<//>`;
  if (lonely) return html`<${Verdict} tone="warn" icon="alert">${counted(lonely, "node knows", "nodes know")} fewer than ${count(Math.min(FEW, data.nodes - 1))} others: without a tracker they would hardly be found.<//>`;
  if (isFailing(data)) return html`<${Verdict} tone="warn" icon="alert">${percent(data.failed_lookups / data.lookups)} of the lookups find nobody.<//>`;
  return html`<${Verdict} tone="good" icon="check">All ${counted(data.nodes, "node")} know ${count(data.known_fewest)} others or more${data.lookups ? `, and ${percent(1 - data.failed_lookups / data.lookups)} of the lookups find somebody` : ""}.<//>`;
}

const columns = [
  { id: "peer", label: "node", isHead: true, cell: (row) => html`<${PeerLink} id=${row.peer} />` },
  { id: "nodes", label: "knows", num: true, value: (row) => row.nodes, cell: (row) => count(row.nodes) },
  { id: "records", label: "records", num: true, value: (row) => row.records, cell: (row) => count(row.records) },
  { id: "lookups", label: "lookups", num: true, narrow: false, value: (row) => row.lookups, cell: (row) => count(row.lookups) },
  { id: "failed", label: "found nobody", num: true, value: (row) => row.failed_lookups, cell: (row) => count(row.failed_lookups) },
  { id: "time", label: "a lookup takes", num: true, narrow: false, value: (row) => row.lookup_s, cell: (row) => quick(row.lookup_s) },
  { id: "site", label: "site", narrow: false, value: (row) => row.site, cell: (row) => html`<${Name} text=${row.site || "–"} one />` },
];

const Rows = ({ data }) => html`<${Card} title="Nodes" note=${data.nodes > data.rows.length ? `the ${count(data.rows.length)} that know the fewest others` : "those that know the fewest others first"} flush>
  <${Table} label="Nodes of the DHT" rows=${data.rows} keyOf=${(row) => row.peer} most=${25} columns=${columns} empty="No node has reported yet." /><//>`;

function Known({ data }) {
  if (data.rows.length < 2) return null;
  return html`<${Figure} title="How many others each node knows" note=${data.nodes > data.rows.length ? `the lowest ${count(data.rows.length)}` : ""}
    says="Nodes by how many others they know: ${count(data.known_fewest)} at least, ${data.known_mean.toFixed(1)} on average" table=${{ columns: columns.slice(0, 2), rows: data.rows, keyOf: (row) => row.peer }}
    picture=${html`<${Canvas} height=${130} says="bars of ${counted(data.rows.length, "node")}, from the fewest known others to the most" deps=${[data.rows]} draw=${(context, width, height) => drawBars(context, width, height, data)} />`} />`;
}

const EDGE = 34;
function drawBars(context, width, height, { rows, known_mean: mean }) {
  const most = Math.max(1, mean, ...rows.map((row) => row.nodes)) * 1.06, floor = height - 4;
  const y = (value) => floor - (value / most) * (floor - 10), wide = (width - EDGE) / rows.length;
  context.font = `11.5px ${getComputedStyle(document.body).fontFamily}`;
  context.textBaseline = "middle";
  context.textAlign = "right";
  context.fillStyle = color("--soft");
  for (const value of [0, Math.floor(most)]) context.fillText(count(value), EDGE - 7, Math.min(floor - 5, y(value)));
  rows.forEach((row, place) => {
    const isFew = row.nodes < Math.min(FEW, rows.length - 1);
    context.fillStyle = color(isFew ? "--series-2" : "--series-1");
    context.fillRect(EDGE + place * wide, y(row.nodes), Math.max(1, wide - (wide > 3 ? 1 : 0)), floor - y(row.nodes));
  });
  context.setLineDash([5, 4]);
  context.strokeStyle = color("--ink");
  context.beginPath();
  context.moveTo(EDGE, y(mean));
  context.lineTo(width, y(mean));
  context.stroke();
  context.textAlign = "left";
  context.fillStyle = color("--ink");
  context.fillText("mean", EDGE + 4, Math.max(7, y(mean) - 8));
}
