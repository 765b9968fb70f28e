// What the gateway tells of its parts: processors, replicas, money, what waits, events.

import { make, pill, terms, titled } from "./dom.js";
import * as format from "./format.js";

const SILENT_S = 3;
const UNKNOWN = "not known";

const TONES = {
  ready: "good", ok: "good", closed: "good", degraded: "warn", "half-open": "warn", unready: "bad", open: "bad",
  "forced-open": "held", "forced-closed": "held",
};
const WAITING = {
  journalled: "room in memory, in the journal", held: "a processor", claiming: "Postgres, for their rows",
  moving: "Postgres, for another processor", settling: "Postgres, for their settlements",
  closing: "Postgres, for their ends", charging: "the end of a charge", pausing: "the end of a pause after a failure",
  "looking up": "an answer whether they were charged", stranded: "an operator",
};

const sum = (numbers) => numbers.reduce((total, each) => total + each, 0);

/** Tell how long ago something was, by the gateway's clock. */
const ago = (since, at) => format.duration((Date.parse(at) - Date.parse(since)) / 1000);

/** Describe each processor. */
export function processorCards({ at, processors, money }) {
  const requests = (name) => sum(Object.values(money ?? {}).map((totals) => totals[name]?.requests ?? 0));
  const all = sum(Object.keys(processors).map(requests));
  return Object.entries(processors).map(([name, processor], index) => {
    const { breaker, health } = processor;
    const share = all ? requests(name) / all : 0;
    const state = breaker.state ?? UNKNOWN;
    const age = breaker.since ? ago(breaker.since, at) : breaker.state ? "since the start" : UNKNOWN;
    const states = new Set(Object.values(breaker.byReplica ?? {}));
    return make("article", { className: `card processor-${index % 6}` },
      titled(name, pill(processor.charges ? `breaker ${state}` : "only asked", TONES[state])),
      make("progress", { max: 1, value: share, ariaLabel: `Share of ${name}` }),
      terms([
        ["share", `${format.percent(share)} of ${format.count(all)}`],
        ["in this state", age],
        ["cause", breaker.cause],
        ["on replicas", states.size > 1 ? describeStates(breaker.byReplica) : null, "warn"],
        ["under way", `${format.count(processor.underWay)} of ${format.count(processor.limit)}`],
        ["failure rate", format.percent(processor.failureRate), processor.failureRate ? "warn" : ""],
        ["slow rate", format.percent(processor.slowRate), processor.slowRate ? "warn" : ""],
        ["latency", format.ms(processor.latencyMs)],
        ["health check", describeHealth(health, at), health?.failing ? "bad" : ""],
        ["fee", format.percent(processor.fee)],
      ]));
  });
}

const describeStates = (byReplica) =>
  Object.entries(byReplica).map(([replica, state]) => `${replica} ${state}`).join(", ");

function describeHealth(health, at) {
  if (!health) return UNKNOWN;
  const answer = health.failing ? "failing" : `up, ${format.ms(health.minResponseMs)} at least`;
  return `${answer}, ${ago(health.at, at)} ago`;
}

/** Describe each replica. */
export function replicaCards({ replicas }) {
  return Object.entries(replicas).map(([name, replica]) => {
    const silent = replica.silentForS > SILENT_S;
    const mark = silent
      ? pill(`silent for ${format.duration(replica.silentForS)}`, "bad")
      : pill(replica.readiness ?? UNKNOWN, TONES[replica.readiness]);
    const memoryMax = replica.memoryMaxMb ? ` of ${format.count(replica.memoryMaxMb)}` : "";
    const full = replica.memoryMaxMb && replica.memoryMb > 0.9 * replica.memoryMaxMb;
    return make("article", { className: `card ${silent ? "silent" : ""}` },
      titled(name, mark),
      terms([
        ["answers a second", format.decimal(replica.answersPerS)],
        ["waiting", format.count(replica.waiting)],
        ["lease", replica.leased ? "held" : "none", replica.leased ? "" : "warn"],
        ["journal", format.bytes(replica.journalBytes)],
        ["memory", format.megabytes(replica.memoryMb) + memoryMax, full ? "warn" : ""],
        ["up for", format.duration(replica.upS)],
        ["version", replica.version],
      ]));
  });
}

/** Describe what was charged and what it cost, currency by currency. */
export function moneyTables({ money, feesPaid, feesCheapest }) {
  if (!money) return [make("p", { className: "soft" }, "unknown while Postgres does not answer")];
  const tables = Object.entries(money).map(([currency, totals]) => make("table", {},
    make("caption", {}, currency),
    make("thead", {}, row("th", "", "payments", "amount", "fees")),
    make("tbody", {}, ...Object.entries(totals).map(([name, { requests, amount, fees }]) =>
      row("td", name, format.count(requests), format.amount(amount, currency), format.amount(fees, currency)))),
    make("tfoot", {}, make("tr", {}, make("td", { colSpan: 4 },
      `fees ${format.money(feesPaid?.[currency], currency)},`,
      ` at the cheapest ${format.money(feesCheapest?.[currency], currency)}`)))));
  return tables.length ? tables : [make("p", { className: "soft" }, "nothing yet")];
}

const row = (cell, name, ...values) => make("tr", {},
  name ? make("th", { scope: "row" }, name) : make("td"),
  ...values.map((value) => make(cell, cell === "th" ? { scope: "col" } : {}, value)));

/** Describe what waits, for what, and which parts of the replica that answers are well. */
export function waitingParts({ waiting, ended, parts, replica }) {
  const reasons = Object.entries(waiting ?? {}).filter(([, payments]) => payments);
  return [
    make("p", { className: "big" }, format.count(waiting && sum(Object.values(waiting)))),
    terms([
      ...reasons.map(([reason, payments]) => [`wait for ${WAITING[reason] ?? reason}`, format.count(payments)]),
      ["unknown outcome for over a minute", ended?.unresolved ? format.count(ended.unresolved) : null, "bad"],
      ["charged twice, in dispute", ended?.disputes ? format.count(ended.disputes) : null, "bad"],
    ]),
    make("h3", {}, `Parts of replica ${replica}, which answers`),
    terms(Object.entries(parts ?? {}).map(([name, state]) => [name, state, TONES[state] ?? "bad"])),
  ];
}

/** Describe what happened, the newest first. */
export const eventItems = ({ events }) => (events ?? []).toReversed().map(({ at, replica, tone, text }) =>
  make("li", { className: tone },
    make("time", { dateTime: at, title: at }, format.clock(at)), " ", make("span", {}, text), " ",
    make("span", { className: "soft" }, `replica ${replica}`)));
