// What replicas did in each second of the last five minutes.

export const WINDOW_S = 300;
const OVERLAP_S = 3;  // these are asked for again: a replica may tell of them late

const rows = new Map();  // by second since the epoch: values by name, as "accepted" or "settled/default"

const newest = () => Math.max(...rows.keys());

/** The second after which history is asked for; null asks for all of it. */
export const knownUpTo = () => rows.size ? newest() - OVERLAP_S : null;

/** Keep what a replica has told of the seconds from `history.from` on. */
export function keep(history, at) {
  // A gateway whose clock was put back would never tell of what lies behind the newest second.
  if (rows.size && Date.parse(at) / 1000 < newest() - WINDOW_S / 5) rows.clear();
  for (const [name, told] of Object.entries(history)) {
    if (Array.isArray(told)) keepSeries(name, told, history.from);
    else for (const part of Object.keys(told ?? {})) keepSeries(`${name}/${part}`, told[part], history.from);
  }
  const oldest = newest() - WINDOW_S + 1;
  for (const second of rows.keys()) if (second < oldest) rows.delete(second);
}

function keepSeries(name, values, from) {
  values.forEach((value, index) => {
    const second = from + index;
    if (!rows.has(second)) rows.set(second, {});
    // Another replica may not know what one has told.
    rows.get(second)[name] = value ?? rows.get(second)[name] ?? null;
  });
}

/** All seconds of the window, the oldest first. */
export function seconds() {
  const last = rows.size ? newest() : Math.floor(Date.now() / 1000);
  return Array.from({ length: WINDOW_S }, (_, index) => last - WINDOW_S + 1 + index);
}

/** The values of one series, one for each of these seconds. */
export const values = (name, xs) => xs.map((second) => rows.get(second)?.[name] ?? null);
