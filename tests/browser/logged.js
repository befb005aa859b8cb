// Joins pages of a rollout's log, and tells the first and last step of each, and how many there are.
async (base) => {
  const { withPage } = await import(base + "pages/rollout/steps.js");
  const page = (first, count, total) => ({ first, total, started: 5, dropped: 0, states: ["current"],
    peers: [["p", "s"]], steps: Array.from({ length: count }, (_, place) => [first + place, 0, 0, ""]) });
  const none = { steps: [], started: 0, total: 0 }, told = [];
  const span = ({ steps }) => [steps[0]?.number, steps.at(-1)?.number, steps.length];
  const last = withPage(none, page(90, 10, 100), false);
  told.push(span(last), span(withPage(last, page(95, 10, 105), false)));
  told.push(span(withPage(last, page(190, 10, 200), false)));
  told.push(span(withPage(last, page(80, 10, 100), true)), span(withPage(last, page(60, 10, 100), true)));
  told.push(span(withPage(last, page(0, 5, 5), false)));
  return told;
}
