// A README, made of elements that are named here and of text: the tracker sends a tree, and no HTML is parsed.
import { html } from "../../lib/html.js";
import { clean } from "../../lib/format.js";

const SAFE = new Set(["p", "ul", "ol", "li", "blockquote", "hr", "table", "thead", "tbody", "tr", "th", "td", "strong", "em", "br", "h3", "h4",
  "h5", "h6", "span"]);
const EMPTY = new Set(["hr", "br"]);
const SCHEMES = /^(https?:\/\/|mailto:)/i;
const LONG = 70_000;

export const Readme = ({ nodes }) => html`<div class="readme" tabindex="0" role="region" aria-label="README">${nodes.map(draw)}</div>`;

function lines(text) {
  return text.split("\n").map((line) => clean(line.replaceAll("\t", "    "), LONG)).join("\n");
}

function draw(node, key) {
  const { tag, text, href, children } = node;
  if (tag === "text") return lines(text);
  if (tag === "code" || tag === "pre") return html`<${tag} key=${key}>${lines(text)}<//>`;
  if (tag === "a" && SCHEMES.test(href)) {
    return html`<a key=${key} href=${href} rel="noopener noreferrer nofollow" target="_blank" title=${clean(href)}>${children.map(draw)}</a>`;
  }
  if (EMPTY.has(tag)) return html`<${tag} key=${key} />`;
  return html`<${SAFE.has(tag) ? tag : "span"} key=${key}>${children.map(draw)}<//>`;
}
