// The controls: load, faults and orders that a viewer gives through ops/up. Loaded only where it offers them.

import { make, pill, show, titled } from "./dom.js";
import * as format from "./format.js";
import { ask } from "./gateway.js";

const POLL_MS = 2000;
const RATES = [0, 20, 100, 300, 500];
const DELAY_MS = 1000;
const FAILURE_SHARE = 0.4;
const FORCED = { "forced-open": "Force open", "forced-closed": "Force closed" };

let section = null;
let address = "";
let askedAt = -Infinity;
let latest = null;  // what the gateway has told

/** Show the controls, and ask ops/up for their state where that is old. */
export function update(parent, status) {
  latest = status;
  address = status.controls.replace(/\/$/, "");
  section ??= begin(parent);
  if (performance.now() - askedAt >= POLL_MS) refresh();
}

function begin(parent) {
  const rate = make("input", { type: "range", id: "rate", min: 0, max: 500, step: 1, value: 0 });
  const parts = {
    rate, told: make("output", { htmlFor: "rate" }), sent: make("p", { className: "soft" }),
    rates: make("div", { className: "buttons" }), processors: make("div", { className: "cards" }),
    replicas: make("div", { className: "buttons" }), trouble: make("p", { className: "bad", role: "status" }),
  };
  rate.addEventListener("input", () => { parts.told.textContent = perSecond(rate.value); });
  rate.addEventListener("change", () => order("PUT", "/load", { rate: Number(rate.value) }));
  parent.append(make("section", { ariaLabel: "Controls" },
    make("h2", {}, "Controls"),
    make("div", { className: "load" },
      make("label", { htmlFor: "rate" }, "Load"), rate, parts.told, parts.rates, parts.sent),
    parts.processors,
    make("div", { className: "load" }, make("span", {}, "Replicas"), parts.replicas),
    parts.trouble));
  // Buttons carry their orders, so that they may be made anew at any time.
  parent.addEventListener("click", ({ target }) => {
    const button = target.closest("button");
    if (button) order(...JSON.parse(button.value));
  });
  return parts;
}

const perSecond = (rate) => `${format.count(rate)} payments a second`;

async function order(method, path, body) {
  try {
    section.trouble.textContent = "";
    await ask(address + path, { method, body });
    await refresh();
  } catch (error) {
    section.trouble.textContent = `The order was not carried out: ${error.message}`;
  }
}

async function refresh() {
  askedAt = performance.now();
  try {
    showState(await ask(`${address}/`));
  } catch (error) {
    section.sent.textContent = `ops/up does not answer: ${error.message}`;
  }
}

function showState({ load, processors, replicas, breakers }) {
  if (!section.rate.matches(":active")) {
    section.rate.value = load.rate;
    section.told.textContent = perSecond(load.rate);
  }
  section.sent.textContent =
    `${format.count(load.sent)} sent, ${format.count(load.accepted)} accepted, ${format.count(load.failed)} failed`;
  show(section.rates, ...RATES.map((rate) =>
    button(rate ? format.count(rate) : "Stop", load.rate === rate, "PUT", "/load", { rate })));
  const names = new Set([...Object.keys(processors), ...breakers]);
  show(section.processors, ...[...names].map((name) =>
    processorControls(name, processors[name], breakers.includes(name))));
  show(section.replicas, ...Object.entries(replicas).map(([name, state]) => {
    const text = state === "running" ? `Kill ${name}` : `${name} is ${state}`;
    const kill = button(text, null, "POST", `/replicas/${encodeURIComponent(name)}/kill`);
    kill.disabled = state !== "running";
    return kill;
  }));
}

function processorControls(name, simulated, hasBreaker) {
  const mark = !simulated
    ? pill("not simulated")
    : simulated.plug ? pill("plugged in", "good") : pill("unplugged", "bad");
  return make("fieldset", { className: "card" },
    make("legend", { className: "unseen" }, `Controls of ${name}`),
    titled(name, mark),
    make("div", { className: "buttons" },
      ...(simulated ? faults(name, simulated) : []),
      ...(hasBreaker && latest.allowed.force ? orders(name) : [])));
}

function faults(name, { plug, delayMs, failureShare }) {
  const path = `/processors/${encodeURIComponent(name)}`;
  const set = (text, pressed, change) => button(text, pressed, "PUT", path, change);
  return [
    set("Pull the plug", !plug, { plug: !plug }),
    set(`Delay ${format.ms(delayMs || DELAY_MS)}`, delayMs > 0, { delayMs: delayMs > 0 ? 0 : DELAY_MS }),
    set(`Fail ${format.percent(failureShare || FAILURE_SHARE)}`, failureShare > 0,
      { failureShare: failureShare > 0 ? 0 : FAILURE_SHARE }),
  ];
}

function orders(name) {
  const state = latest.processors[name]?.breaker.state;
  return Object.entries(FORCED).map(([forced, text]) =>
    button(text, state === forced, "PUT", `/breakers/${encodeURIComponent(name)}`,
      { state: state === forced ? "automatic" : forced }));
}

/** Make a button that carries its order; `pressed` is null where it is no switch. */
const button = (text, pressed, ...order) => make("button",
  { type: "button", value: JSON.stringify(order), ...(pressed !== null && { ariaPressed: pressed }) }, text);
