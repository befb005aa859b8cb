// What an agent's page shows of what it takes, a figure an answer: a block of 300 bytes over a slow link, one that is
// broken off, and an agent that began anew.
async (base) => {
  const { movedBetween } = await import(base + "lib/moved.js");
  const told = (at, received_bytes, coming_bytes) => ({ at, received_bytes, coming_bytes, sent_bytes: 0 });
  const slowly = [told(0, 0, 0), told(2, 0, 100), told(4, 0, 200), told(6, 300, 0)];
  const answers = [...slowly, told(8, 300, 50), told(10, 300, 0), told(12, 0, 0)];
  return answers.slice(1).map((answer, at) => movedBetween(answers[at], answer)?.[2] ?? null);
};
