// The keyboard: j and k move through the list, Enter opens, r writes, t takes over or gives back, / searches, Esc goes back.
// @ts-check

/** @param {number} by */
const move = (by) => {
  const rows = /** @type {HTMLElement[]} */ ([...document.querySelectorAll(".row")]);
  const at = rows.findIndex((row) => row === document.activeElement || row.getAttribute("aria-current"));
  const focused = rows.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  rows[Math.min(rows.length - 1, Math.max(0, (focused >= 0 ? focused : at) + by))]?.focus();
};

/** @param {string} selector */
const press = (selector) => /** @type {HTMLElement | null} */ (document.querySelector(selector))?.click();

/** @param {string} id */
const focus = (id) => document.getElementById(id)?.focus();

/** @type {Record<string, () => void>} */
const keys = {
  j: () => move(1),
  k: () => move(-1),
  r: () => focus("text"),
  t: () => press("#head .take"),
  "/": () => focus("q"),
  Escape: () => press("#head .back"),
};

document.addEventListener("keydown", (event) => {
  const target = event.target;
  const isTyping = target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement;
  if (isTyping && event.key === "Escape") return void target.blur();
  // A dialog has its own keys.
  if (document.querySelector("dialog[open]")) return;
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  const run = keys[event.key];
  if (!run) return;
  event.preventDefault();
  run();
});
