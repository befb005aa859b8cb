// A support bundle is these pages with what they had been told, in one file. There nothing is asked of any server.
const element = typeof document === "undefined" ? null : document.getElementById("aetherfs-bundle");

// { made (wall seconds), by, answers: { "/api/...": value } }, or null on a living page.
export const bundle = element ? JSON.parse(element.textContent) : null;
export const isBundle = bundle !== null;

// What was told to a question, or to the same one about another stretch of time or number of rows; undefined for none.
export function kept(path) {
  if (Object.hasOwn(bundle.answers, path)) return bundle.answers[path];
  byQuestion ??= new Map(Object.entries(bundle.answers).map(([asked, answer]) => [questionOf(asked), answer]));
  return byQuestion.get(questionOf(path));
}

let byQuestion = null;
function questionOf(path) {
  const [base, search = ""] = path.split("?", 2), query = new URLSearchParams(search);
  for (const name of ["since", "limit"]) query.delete(name);
  query.sort();
  return `${base}?${query}`;
}
