// The frame: navigation, the bar above, the page that the address names, and what concerns all of them.
import { html, useEffect, useRef, useState } from "./html.js";
import { bundle, isBundle } from "./bundle.js";
import { choice, choose, useChoice } from "./choices.js";
import { ago, clean, clock } from "./format.js";
import { Help } from "./help.js";
import { Icon } from "./icons.js";
import { bind } from "./keys.js";
import { useFigure, useStatus } from "./live.js";
import { useMe } from "./me.js";
import { Heading, Notice } from "./parts.js";
import { DEFAULT_RANGE, RANGES, go, here, href, hrefHere, rangeOf, useRoute } from "./router.js";
import { saveBundle } from "./saving.js";
import { Toasts, toast } from "./say.js";
import { Search } from "./search.js";
import { useAnswer, useNow } from "./store.js";

const GROUPS = ["Rollouts", "Data", "Swarm", "Governance"];
const THEMES = { auto: "light", light: "dark", dark: "auto" };
const iconOf = { auto: "auto", light: "sun", dark: "moon" };

const signInFrom = () => `/ui/signin?next=${encodeURIComponent(location.pathname + location.search)}`;

// Who is not signed in comes to where one signs in, and from there back here, without having asked for anything.
export function Shell({ pages }) {
  const me = useMe();
  useEffect(() => { if (me.isOut) location.replace(signInFrom()); }, [me.isOut]);
  if (me.isLet && !me.isOut) return html`<${Framed} pages=${pages} me=${me} />`;
  return html`<p class="boot" role="status">${me.error ? clean(me.error.message, 300) : me.isOut ? "Nobody is signed in with this browser." : "AetherFS is loading."}</p>`;
}

function Framed({ pages, me }) {
  const route = useRoute();
  const [opened, open] = useState("");
  const page = pages.find((one) => one.id === route.page);
  const main = useRef(null);
  const shown = `${route.page}/${route.params.join("/")}`;
  const first = useRef(shown);
  const isWall = route.query.has("wall");

  useEffect(() => {
    document.title = `${[...route.params.map((p) => clean(p, 60)).reverse(), page?.title ?? "Not found"].join(" · ")} · AetherFS`;
    if (first.current === shown) return;
    first.current = shown;
    open("");
    scrollTo(0, 0);
    main.current?.focus({ preventScroll: true }); // so that what is read next is the new page
  }, [shown]);
  useEffect(() => { document.documentElement.toggleAttribute("data-wall", isWall); }, [isWall]);
  useEffect(() => {
    const bound = [
      { keys: "/", says: "Search pages, datasets, tags and peers", act: () => open("search") },
      { keys: "?", says: "Show the keys", act: () => open("help") },
      { keys: "t", says: "Change between light, dark and the system's theme", act: nextTheme },
      { keys: "v", says: "Show pictures as tables, or as pictures", act: () => choose("tables", choice("tables") === "on" ? "off" : "on") },
      { keys: "[", says: "Shorter time range", act: () => stepRange(-1) },
      { keys: "]", says: "Longer time range", act: () => stepRange(1) },
      { keys: "w", says: "Wall: big, without controls", act: () => go(hrefHere({ wall: here().query.has("wall") ? null : "1" })) },
      ...pages.filter((one) => one.key).map((one) => ({ keys: `g ${one.key}`, says: `Go to ${one.title}`, act: () => go(href([one.id])) })),
    ].map(bind);
    return () => bound.forEach((unbind) => unbind());
  }, []);

  const View = page?.view;
  const isShut = page?.needs && !me.isLoading && !isBundle && !me.anywhere(page.needs);
  return html`<a class="unseen button" href="#main" onClick=${(event) => { event.preventDefault(); main.current.focus(); }}>Skip to the page</a>
  <div class="shell">
    <${Side} pages=${pages} route=${route} me=${me} isOpen=${opened === "side"} close=${() => open("")} />
    <div class="frame">
      <${Top} page=${page} route=${route} me=${me} opened=${opened} open=${open} />
      <${Staleness} />
      <main id="main" ref=${main} tabindex="-1">
        ${!me.who && !me.isLoading && !isBundle && html`<${Notice} icon="user">Nobody is signed in with this browser.
          <a href=${signInFrom()}>Sign in</a> to see what you may see.<//>`}
        ${!page ? html`<${Heading} title="There is no such page">The address names “${clean(route.page, 60)}”. Look it up with <kbd>/</kbd>.<//>`
          : isShut ? html`<${Heading} title=${page.title}>This page takes the right “${page.needs}”, which the policy does not give you.
            <a href=${href(["access"], { tab: "explain" })}>See why</a>.<//>`
            : html`<${View} key=${page.id} params=${route.params} query=${route.query} me=${me} />`}
      </main>
    </div>
  </div>
  ${opened === "search" && html`<${Search} pages=${pages} me=${me} onClose=${() => open("")} />`}
  ${opened === "help" && html`<${Help} onClose=${() => open("")} />`}
  <${Toasts} />`;
}

function nextTheme() {
  const theme = THEMES[choice("theme")] ?? "auto";
  choose("theme", theme);
  toast(theme === "auto" ? "The theme follows the system." : `The theme is ${theme}.`);
}

function stepRange(by) {
  const names = Object.keys(RANGES);
  const next = names[names.indexOf(rangeOf(here().query)) + by];
  if (next) go(hrefHere({ range: next }));
}

function Side({ pages, route, me, isOpen, close }) {
  const alerts = useAnswer("/api/v1/alerts", 15);
  const firing = (alerts.data?.alerts ?? []).filter((one) => one.state === "firing" && !one.silenced);
  const countOf = (page) => (page.id === "alerts" && firing.length ? html`<span class="count chip tone-bad">${firing.length}
    <span class="unseen">firing</span></span>` : null);
  const visible = pages.filter((page) => !page.needs || isBundle || me.anywhere(page.needs));
  return html`<aside class="side ${isOpen ? "is-open" : ""}" aria-label="AetherFS"
      onKeyDown=${(event) => { if (event.key === "Escape") close(); }}>
    <a class="brand" href=${href(["overview"])}><img src=${document.querySelector("link[rel=icon]").href} alt="" />AetherFS</a>
    <nav aria-label="Pages">${GROUPS.map((group) => {
      const own = visible.filter((page) => page.group === group);
      return own.length > 0 && html`<h2 key=${group}>${group}</h2><ul>${own.map((page) => html`<li key=${page.id}><a class="page"
        href=${href([page.id])} aria-current=${page.id === route.page ? "page" : undefined}>
        <${Icon} name=${page.icon} />${page.title}${countOf(page)}</a></li>`)}</ul>`;
    })}</nav>
    <footer>${isBundle ? html`Saved by ${clean(bundle.by)}` : html`<kbd>/</kbd> search · <kbd>?</kbd> keys`}</footer>
  </aside>`;
}

function Top({ page, route, me, opened, open }) {
  const theme = useChoice("theme");
  const menu = useRef(null);
  const crumbs = page ? (page.crumbs?.(route.params) ?? route.params.map((text, at) => ({ text, to: href([page.id, ...route.params.slice(0, at + 1)]) }))) : [];
  useEffect(() => {
    if (opened !== "menu") return undefined;
    const leave = (event) => { if (event.key === "Escape" || (event.type === "pointerdown" && !menu.current.contains(event.target))) open(""); };
    addEventListener("keydown", leave);
    addEventListener("pointerdown", leave);
    return () => { removeEventListener("keydown", leave); removeEventListener("pointerdown", leave); };
  }, [opened]);
  return html`<header class="top" aria-label="Where you are">
    <button type="button" class="button is-icon menu control" aria-label="Pages" aria-expanded=${opened === "side"}
      onClick=${() => open(opened === "side" ? "" : "side")}><${Icon} name="menu" /></button>
    <nav class="crumbs" aria-label="Path">${[{ text: page?.title ?? "Not found", to: page && href([page.id]) }, ...crumbs].map((crumb, at, all) => html`
      ${at > 0 && html`<span class="sep" aria-hidden="true">/</span>`}
      ${at === all.length - 1 ? html`<span class="here" aria-current="page">${clean(crumb.text, 80)}</span>`
        : html`<a href=${crumb.to}>${clean(crumb.text, 80)}</a>`}`)}</nav>
    <${Live} />
    ${page?.hasRange && html`<label class="control"><span class="unseen">Time range</span><select value=${rangeOf(route.query)}
      onChange=${(event) => go(hrefHere({ range: event.target.value === DEFAULT_RANGE ? null : event.target.value }))}>
      ${Object.keys(RANGES).map((name) => html`<option key=${name} value=${name}>${name}</option>`)}</select></label>`}
    <button type="button" class="button is-icon control" onClick=${() => open("search")}><${Icon} name="search" />
      <span class="unseen">Search</span></button>
    <button type="button" class="button is-icon control wide" onClick=${nextTheme}><${Icon} name=${iconOf[theme] ?? "auto"} />
      <span class="unseen">Theme: ${theme}</span></button>
    <button type="button" class="button is-icon control wide" onClick=${() => open("help")}><${Icon} name="help" /><span class="unseen">Keys and help</span></button>
    <span ref=${menu}><button type="button" class="button is-icon control" aria-expanded=${opened === "menu"} aria-controls="own-menu"
      onClick=${() => open(opened === "menu" ? "" : "menu")}><${Icon} name="user" /><span class="unseen">You and this page</span></button>
    ${opened === "menu" && html`<${Menu} me=${me} open=${open} />`}</span>
  </header>`;
}

function Menu({ me, open }) {
  const who = me.who;
  return html`<div id="own-menu" class="card popover">
    <div class="who">${isBundle ? html`<strong>A saved bundle</strong>` : who ? html`<strong>${clean(`${who.kind}:${who.name}`)}</strong>
      <div class="soft small">${who.groups.length ? `in ${who.groups.map((g) => clean(g)).join(", ")}` : "in no group"}</div>`
      : html`<strong>Nobody</strong><div class="soft small">what anyone may see</div>`}</div>
    <button type="button" class="button is-bare" onClick=${nextTheme}><${Icon} name="sun" />Change the theme</button>
    <button type="button" class="button is-bare" onClick=${() => open("help")}><${Icon} name="help" />Keys and help</button>
    <a class="button is-bare" href=${hrefHere({ wall: "1" })}><${Icon} name="wall" />Show on a wall</a>
    ${!isBundle && html`<button type="button" class="button is-bare" onClick=${() => { open(""); saveBundle(me); }}>
      <${Icon} name="save" />Save a support bundle</button>`}
    ${!isBundle && (who ? html`<form method="post" action="/ui/signout"><button class="button is-bare"><${Icon} name="back" />Sign out</button></form>`
      : html`<a class="button is-bare" href=${signInFrom()}><${Icon} name="user" />Sign in</a>`)}
  </div>`;
}

const WORDS = { live: "live", connecting: "connecting", polled: "every 5 s", idle: "as asked", saved: "saved", stale: "stale" };

function Live() {
  const { state, since } = useStatus();
  const text = state === "stale" ? `stale since ${clock(since)}` : state === "saved" ? `saved ${clock(since)}` : WORDS[state];
  return html`<span class="live is-${state}" title="How new the figures on this page are"><span>${text}</span></span>`;
}

// What is shown may be old: the stream has broken, or the tracker's own picture is behind.
function Staleness() {
  const { state, since } = useStatus();
  const overview = useFigure("overview");
  const now = useNow(5);
  const own = overview.data?.stale_since ?? null;
  if (isBundle) return html`<div class="staleness" role="note">Saved ${ago(bundle.made, Date.now() / 1000)} by ${clean(bundle.by)}: nothing here changes any more.</div>`;
  const told = state === "stale" ? `Stale since ${clock(since)}: the tracker's stream has broken off, and is being taken up again.`
    : own !== null ? `Stale since ${clock(own)} (${ago(own, now)}): ${clean(overview.data.why_stale) || "the tracker does not hear from everybody"}.` : "";
  return html`<div role="status">${told && html`<div class="staleness">${told}</div>`}</div>`;
}
