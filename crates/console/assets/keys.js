// The keyboard: j and k move through the list, Enter opens, r writes, t takes over or gives back, / searches,
// Esc goes back, Ctrl-K leads anywhere.
// @ts-check
import { fill, near, page } from "./words.js";

/** @param {number} by */
const move = (by) => {
  const rows = /** @type {HTMLElement[]} */ ([...document.querySelectorAll(".row")]);
  const at = rows.findIndex((row) => row === document.activeElement || row.getAttribute("aria-current"));
  const focused = rows.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  rows[Math.min(rows.length - 1, Math.max(0, (focused >= 0 ? focused : at) + by))]?.focus();
};

/** Presses the first of these that is there. @param {string[]} selectors */
const press = (...selectors) => {
  const found = selectors.map((selector) => document.querySelector(selector)).find((one) => one);
  /** @type {HTMLElement | undefined} */ (found)?.click();
};

/** @param {string} id */
const focus = (id) => document.getElementById(id)?.focus();

/** @type {Record<string, () => void>} */
const keys = {
  j: () => move(1),
  k: () => move(-1),
  r: () => focus("text"),
  t: () => press("#head .take"),
  "/": () => focus("q"),
  Escape: () => press("[data-show-panel] .panel [data-panel]", "#replying:not([hidden]) button", "#head .back"),
};

/** Pages, folders and the conversations of the list, by their names; what is typed can be searched for. */
const palette = () => {
  const dialog = document.createElement("dialog");
  dialog.className = "palette";
  dialog.setAttribute("aria-label", fill(page.goTo));
  const input = document.createElement("input");
  input.setAttribute("aria-label", fill(page.goTo));
  input.placeholder = fill(page.goToHint);
  const list = document.createElement("ul");
  dialog.append(input, list);
  /** @type {NodeListOf<HTMLAnchorElement>} */
  const links = document.querySelectorAll("#pages a, #folders a, a.row");
  const places = [...links].map((link) => ({
    name: (link.querySelector(".who") ?? link.querySelector("span") ?? link).textContent?.trim() ?? "",
    href: link.href,
  }));
  const show = () => {
    const typed = input.value.trim();
    const found = places.filter(({ name }) => name.toLowerCase().includes(typed.toLowerCase())).slice(0, 8);
    const href = `/console/inbox?q=${encodeURIComponent(typed)}`;
    if (typed) found.push({ name: fill(page.searchFor, typed), href });
    list.replaceChildren(...found.map(({ name, href }) => {
      const item = document.createElement("li");
      const link = document.createElement("a");
      link.href = href;
      link.textContent = name;
      item.append(link);
      return item;
    }));
  };
  input.addEventListener("input", show);
  dialog.addEventListener("keydown", (event) => {
    const all = [...list.querySelectorAll("a")];
    const at = all.findIndex((link) => link === document.activeElement);
    if (event.key === "Enter" && at < 0) all[0]?.click();
    else if (event.key === "ArrowDown") all[Math.min(at + 1, all.length - 1)]?.focus();
    else if (event.key === "ArrowUp") (at > 0 ? all[at - 1] : input)?.focus();
    else return;
    if (event.key !== "Enter") event.preventDefault();
  });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  show();
  dialog.showModal();
};

document.addEventListener("keydown", (event) => {
  const isPalette = event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey);
  if (isPalette && !document.querySelector("dialog[open]")) {
    event.preventDefault();
    return palette();
  }
  const typing = /** @type {HTMLElement | null} */ (near(event, "input, textarea, select"));
  if (typing && event.key === "Escape") return typing.blur();
  // A dialog has its own keys.
  if (document.querySelector("dialog[open]")) return;
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const menu = document.querySelector("details.menu[open]");
  if (event.key === "Escape" && menu) return menu.removeAttribute("open");
  if (event.key === "Escape" && document.querySelector(":popover-open")) return;
  const run = keys[event.key];
  if (!run) return;
  event.preventDefault();
  run();
});
