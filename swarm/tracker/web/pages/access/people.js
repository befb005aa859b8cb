// Who may sign in: people with a password, API tokens of services, issuers whose people are believed.
import { html } from "../../lib/html.js";
import { ago, clean, moment, short } from "../../lib/format.js";
import { Card, Confirmed, Missing, Name } from "../../lib/parts.js";
import { toast } from "../../lib/say.js";
import { call, reload, useAnswer, useNow } from "../../lib/store.js";
import { Table } from "../../lib/table.js";

const groups = (row) => html`<span class="row">${row.groups.map((text) => html`<span key=${text} class="label">${clean(text, 80)}</span>`)}</span>`;

export function People({ me }) {
  const now = useNow(30);
  const users = useAnswer("/api/v1/users", 30), services = useAnswer("/api/v1/services", 30), issuers = useAnswer("/api/v1/issuers", 60);
  const mayChange = me.everywhere("admin");
  const gone = async (path, told) => { await call("DELETE", path); await reload("/api/v1/users", "/api/v1/services"); toast(told); };
  const when = (at) => html`<time title=${moment(at)}>${ago(at, now)}</time>`;
  return html`<div class="stack">
  <${Card} title="People" note="who signs in with a password" flush>${!users.data ? html`<${Missing} answer=${users} what="The list of people" />` : html`<${Table} label="People"
    rows=${users.data.users} keyOf=${(row) => row.name} by="name" empty=${html`Nobody. Let somebody sign in with <code>aetherfs user add NAME</code>.`} columns=${[
      { id: "name", label: "name", isHead: true, value: (row) => row.name, cell: (row) => html`<${Name} text=${row.name} />` },
      { id: "groups", label: "groups", cell: groups },
      { id: "changed", label: "changed", num: true, narrow: false, value: (row) => row.changed, cell: (row) => when(row.changed) },
      ...(mayChange ? [{ id: "remove", label: "", num: true, cell: (row) => html`<${Confirmed} title="Remove the user" tone="is-grave" look="is-quiet" icon="cross"
        asks=${`${clean(row.name)} is signed out everywhere and cannot sign in again.`} act=${() => gone(`/api/v1/users/${encodeURIComponent(row.name)}`, `${row.name} is removed.`)}>Remove<//>` }] : []),
    ]} />`}<//>
  <${Card} title="Services" note="API tokens" flush>${!services.data ? html`<${Missing} answer=${services} what="The list of services" />` : html`<${Table} label="Services"
    rows=${services.data.services} keyOf=${(row) => row.id} by="name" empty=${html`None. Make one with <code>aetherfs service add NAME</code>.`} columns=${[
      { id: "name", label: "name", isHead: true, value: (row) => row.name, cell: (row) => html`<${Name} text=${row.name} />` },
      { id: "id", label: "token", narrow: false, cell: (row) => html`<code>${short(row.id, 16)}</code>` },
      { id: "groups", label: "groups", cell: groups },
      { id: "expires", label: "ends", num: true, value: (row) => row.expires, cell: (row) => moment(row.expires) },
      ...(mayChange ? [{ id: "remove", label: "", num: true, cell: (row) => html`<${Confirmed} title="Revoke the token" tone="is-grave" look="is-quiet" icon="cross"
        asks=${`Token ${short(row.id, 16)} of ${clean(row.name)} counts no more.`} act=${() => gone(`/api/v1/services/${encodeURIComponent(row.id)}`, "The token is revoked.")}>Revoke<//>` }] : []),
    ]} />`}<//>
  <${Card} title="Issuers" note="of OpenID Connect" flush>${!issuers.data ? html`<${Missing} answer=${issuers} what="The list of issuers" />` : html`<${Table} label="Issuers"
    rows=${issuers.data.issuers} keyOf=${(row) => row.name} empty="None." columns=${[
      { id: "name", label: "name", isHead: true, cell: (row) => html`<${Name} text=${row.name} />` },
      { id: "issuer", label: "address", cell: (row) => html`<${Name} text=${row.issuer} mono />` },
      { id: "audience", label: "audience", narrow: false, cell: (row) => html`<${Name} text=${row.audience} mono />` },
    ]} />`}<//></div>`;
}
