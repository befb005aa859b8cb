// Who looks at this, and what the policy lets them do. Controls are drawn only where it does; the tracker checks anyway.
import { useEffect, useState } from "./html.js";
import { isBundle } from "./bundle.js";
import { VISITOR, useAnswer } from "./store.js";

const MINE = "/api/v1/access/mine";
const SOON_S = 5, OFTEN_S = 300;

// { who, isLet, isOut, error, anywhere(right), isLoading }: `anywhere`, whether there is something on which one has the right;
// `isOut`: nobody is signed in, and there is nothing for nobody. Until the tracker has told that, nothing else is asked.
export function useMe() {
  const [every_s, again] = useState(SOON_S);
  const visitor = useAnswer(VISITOR, every_s);
  useEffect(() => again(visitor.error ? SOON_S : OFTEN_S), [Boolean(visitor.error)]);
  const isLet = isBundle || Boolean(visitor.data?.may_look);
  const mine = useAnswer(isLet ? MINE : null, 60);
  const patterns = mine.data?.patterns ?? {};
  return {
    who: visitor.data?.who ?? null,
    isLet,
    isOut: !isBundle && visitor.data?.may_look === false,
    error: visitor.error,
    isLoading: visitor.isLoading || mine.isLoading,
    anywhere: (right) => (patterns[right] ?? []).length > 0,
    everywhere: (right) => (patterns[right] ?? []).includes("*"),
  };
}

// Rights on one dataset: { may(right) }.
export function useRights(dataset) {
  const { data } = useAnswer(dataset ? `${MINE}?dataset=${encodeURIComponent(dataset)}` : null, 60);
  return { may: (right) => Boolean(data?.rights.includes(right)) };
}
