// A support bundle is these pages with what they had been told, in one file. There nothing is asked of any server.
const kept = typeof document === "undefined" ? null : document.getElementById("aetherfs-bundle");

// { made (wall seconds), by, answers: { "/api/...": value } }, or null on a living page.
export const bundle = kept ? JSON.parse(kept.textContent) : null;
export const isBundle = bundle !== null;
