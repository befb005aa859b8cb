// A support bundle: these pages and what they have been told, in one file that opens without a network.
import { pathOf } from "./live.js";
import { answers, call } from "./store.js";
import { toast } from "./say.js";

const EMPTY = "/ui/bundle";
// What is asked for beside what this tab has been told already.
const ASKED = [
  "/api/v1/figures/overview", "/api/v1/figures/rollouts", "/api/v1/figures/peers", "/api/v1/figures/flow", "/api/v1/figures/dht",
  "/api/v1/figures/origin", "/api/v1/figures/events", "/api/v1/alerts", "/api/v1/datasets", "/ui/visitor", "/api/v1/access/mine",
  "/api/v1/figures/series?name=rate_bytes_per_s", "/api/v1/figures/series?name=origin_rate_bytes_per_s",
];
// And for admins alone: others would be refused, which the audit tells.
const OF_ADMINS = ["/api/v1/access", "/api/v1/access/history", "/api/v1/audit", "/api/v1/members", "/api/v1/users", "/api/v1/services", "/api/v1/issuers"];
const EACH_MAX = 30;

// What the pages ask for of each dataset, and of each tag that is followed.
function ofEach(datasets, tags) {
  const encoded = (dataset) => dataset.split("/").map(encodeURIComponent).join("/");
  const baseOf = (dataset) => `/api/v1/datasets/${encoded(dataset)}`;
  return [
    ...datasets.slice(0, EACH_MAX).flatMap((dataset) => [baseOf(dataset), `${baseOf(dataset)}/history`, pathOf(`blocks:${dataset}`),
      `/api/v1/figures/performance/${encoded(dataset)}`]),
    ...tags.slice(0, EACH_MAX).flatMap(({ dataset, tag }) => [pathOf(`rollout:${dataset}:${tag}`), ...["rollout", "plan"].map((what) => `${baseOf(dataset)}/tags/${encodeURIComponent(tag)}/${what}`)]),
  ];
}

export async function saveBundle({ who, everywhere }) {
  try {
    const response = await fetch(EMPTY, { credentials: "same-origin" });
    if (!response.ok) throw new Error(`the tracker answered with status ${response.status}`);
    const empty = await response.text();
    const told = answers();
    await addTo(told, [...ASKED, ...(everywhere("admin") ? OF_ADMINS : [])]);
    await addTo(told, ofEach(told["/api/v1/datasets"]?.datasets ?? [], told["/api/v1/figures/overview"]?.tags ?? []));
    const made = Date.now() / 1000;
    const data = { made, by: who ? `${who.kind}:${who.name}` : "anyone", answers: told };
    download(filled(empty, data), `aetherfs-support-${new Date(made * 1000).toISOString().slice(0, 19).replace(/[T:]/g, "-")}.html`);
    toast("The support bundle is saved. It holds what these pages show you: names, peers and addresses among it.");
  } catch (error) {
    toast(`The bundle was not saved: ${error.message}`, "bad");
  }
}

async function addTo(told, paths) {
  await Promise.all([...new Set(paths)].filter((path) => !(path in told)).map(async (path) => {
    try { told[path] = await call("GET", path); } catch { /* what one may not see is not in it */ }
  }));
}

// In a script element only "<" could end it: JSON may spell it out.
function filled(empty, data) {
  const text = JSON.stringify(data).replaceAll("<", "\\u003c");
  const mark = '<script type="application/json" id="aetherfs-bundle">';
  const at = empty.indexOf(mark) + mark.length;
  return empty.slice(0, at) + text + empty.slice(empty.indexOf("</script>", at));
}

function download(text, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/html" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
