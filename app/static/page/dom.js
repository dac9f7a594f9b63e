// Makes elements. Text goes in as text nodes only, so nothing that a server or a file says is ever markup.

/** An element. `on…` properties are listeners; `data`, `style` and `aria` are objects; others attributes. */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(element.style, value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

let fields = 0;

/** A control with its label above it, and a hint below. */
export function field(label, control, hint = "") {
  control.id = `field-${++fields}`;
  if (hint) control.setAttribute("aria-describedby", `${control.id}-hint`);
  return el("div", { class: "field" }, el("label", { for: control.id }, label), control,
    hint ? el("small", { id: `${control.id}-hint` }, hint) : null);
}

export function select(options, { value, onchange, label } = {}) {
  const made = options.map((one) => {
    const [key, text] = Array.isArray(one) ? one : [one, one];
    return el("option", { value: key }, String(text));
  });
  const element = el("select", { onchange, "aria-label": label }, made);
  if (value !== undefined && value !== null) element.value = value;
  return element;
}

/** A table; `rows` are lists of cells, numbers are set right. */
export function table(head, rows, caption) {
  const hasNumbers = head.map((_, at) => rows.some((row) => typeof row[at] === "number"));
  const side = (at) => (hasNumbers[at] ? "number" : null);
  const cell = (value, at) => el(at ? "td" : "th", { class: side(at), scope: at ? null : "row" }, value instanceof Node ? value : shown(value));
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el("table", {},
      caption ? el("caption", { class: "hidden" }, caption) : null,
      el("thead", {}, el("tr", {}, head.map((one, at) => el("th", { scope: "col", class: side(at) }, one)))),
      el("tbody", {}, rows.map((row) => el("tr", {}, row.map(cell))))));
}

export function shown(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return value.toLocaleString("en");
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

/** What went wrong, where a reader of the screen hears it. */
export function problem(error) {
  return el("p", { class: "error", role: "alert" }, error.message);
}

/** A button that copies a text. */
export function copyButton(text, label = "Copy") {
  return el("button", {
    type: "button",
    onclick: async (event) => {
      const button = event.currentTarget;
      await navigator.clipboard.writeText(text());
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = label; }, 1500);
    },
  }, label);
}

/** Run an action from a button: it is disabled meanwhile, and what goes wrong is shown at `place`. */
export async function working(button, place, action) {
  button.disabled = true;
  place.setAttribute("aria-busy", "true");
  try {
    await action();
  } catch (error) {
    if (error.name !== "AbortError") place.replaceChildren(problem(error));
  } finally {
    button.disabled = false;
    place.removeAttribute("aria-busy");
  }
}

/** Several views of which one is shown, chosen by buttons; follows the keyboard pattern of tabs. */
export function tabs(label, views) {
  const place = el("div", { role: "tabpanel", tabindex: "0" });
  const names = Object.keys(views);
  const choose = (name) => {
    buttons.forEach((button, at) => {
      button.setAttribute("aria-selected", String(names[at] === name));
      button.tabIndex = names[at] === name ? 0 : -1;
    });
    place.setAttribute("aria-label", name);
    place.replaceChildren(views[name]());
  };
  const buttons = names.map((name) => el("button", { type: "button", role: "tab", onclick: () => choose(name) }, name));
  const list = el("div", {
    class: "tabs", role: "tablist", "aria-label": label,
    onkeydown: (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const at = (buttons.indexOf(event.target) + step + names.length) % names.length;
      buttons[at].focus();
      choose(names[at]);
    },
  }, buttons);
  choose(names[0]);
  return el("div", {}, list, place);
}
