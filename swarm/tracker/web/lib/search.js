// Search: "/" from anywhere. Pages say for themselves what can be found on them.
import { html, useEffect, useId, useMemo, useState } from "./html.js";
import { clean } from "./format.js";
import { Icon } from "./icons.js";
import { Dialog } from "./parts.js";
import { go, href } from "./router.js";

const MOST = 30;
const SETTLE_MS = 120;

export function Search({ pages, me, onClose }) {
  const [text, setText] = useState("");
  const [found, setFound] = useState([]);
  const [at, setAt] = useState(0);
  const id = useId();
  const own = useMemo(() => pages.filter((page) => !page.needs || me.anywhere(page.needs)), [pages, me.isLoading]);
  const hits = useMemo(() => {
    const words = text.toLowerCase();
    const named = own.filter((page) => page.title.toLowerCase().includes(words))
      .map((page) => ({ title: page.title, detail: "page", icon: page.icon, href: href([page.id]) }));
    return [...named, ...found].slice(0, MOST);
  }, [text, found, own]);
  useEffect(() => {
    if (!text.trim()) { setFound([]); return undefined; }
    let isOver = false;
    const timer = setTimeout(async () => {
      const lists = await Promise.all(own.filter((page) => page.search).map((page) => page.search(text.trim()).catch(() => [])));
      if (!isOver) setFound(lists.flat());
    }, SETTLE_MS);
    return () => { isOver = true; clearTimeout(timer); };
  }, [text, own]);
  useEffect(() => setAt(0), [text]);
  const onKeyDown = (close) => (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      setAt((at + (event.key === "ArrowDown" ? 1 : hits.length - 1)) % Math.max(1, hits.length));
    } else if (event.key === "Enter" && hits[at]) {
      event.preventDefault();
      close();
      go(hits[at].href);
    }
  };
  return html`<${Dialog} title="Search" name="search" onClose=${onClose}>${(close) => html`<div class="search">
    <input type="search" role="combobox" aria-label="Search pages, datasets, tags and peers" aria-expanded="true" aria-controls=${id}
      aria-autocomplete="list" aria-activedescendant=${hits[at] ? `${id}-${at}` : undefined} autocomplete="off" spellcheck="false" autofocus
      placeholder="Search pages, datasets, tags, peers" value=${text} maxlength="200"
      onInput=${(event) => setText(event.target.value)} onKeyDown=${onKeyDown(close)} />
    <div id=${id} role="listbox" aria-label="Found">${hits.map((hit, place) => html`<div key=${hit.href} id="${id}-${place}" role="option"
        aria-selected=${place === at} onPointerMove=${() => setAt(place)} onClick=${() => { close(); go(hit.href); }}>
      <${Icon} name=${hit.icon ?? "dataset"} /><bdi class="name">${clean(hit.title, 120)}</bdi><span class="detail">${hit.detail}</span></div>`)}</div>
    ${!hits.length && html`<p class="empty" role="status">Nothing is named like this.</p>`}</div>`}<//>`;
}
