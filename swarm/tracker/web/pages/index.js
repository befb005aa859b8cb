// The pages, in the order of the navigation. A new page is a module here and one line in this list: see README.md.
import overview from "./overview.js";
import rollout from "./rollout.js";
import alerts from "./alerts.js";
import datasets from "./datasets.js";
import blocks from "./blocks.js";
import peers from "./peers.js";
import flow from "./flow.js";
import dht from "./dht.js";
import origin from "./origin.js";
import access from "./access.js";
import audit from "./audit.js";

export const pages = [overview, rollout, alerts, datasets, blocks, peers, flow, dht, origin, access, audit];
