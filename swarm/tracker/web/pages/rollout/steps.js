// What is known of a rollout's log, and a page of it more. Pure.

export const STEPS_MAX = 5000;

// Steps of an answer, with their numbers in the log.
const stepsOf = (page) => page.steps.map(([at, peer, state, words], place) => ({ number: page.first + place, at, peer: page.peers[peer]?.[0] ?? "",
  site: page.peers[peer]?.[1] ?? "", state: page.states[state], words: words ?? "" }));

// { steps, started, total, dropped, acts } of what was known and a page: the last steps, or with `isEarlier` those before. There
// is no gap in it: where more has come than the page has, it begins anew with the page.
export function withPage(known, page, isEarlier) {
  const isSame = Math.abs(known.started - page.started) < 1 && page.total >= known.total; // a tracker that began anew knows less
  const [told, kept] = [stepsOf(page), isSame ? known.steps : []];
  const [before, after] = isEarlier ? [told, kept] : [kept, told];
  const first = after[0]?.number ?? page.total, from = before[0]?.number ?? first;
  const isJoined = before.length > 0 && before.at(-1).number >= first - 1 && from <= first;
  const steps = isJoined ? [...before.slice(0, first - from), ...after] : isEarlier ? kept : told;
  return { steps: isEarlier ? steps.slice(0, STEPS_MAX) : steps.slice(-STEPS_MAX), started: page.started, total: page.total, dropped: page.dropped, acts: page.acts ?? [] };
}
