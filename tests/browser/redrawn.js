// Shows the same again, then something else, and tells how many cells and pictures were drawn each time.
async (base) => {
  const { html, render } = await import(base + "lib/html.js"), { Table } = await import(base + "lib/table.js");
  const { Plot } = await import(base + "lib/chart.js");
  const place = document.body.appendChild(document.createElement("div"));
  const canvas = CanvasRenderingContext2D.prototype, { clearRect: clear, fillText: write } = canvas;
  const marks = [{ x: 1, word: "mark" }], aligned = new Set();
  let cells = 0, pictures = 0, rows = [{ id: 1 }, { id: 2 }], values = [1, 2, 3];
  const x = [1, 2, 3];
  canvas.clearRect = function (...box) {
    if (place.contains(this.canvas)) pictures += 1;
    return clear.apply(this, box);
  };
  canvas.fillText = function (word, ...at) {
    if (word === "mark") aligned.add(this.textAlign);
    return write.call(this, word, ...at);
  };
  const columns = () => [{ id: "id", label: "id", cell: (row) => { cells += 1; return row.id; } }];
  const keyOf = (row) => row.id;
  const show = () => render(html`<${Table} isPure label="rows" rows=${rows} keyOf=${keyOf} columns=${columns()} />
    <${Plot} x=${x} series=${[{ word: "one", values, color: "--ink" }]} marks=${marks} />`, place);
  const drawn = async () => {
    // What follows from a change is done within three frames and the 100 ms that preact gives an effect at most.
    for (let frame = 0; frame < 3; frame += 1) await new Promise(requestAnimationFrame);
    await new Promise((done) => setTimeout(done, 150));
    const told = [cells, Math.sign(pictures)];
    cells = pictures = 0;
    return told;
  };
  show();
  const first = await drawn();
  show();
  const same = await drawn();
  rows = [rows[0], { id: 2 }];
  values = [3, 2, 1];
  show();
  const other = await drawn();
  render(null, place);
  place.remove();
  Object.assign(canvas, { clearRect: clear, fillText: write });
  return { first, same, other, aligned: [...aligned] };
}
