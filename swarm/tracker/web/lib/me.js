// Who looks at this, and what the policy lets them do. Controls are drawn only where it does; the tracker checks anyway.
import { useAnswer } from "./store.js";

const MINE = "/api/v1/access/mine";

// { who, anywhere(right), isLoading }: `anywhere`, whether there is something on which one has the right.
export function useMe() {
  const who = useAnswer("/api/v1/whoami", 300);
  const mine = useAnswer(MINE, 60);
  const patterns = mine.data?.patterns ?? {};
  return {
    who: who.data ?? null,
    isNobody: Boolean(who.error?.isSignedOut),
    mayNothing: Boolean(who.error?.isSignedOut && mine.error?.isSignedOut),
    isLoading: who.isLoading || mine.isLoading,
    anywhere: (right) => (patterns[right] ?? []).length > 0,
    everywhere: (right) => (patterns[right] ?? []).includes("*"),
  };
}

// Rights on one dataset: { may(right) }.
export function useRights(dataset) {
  const { data } = useAnswer(dataset ? `${MINE}?dataset=${encodeURIComponent(dataset)}` : null, 60);
  return { may: (right) => Boolean(data?.rights.includes(right)) };
}
