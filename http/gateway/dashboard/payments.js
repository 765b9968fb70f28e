// The history of one payment, and the lists of payments that do not settle by themselves.

import { $, make, pill, terms } from "./dom.js";
import * as format from "./format.js";
import { ask } from "./gateway.js";

const ID = /^#([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/i;
const PAGE = 20;
const LISTS = {
  unknown: "Unknown whether charged", stranded: "Stranded: their processor is not configured any more",
  declined: "Declined by all processors", mismatched: "Mismatched: a processor holds another amount",
};
const TONES = {
  settled: "good", accepted: "held", unknown: "warn", stranded: "bad", declined: "bad", mismatched: "bad",
};

let allowed = null;  // until the first status
let processors = [];
let counts = {};

/** Make the lists; a payment is found by its id, which then stands in the page's address. */
export function begin() {
  $("lists").append(...Object.entries(LISTS).map(([state, title]) => paymentList(state, title)));
  $("finder").addEventListener("submit", (event) => {
    event.preventDefault();
    const address = `#${$("wanted").value.trim()}`;
    if (location.hash === address) find();
    else location.hash = address;
  });
  addEventListener("hashchange", find);
}

/** Take over what is allowed, which processors there are, and how many payments each list has. */
export function update(status) {
  const first = allowed === null;
  ({ allowed } = status);
  processors = Object.keys(status.processors);
  counts = { ...status.ended, unknown: status.ended?.unresolved, stranded: status.waiting?.stranded };
  for (const list of $("lists").children) {
    const payments = counts[list.dataset.state];
    list.querySelector("summary b").textContent = payments ? format.count(payments) : "";
  }
  if (first) find();
}

async function find() {
  const [, id] = ID.exec(location.hash) ?? [];
  if (!id) return;
  $("wanted").value = id;
  try {
    const payment = await withItsWay(await ask(`payments/${id}`));
    if (ID.exec(location.hash)?.[1] !== id) return;  // another one was asked for meanwhile
    // Replaced whole: what a form does is about its own payment.
    $("found").replaceChildren(paymentView(payment));
    $("found").scrollIntoView({ block: "nearest" });
  } catch (error) {
    $("found").replaceChildren(make("p", { className: "bad" }, error.message));
  }
}

/** Add the history of a payment, which the answer about the payment itself does not hold. */
async function withItsWay(payment) {
  if (payment.history) return payment;
  try {
    const { steps, waitsFor } = await ask(`payments/${payment.correlationId}/history`);
    return { ...payment, history: steps, waitsFor };
  } catch (error) {
    return { ...payment, waitsFor: `Its history is not known: ${error.message}` };
  }
}

function paymentList(state, title) {
  const items = make("div");
  const list = make("details", {}, make("summary", {}, title, " ", make("b")), items);
  list.dataset.state = state;
  list.addEventListener("toggle", () => {
    if (list.open) listPage(items, state);
  });
  return list;
}

async function listPage(items, state, cursor = null) {
  const wanted = new URLSearchParams({ state, limit: PAGE, ...(cursor && { cursor }) });
  try {
    const { payments, next } = await ask(`payments?${wanted}`);
    const more = make("button", { type: "button" }, "More");
    more.addEventListener("click", () => { more.remove(); listPage(items, state, next); });
    if (!cursor) items.replaceChildren();
    items.append(...payments.map(paymentItem), ...(next ? [more] : []));
    if (!items.children.length) items.append(make("p", { className: "soft" }, "none"));
  } catch (error) {
    items.append(make("p", { className: "bad" }, error.message));
  }
}

const paymentItem = (payment) => make("details", { className: "item" },
  make("summary", {}, make("code", {}, payment.correlationId), " ", format.money(payment.amount, payment.currency)),
  paymentView(payment),
  make("a", { href: `#${payment.correlationId}` }, "its history"));

function paymentView(payment) {
  const { correlationId, amount, currency, state, processor, acceptedAt, requestedAt, attempts, replica } = payment;
  const refused = payment.refusedAmounts?.map((each) =>
    format.money(each.amount ?? each, each.currency ?? currency)).join(", ") ?? null;
  return make("article", { className: "payment" },
    make("div", { className: "row" }, make("code", {}, correlationId), pill(state, TONES[state])),
    ...(payment.waitsFor ? [make("p", { className: "waits" }, payment.waitsFor)] : []),
    terms([
      ["amount", format.money(amount, currency)],
      ["processor", processor ?? "none"],
      ["accepted", format.instant(acceptedAt)],
      ["charged as of", requestedAt ? format.instant(requestedAt) : null],
      ["sent to processors", attempts == null ? "not known" : `${format.count(attempts)} times`],
      ["driven by replica", replica ?? "not known"],
      ["refused amounts", refused, "warn"],
    ]),
    ...(payment.history ? [steps(payment.history)] : []),
    ...(allowed?.resolve && state in LISTS ? [resolveForm(payment)] : []));
}

const steps = (history) => make("ol", { className: "history" }, ...history.map(({ at, what, processor, replica }) => {
  const when = at
    ? make("time", { dateTime: at, title: at }, format.instant(at))
    : make("span", { className: "soft" }, "instant not known");
  const who = [processor, replica && `replica ${replica}`].filter(Boolean).join(", ");
  return make("li", {}, when, " ", make("b", {}, what), " ", make("span", { className: "soft" }, who));
}));

/** Ask an operator what became of a payment. */
function resolveForm({ correlationId, processor }) {
  const names = [...new Set([...processors, ...(processor ? [processor] : [])])];
  const chargedBy = make("select", { required: true },
    make("option", { value: "" }, "choose …"), make("option", { value: "nobody" }, "nobody: charge it anew"),
    ...names.map((name) => make("option", { value: `by ${name}` }, name)));
  const requestedAt = make("input", {
    placeholder: "2025-07-15T12:34:56.789Z", disabled: true, required: true, autocomplete: "off" });
  const by = make("input", { required: true, maxLength: 100 });
  const result = make("p", { role: "status" });
  chargedBy.addEventListener("change", () => { requestedAt.disabled = !chargedBy.value.startsWith("by "); });
  const form = make("form", { className: "resolve" },
    make("label", {}, "Charged by ", chargedBy), make("label", {}, "at (as its books say) ", requestedAt),
    make("label", {}, "Your name ", by), make("button", {}, "Resolve"), result);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const charged = requestedAt.disabled
      ? { chargedBy: null }
      : { chargedBy: chargedBy.value.slice(3), requestedAt: requestedAt.value.trim() };
    try {
      await ask(`payments/${correlationId}/resolution`, { method: "POST", body: { ...charged, by: by.value } });
      result.textContent = "Resolved.";
    } catch (error) {
      result.textContent = error.message;
    }
  });
  return form;
}
