// Elements made, and kept up to date.

export const $ = (id) => document.getElementById(id);

/** Make an element with these properties (as the DOM names them) and children. */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** Show these children and no others; what stands there is changed in place, so that focus and selection stay. */
export function show(parent, ...children) {
  children.forEach((child, index) => {
    const old = parent.childNodes[index];
    if (!old) parent.append(child);
    else if (!old.isEqualNode(child)) change(old, child);
  });
  while (parent.childNodes.length > children.length) parent.lastChild.remove();
}

function change(old, fresh) {
  if (old.nodeName !== fresh.nodeName || old.nodeType !== Node.ELEMENT_NODE) {
    old.replaceWith(fresh);
    return;
  }
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  show(old, ...fresh.childNodes);
}

/** Make a list of names and values: of each [name, value, tone]; a value that is null is left out. */
export function terms(pairs) {
  return make("dl", {}, ...pairs.filter(([, value]) => value !== null).flatMap(([name, value, tone = ""]) => [
    make("dt", {}, name), make("dd", { className: tone }, value)]));
}

/** Make a mark with a dot of a tone's colour. */
export const pill = (text, tone = "") => make("span", { className: `pill ${tone}` }, text);

/** Make a title with a mark beside it. */
export const titled = (name, mark) => make("div", { className: "row" }, make("h3", {}, name), mark);
