// A canvas that is as wide as its place, drawn again when what it shows, its width or the theme changes.
import { html, useEffect, useRef, useState } from "./html.js";
import { onChoice } from "./choices.js";

// Its context, empty and as new. A canvas that gets its own size again would be laid out again, and the page with it.
function cleared(canvas, width, height) {
  const scale = devicePixelRatio, context = canvas.getContext("2d");
  const [w, h] = [Math.floor(width * scale), Math.floor(height * scale)];
  if (canvas.width !== w) canvas.width = w;
  if (canvas.height !== h) canvas.height = h;
  if (context.reset) context.reset();
  else canvas.width = w; // an older browser
  context.scale(scale, scale);
  return context;
}

// draw(context, width, height) in CSS pixels; `deps` are what it depends on. onPoint(x, y, event) for moves of the pointer, onPick for clicks, onLeave.
export function Canvas({ draw, deps, height, says, onPoint, onPick, onLeave, name = "" }) {
  const canvas = useRef(null);
  const [theme, setTheme] = useState(0);
  const [width, setWidth] = useState(0);
  useEffect(() => onChoice(() => setTheme((n) => n + 1)), []);
  useEffect(() => {
    const watch = new ResizeObserver(([entry]) => setWidth(Math.floor(entry.contentRect.width)));
    watch.observe(canvas.current.parentElement);
    return () => watch.disconnect();
  }, []);
  const tall = typeof height === "function" ? height(width) : height;
  useEffect(() => {
    if (!width) return;
    draw(cleared(canvas.current, width, tall), width, tall);
  }, [width, tall, theme, ...deps]);
  const at = (take) => take && ((event) => {
    const box = canvas.current.getBoundingClientRect();
    take(event.clientX - box.left, event.clientY - box.top, { width, height: tall });
  });
  return html`<div class="canvas ${name}"><canvas ref=${canvas} role="img" aria-label=${says} style=${{ width: "100%", height: `${tall}px` }}
    onPointerMove=${at(onPoint)} onPointerDown=${at(onPoint)} onClick=${at(onPick)} onPointerLeave=${onLeave}></canvas></div>`;
}

// A small one in a row of a table: as large as its class says, drawn once for each of its values.
export function Small({ draw, deps, says }) {
  const canvas = useRef(null);
  const [theme, setTheme] = useState(0);
  useEffect(() => onChoice(() => setTheme((n) => n + 1)), []);
  useEffect(() => {
    const { clientWidth: width, clientHeight: height } = canvas.current;
    draw(cleared(canvas.current, width, height), width, height);
  }, [theme, ...deps]);
  return html`<canvas ref=${canvas} class="small-canvas" role="img" aria-label=${says}></canvas>`;
}
