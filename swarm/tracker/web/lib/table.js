// Tables: sorted by a click on a head, cut where they are long, scrolled sideways where the screen is narrow.
import { html, useMemo, useState } from "./html.js";
import { NONE, counted } from "./format.js";
import { Icon } from "./icons.js";

const SHOWN = 100;

// columns: [{ id, label, value(row) for sorting, cell(row) what is shown (default the value), num, narrow: false hides it
// on small screens, isHead: names the row }]. `isPure`: a row looks as it did while it is the same object, whatever else has
// changed, and is not drawn again. `most`: rows that are shown at first. `by`: "id" or "-id", how it is sorted at first; none keeps the given order.
export function Table({ columns, rows, keyOf, label, by = "", most: first = SHOWN, empty = "There is nothing.", more = null, isLoading = false, foot, isPure = false }) {
  const [sort, setSort] = useState(by);
  const [most, setMost] = useState(first);
  const id = sort.replace(/^-/, ""), isDown = sort.startsWith("-");
  const sorted = useMemo(() => {
    const column = columns.find((one) => one.id === id);
    if (!column?.value) return rows;
    const order = (a, b) => {
      const [x, y] = [column.value(a), column.value(b)];
      if (x === y) return 0;
      if (x === null || x === undefined) return 1;
      if (y === null || y === undefined) return -1;
      return (x < y ? -1 : 1) * (isDown ? -1 : 1);
    };
    return [...rows].sort(order);
  }, [rows, sort]);
  const shown = sorted.slice(0, most);
  if (!rows.length) return html`<p class="empty" aria-busy=${isLoading}>${isLoading ? "Loading…" : empty}</p>`;
  return html`<div class="scroll" role="region" aria-label=${label} tabindex="0"><table>
    <thead><tr>${columns.map((column) => html`<${Head} key=${column.id} column=${column}
      order=${column.id === id && column.value ? (isDown ? "descending" : "ascending") : undefined}
      onSort=${() => setSort(column.id === id && !isDown ? `-${column.id}` : column.id)} />`)}</tr></thead>
    <tbody>${shown.map((row, place) => html`<${Row} key=${keyOf(row, place)} columns=${columns} row=${row} isPure=${isPure} />`)}</tbody></table></div>
  ${(rows.length > most || more || foot) && html`<div class="table-foot">
    ${foot && html`<span>${foot}</span>`}
    ${rows.length > most && html`<span>${counted(most, "row")} of ${counted(rows.length, "row")}</span>
      <button type="button" class="button" onClick=${() => setMost(most * 5)}>Show more</button>`}
    ${rows.length <= most && more && html`<button type="button" class="button" disabled=${isLoading} onClick=${more}>
      ${isLoading ? "Loading…" : "Load more"}</button>`}</div>`}`;
}

function Row({ columns, row, isPure }) {
  return useMemo(() => html`<tr>${columns.map((column) => {
    const kind = `${column.num ? "num" : ""} ${column.narrow === false ? "hide-narrow" : ""}`;
    const content = column.cell ? column.cell(row) : column.value(row) ?? NONE;
    return column.isHead ? html`<th key=${column.id} scope="row" class=${kind}>${content}</th>`
      : html`<td key=${column.id} class=${kind}>${content}</td>`;
  })}</tr>`, [row, isPure || columns]);
}

const Head = ({ column, order, onSort }) => html`<th scope="col" aria-sort=${order}
    class="${column.num ? "num" : ""} ${column.narrow === false ? "hide-narrow" : ""}">
  ${column.value ? html`<button type="button" onClick=${onSort}>${column.label}
    <${Icon} name=${order === "descending" ? "down" : "up"} /></button>` : column.label}</th>`;
