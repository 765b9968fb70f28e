// Asks the gateway once a second for its status, and shows it.

import { eventItems, moneyTables, processorCards, replicaCards, waitingParts } from "./cards.js";
import { draw } from "./charts.js";
import { $, show } from "./dom.js";
import * as format from "./format.js";
import { ask } from "./gateway.js";
import { keep, knownUpTo } from "./history.js";
import * as payments from "./payments.js";

const POLL_MS = 1000;
const MARKS = { good: "●", warn: "▲", bad: "■" };

let answeredAt = null;
let spokenTone = null;
let controls = null;

async function watch() {
  for (;;) {
    await untilVisible();
    const nextAt = performance.now() + POLL_MS;
    await poll();
    await new Promise((resolve) => { setTimeout(resolve, nextAt - performance.now()); });
  }
}

function untilVisible() {
  if (!document.hidden) return null;
  return new Promise((resolve) => { document.addEventListener("visibilitychange", resolve, { once: true }); });
}

async function poll() {
  const after = knownUpTo();
  try {
    const status = await askTwice(after === null ? "status" : `status?after=${after}`);
    keep(status.history ?? {}, status.at);
    answeredAt = new Date();
    await showStatus(status);
    $("alarm").hidden = true;
    $("main").classList.remove("stale");
  } catch (error) {
    showFailure(error);
  }
}

/** Ask again at once: another replica may answer where one has only just begun, or has ended. */
async function askTwice(path) {
  try {
    return await ask(path);
  } catch {
    return ask(path);
  }
}

async function showStatus(status) {
  tell(status.story.tone, status.story.text);
  draw($("charts"), Object.keys(status.processors));
  show($("processors"), ...processorCards(status));
  show($("replicas"), ...replicaCards(status));
  show($("money"), ...moneyTables(status));
  show($("waiting"), ...waitingParts(status));
  show($("events"), ...eventItems(status));
  payments.update(status);
  $("footer").textContent =
    `Reported by replica ${status.replica}, version ${status.version}, for all replicas, at ${format.clock(status.at)}.`;
  if (!status.controls) return;
  controls ??= await import("./controls.js");
  controls.update($("controls"), status);
}

/** Tell the story in one line; a screen reader hears it only where the tone changes. */
function tell(tone, text) {
  $("header").className = tone;
  $("story").textContent = `${MARKS[tone]} ${text}`;
  if (spokenTone !== tone) $("spoken").textContent = text;
  spokenTone = tone;
}

function showFailure(error) {
  const since = answeredAt ? `since ${format.clock(answeredAt)}` : "yet";
  const reason = error.name === "TimeoutError" ? "no answer in time" : error.message;
  tell("bad", `The gateway does not answer ${since}`);
  const text = `No answer ${since} (${reason}).${answeredAt ? " The figures below are from then." : ""}`;
  if ($("alarm").textContent !== text) $("alarm").textContent = text;
  $("alarm").hidden = false;
  $("main").classList.add("stale");
}

payments.begin();
watch();
