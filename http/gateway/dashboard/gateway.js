// Asks the gateway, and the controls that ops/up offers.

const ANSWER_MS_MAX = 4000;

/** Ask for JSON; throws an error whose message says in one line what went wrong. */
export async function ask(path, { method = "GET", body } = {}) {
  const answer = await fetch(path, {
    method, cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS_MAX),
    ...(body && { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } }),
  });
  const told = await answer.text();
  if (answer.ok) return told && JSON.parse(told);
  throw new Error(`${answer.status}: ${problem(told)}`);
}

function problem(told) {
  try {
    const { title, detail } = JSON.parse(told);
    return detail ?? title;
  } catch {
    return "not an answer of the gateway";
  }
}
