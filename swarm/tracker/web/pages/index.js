// The pages, in the order of the navigation. A new page is a module here and one line in this list: see README.md.
import overview from "./overview.js";
import rollout from "./rollout.js";
import alerts from "./alerts.js";
import datasets from "./datasets.js";
import access from "./access.js";
import audit from "./audit.js";

export const pages = [overview, rollout, alerts, datasets, access, audit];
