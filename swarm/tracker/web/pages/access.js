// Access: why somebody may do something, or may not; for admins also the rules, their history, and who the members are.
import { html } from "../lib/html.js";
import { Heading, Tabs } from "../lib/parts.js";
import { href } from "../lib/router.js";
import { Explain } from "./access/explain.js";
import { Members } from "./access/members.js";
import { People } from "./access/people.js";
import { History, Rules } from "./access/rules.js";

export default { id: "access", title: "Access", group: "Governance", key: "a", icon: "access", view: Access };

const PARTS = { rules: [Rules, "Rules"], explain: [Explain, "Explain"], history: [History, "History"], members: [Members, "Members"], people: [People, "People and services"] };

function Access({ query, me }) {
  const isAdmin = me.anywhere("admin");
  const shown = isAdmin ? Object.keys(PARTS) : ["explain"];
  const asked = query.get("tab");
  const tab = shown.includes(asked) ? asked : shown[0];
  const [View] = PARTS[tab];
  return html`<${Heading} title="Access">Nobody may do anything but what a rule gives: (subject, right, pattern of datasets).<//>
  <${Tabs} label="Parts of access" items=${shown.map((name) => ({ title: PARTS[name][1], to: href(["access"], { tab: name === shown[0] ? null : name }), isHere: tab === name }))} />
  <${View} query=${query} me=${me} />`;
}
