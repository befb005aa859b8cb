// The members: who is enrolled, under which role and labels. Removing one is for admins of everything.
import { html } from "../../lib/html.js";
import { ago, clean, counted, moment, short } from "../../lib/format.js";
import { Card, Confirmed, Missing, PeerLink } from "../../lib/parts.js";
import { toast } from "../../lib/say.js";
import { call, useNow, usePages } from "../../lib/store.js";
import { Table } from "../../lib/table.js";

export function Members({ me }) {
  const now = useNow(30);
  const list = usePages((cursor) => `/api/v1/members${cursor ? `?cursor=${encodeURIComponent(cursor)}` : ""}`, (answer) => answer.members, (answer) => answer.next);
  const remove = async (peer) => {
    await call("DELETE", `/api/v1/members/${encodeURIComponent(peer)}`);
    toast(`${short(peer)} is no member any more.`);
    list.again();
  };
  const labels = (texts) => html`<span class="row">${texts.map((text) => html`<span key=${text} class="label">${clean(text)}</span>`)}</span>`;
  return html`<${Card} title="Members" note=${list.rows.length ? counted(list.rows.length, "member") + (list.more ? " so far" : "") : ""} flush>
    ${list.error ? html`<${Missing} answer=${list} what="The list of members" />` : html`<${Table} label="Members" rows=${list.rows} keyOf=${(row) => row.peer}
      more=${list.more} isLoading=${list.isLoading} empty="There is no member." columns=${[
        { id: "peer", label: "peer", isHead: true, value: (row) => row.peer, cell: (row) => html`<${PeerLink} id=${row.peer} digits=${12} />` },
        { id: "role", label: "role", value: (row) => row.role },
        { id: "site", label: "site", value: (row) => row.site, cell: (row) => clean(row.site) || html`<span class="soft">seen</span>` },
        { id: "labels", label: "labels", narrow: false, cell: (row) => labels(row.labels) },
        { id: "datasets", label: "its token named", narrow: false, cell: (row) => labels(row.datasets) },
        { id: "joined", label: "joined", num: true, narrow: false, value: (row) => row.joined, cell: (row) => html`<time title=${moment(row.joined)}>${ago(row.joined, now)}</time>` },
        ...(me.everywhere("admin") ? [{ id: "remove", label: "", num: true, cell: (row) => html`<${Confirmed} title="Remove the member" tone="is-grave" look="is-quiet" icon="cross"
          asks=${`Peer ${short(row.peer, 16)} will be refused by trackers at once, and by peers as they hear of it. It can come back only with a new token.`}
          act=${() => remove(row.peer)}>Remove<//>` }] : []),
      ]} />`}<//>`;
}
