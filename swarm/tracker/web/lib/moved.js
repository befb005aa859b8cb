// What an agent gave and took between two of its answers: [when, bytes a second given, taken], or nothing where it has
// begun anew. Of a block that is not whole yet counts what is here: over a slow link nothing is whole for long. What a
// broken run brought comes again, and is no less than nothing meanwhile.
const taken = (told) => told.received_bytes + told.coming_bytes;

export function movedBetween(before, after) {
  const seconds = after.at - before.at;
  if (seconds <= 0 || after.sent_bytes < before.sent_bytes || after.received_bytes < before.received_bytes) return null;
  return [after.at, (after.sent_bytes - before.sent_bytes) / seconds, Math.max(0, taken(after) - taken(before)) / seconds];
}
