// Where everything begins.
import { html, render } from "./lib/html.js";
import { Shell } from "./lib/shell.js";
import { pages } from "./pages/index.js";

const place = document.getElementById("app");
place.replaceChildren();
render(html`<${Shell} pages=${pages} />`, place);
