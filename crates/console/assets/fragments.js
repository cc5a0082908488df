// Keeps the page live: fragments come over Server-Sent Events, and as answers to forms.
// @ts-check
import { say, signedIn, sure, token } from "./notices.js";
import { fill, near, page } from "./words.js";

const body = document.body;

/** @param {string} html @returns {Element[]} */
const parse = (html) => {
  const template = document.createElement("template");
  template.innerHTML = html;
  return [...template.content.children];
};

/**
 * Puts fragments where they belong. What came live meanwhile is newer than the answer to a form.
 * @param {string} html @param {boolean} [isAnswer] @returns {Element[]} those that are in the page now
 */
export const apply = (html, isAnswer = false) => {
  const scroll = document.getElementById("scroll");
  const wasAtEnd = !!scroll && scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 80;
  const placed = [];
  let isNew = false;
  for (const part of parse(html)) {
    if (!(part instanceof HTMLElement) || !isWanted(part)) continue;
    if (part.dataset.reload !== undefined) {
      location.reload();
      continue;
    }
    if (part.dataset.fetch) {
      if (part.dataset.of && !document.getElementById(part.dataset.of)) continue;
      fetchSoon(part.dataset.fetch);
      continue;
    }
    const old = part.id ? document.getElementById(part.id) : null;
    if (isAnswer && old?.classList.contains("bubble")) continue;
    const into = part.dataset.into ? document.getElementById(part.dataset.into) : null;
    if (old && part.dataset.place === "first" && into) {
      const focused = old === document.activeElement ? part : keepTyped(old, part);
      old.remove();
      into.insertBefore(part, before(into, part.dataset.at));
      focused?.focus();
    } else if (old) {
      const focused = keepTyped(old, part);
      old.replaceWith(part);
      // A dialog that is replaced stays open.
      if (old instanceof HTMLDialogElement && old.open && part instanceof HTMLDialogElement) part.showModal();
      focused?.focus();
    } else if (into) {
      if (isAbove(into, part)) continue;
      into.querySelector(".empty")?.remove();
      const place = part.dataset.place === "first" ? before : after;
      into.insertBefore(part, place(into, part.dataset.at));
      isNew ||= part.classList.contains("bubble");
    } else continue;
    placed.push(part);
  }
  for (const part of placed) {
    localize(part);
    // What takes several calls goes on by itself.
    if (part.id === "bulk") part.querySelector("form")?.requestSubmit();
    const { most } = part.parentElement?.dataset ?? {};
    while (most && part.parentElement && part.parentElement.childElementCount > Number(most)) part.parentElement.lastElementChild?.remove();
  }
  parted();
  // Whether people may write has changed: the composer is another one. Drafts are kept.
  const head = placed.find((part) => part.id === "head");
  const writes = document.getElementById("composer")?.dataset.open;
  if (head instanceof HTMLElement && writes !== undefined && head.dataset.open !== writes) location.reload();
  const hint = document.querySelector("#hint time[data-left]");
  if (head instanceof HTMLElement && head.dataset.until && hint instanceof HTMLTimeElement) {
    hint.dateTime = head.dataset.until;
    localize(hint);
  }
  if (scroll && wasAtEnd) scroll.scrollTop = scroll.scrollHeight;
  else if (isNew) toldOfNew();
  return placed;
};

/** What a field had at first. @param {HTMLInputElement | HTMLSelectElement} field */
const initial = (field) =>
  field instanceof HTMLSelectElement
    ? ([...field.options].find((option) => option.defaultSelected) ?? field.options[0])?.value
    : field.defaultValue;

/** What is being typed goes over to what replaces it. @param {Element} old @param {Element} fresh */
const keepTyped = (old, fresh) => {
  /** @type {HTMLElement | null} */
  let focused = null;
  /** @type {NodeListOf<HTMLInputElement>} */
  const fields = old.querySelectorAll("input:not([type=hidden]), textarea, select");
  for (const field of fields) {
    const value = field.type === "checkbox" ? `[value="${field.value}"]` : "";
    /** @type {HTMLInputElement | null | undefined} */
    const same = mate(field, old, fresh)?.querySelector(`${field.tagName}[name="${field.name}"]${value}`);
    if (!same) continue;
    if (field.type === "checkbox") {
      if (field.checked !== field.defaultChecked) same.checked = field.checked;
    } else if (field.value !== initial(field)) same.value = field.value;
    if (field === document.activeElement) focused = same;
  }
  // What was opened stays open.
  for (const part of old.querySelectorAll("details[open]:not(.menu)")) {
    const home = part.parentElement?.closest("[id]") ?? old;
    const place = [...home.querySelectorAll("details")].indexOf(/** @type {HTMLDetailsElement} */ (part));
    const same = mate(part, old, fresh)?.querySelectorAll("details")[place];
    if (same) same.open = true;
  }
  return focused;
};

/** What takes the place of that which a part is in. @param {Element} part @param {Element} old @param {Element} fresh */
const mate = (part, old, fresh) => {
  const home = part.parentElement?.closest("[id]");
  return home && home !== old ? fresh.querySelector(`#${CSS.escape(home.id)}`) : fresh;
};

/** While a pointer is down nothing is replaced: a click would miss it. @type {{ over: Promise<void>, end: () => void } | null} */
let press = null;
/** Resolves when no pointer is down, in the order of the calls. */
const released = () => press?.over ?? Promise.resolve();
addEventListener("pointerdown", () => {
  if (press) return;
  let end = () => {};
  const over = /** @type {Promise<void>} */ (new Promise((done) => (end = done)));
  const mine = { over, end };
  press = mine;
  // Some presses are never told to end.
  setTimeout(() => {
    end();
    if (press === mine) press = null;
  }, 2000);
}, true);
for (const name of ["pointerup", "pointercancel", "contextmenu", "dragend", "blur"]) {
  addEventListener(name, (event) => {
    // A field that loses the focus is no end of it; the window is.
    if (name === "blur" && event.target !== window) return;
    // The click comes right after it.
    setTimeout(() => {
      press?.end();
      press = null;
    }, 50);
  }, true);
}

/** Many changes at once are fetched once. @type {Map<string, number>} */
const soon = new Map();
/** @param {string} url */
const fetchSoon = (url) => {
  if (soon.has(url)) return;
  const fetching = () => {
    soon.delete(url);
    fetchFragments(url).then(async (html) => {
      await released();
      apply(html);
    }, () => {});
  };
  soon.set(url, window.setTimeout(fetching, 300));
};

/** The first that is later. @param {HTMLElement} into @param {string | undefined} at */
const after = (into, at) => {
  const all = /** @type {HTMLElement[]} */ ([...into.children]);
  return (at && all.find((one) => one.dataset.at && one.dataset.at > at)) || null;
};

/**
 * The first that is not later, of what has the newest first: what is told twice moves nothing.
 * @param {HTMLElement} into @param {string | undefined} at
 */
const before = (into, at) => {
  const all = /** @type {HTMLElement[]} */ ([...into.children]);
  return all.find((one) => !one.dataset.at || !at || one.dataset.at <= at) ?? null;
};

/** Whether older messages bring it, when they are asked for. @param {HTMLElement} into @param {HTMLElement} part */
const isAbove = (into, part) => {
  if (into.id !== "messages" || !document.getElementById("older")) return false;
  const oldest = into.querySelector("[data-at]");
  return oldest instanceof HTMLElement && !!part.dataset.at && part.dataset.at < (oldest.dataset.at ?? "");
};

/** A line above each new day, as days begin where the reader is. */
const parted = () => {
  const list = document.getElementById("messages");
  let day = "";
  /** @type {HTMLElement | null} */
  let line = null;
  for (const item of /** @type {HTMLElement[]} */ ([...(list?.children ?? [])])) {
    if (item.classList.contains("day")) {
      line?.remove();
      line = item;
    } else if (item.dataset.at) {
      const at = new Date(item.dataset.at);
      if (at.toDateString() !== day) {
        day = at.toDateString();
        if (line?.dataset.day !== day) item.before(lineOf(at));
        else line = null;
      }
      line?.remove();
      line = null;
    }
  }
  line?.remove();
};

/** @param {Date} at */
const lineOf = (at) => {
  const line = document.createElement("li");
  line.className = "day";
  line.dataset.day = at.toDateString();
  const time = document.createElement("time");
  time.dateTime = at.toISOString();
  time.dataset.day = "";
  line.append(time);
  localize(line);
  return line;
};

/** Parts of a conversation are for the one that is open. @param {HTMLElement} part */
const isWanted = (part) => {
  const chat = document.getElementById("thread")?.dataset.chat;
  return !["head", "thinking", "panel"].includes(part.id) || part.dataset.chat === chat;
};

let unseen = 0;
const newer = () => document.getElementById("newer");
const toldOfNew = () => {
  const button = newer();
  if (!button) return;
  unseen += 1;
  button.textContent = fill(unseen === 1 ? button.dataset.one : button.dataset.several, unseen);
  button.hidden = false;
};

const toEnd = () => {
  const scroll = document.getElementById("scroll");
  if (scroll) scroll.scrollTop = scroll.scrollHeight;
  unseen = 0;
  const button = newer();
  if (button) button.hidden = true;
};

// Times in the reader's time zone.
const clock = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit" });
const date = new Intl.DateTimeFormat([], { weekday: "short", day: "numeric", month: "short" });
const whole = new Intl.DateTimeFormat([], { dateStyle: "medium", timeStyle: "short" });
const exact = new Intl.DateTimeFormat([], { timeStyle: "medium" });
const day = new Intl.DateTimeFormat([], { weekday: "short", hour: "2-digit" });
const today = () => new Date().toDateString();

/** @param {HTMLTimeElement} time */
const show = (time) => {
  const at = new Date(time.dateTime);
  if (Number.isNaN(at.getTime())) return;
  time.title = at.toLocaleString();
  const isToday = at.toDateString() === today();
  if (time.dataset.ago !== undefined) time.textContent = whole.format(at);
  else if (time.dataset.left !== undefined) time.textContent = fill(page.left, span(at.getTime() - Date.now()));
  else if (time.dataset.since !== undefined) time.textContent = fill(page.ago, span(Date.now() - at.getTime()));
  else if (time.dataset.exact !== undefined) time.textContent = exact.format(at);
  else if (time.dataset.axis !== undefined) time.textContent = isToday ? clock.format(at) : day.format(at);
  else if (time.dataset.day !== undefined) time.textContent = isToday ? fill(page.today) : date.format(at);
  else time.textContent = time.closest(".row") && !isToday ? date.format(at) : clock.format(at);
};

/** @param {number} millis */
const span = (millis) => {
  const minutes = Math.max(0, Math.ceil(millis / 60000));
  const hours = Math.floor(minutes / 60);
  const inHours = hours && fill(page.hours, hours);
  const inMinutes = (minutes % 60 || !hours) && fill(page.minutes, minutes % 60);
  return [inHours, inMinutes].filter(Boolean).join(" ");
};

/** @param {ParentNode & Element} root */
const localize = (root) => {
  if (root instanceof HTMLTimeElement) show(root);
  for (const time of root.querySelectorAll("time")) show(time);
  for (const bar of /** @type {NodeListOf<SVGElement>} */ (root.querySelectorAll("g[data-at]"))) {
    const title = bar.querySelector("title");
    const words = (bar.dataset.words ??= title?.textContent ?? "");
    if (title) title.textContent = `${whole.format(new Date(bar.dataset.at ?? ""))}: ${words}`;
  }
  // What is fetched every few seconds, while somebody looks.
  for (const part of /** @type {NodeListOf<HTMLElement>} */ (root.parentElement?.querySelectorAll("[data-every]") ?? [])) {
    if (part.dataset.begun !== undefined) continue;
    part.dataset.begun = "";
    const again = () => {
      if (!part.isConnected) return;
      if (document.visibilityState === "visible" && !document.querySelector("dialog.ask")) fetchSoon(part.dataset.again ?? "");
      setTimeout(again, Number(part.dataset.every) * 1000);
    };
    setTimeout(again, Number(part.dataset.every) * 1000);
  }
};

/** What went wrong, in words. @param {string} text @param {Response} response */
const said = (text, response) => {
  if (!response.headers.get("content-type")?.includes("json")) return parse(text)[0]?.textContent;
  const { title, detail } = JSON.parse(text);
  return detail || title;
};

/** Fetches fragments. @param {string} url @param {RequestInit} [init] @returns {Promise<string>} */
export const fetchFragments = async (url, init = {}) => {
  const place = new URLSearchParams();
  const inbox = document.getElementById("inbox")?.dataset;
  for (const name of ["folder", "q"]) if (inbox?.[name]) place.set(name, inbox[name]);
  const ours = { "x-fragment": "1", "x-csrf-token": body.dataset.csrf ?? "", "x-place": String(place) };
  const headers = { ...init.headers, ...ours };
  const response = await fetch(url, { ...init, headers, credentials: "same-origin" });
  if (response.status === 401) {
    await signedIn();
    return fetchFragments(url, init);
  }
  // Somebody has signed in again in another tab, just before.
  const sent = ours["x-csrf-token"];
  if (response.status === 403 && ![undefined, sent].includes(await token())) return fetchFragments(url, init);
  const text = await response.text();
  const isHtml = !text || response.headers.get("content-type")?.startsWith("text/html") || url.includes("/whoami");
  if (response.ok && isHtml) return text;
  throw new Error(said(text, response) || fill(page.error, response.status));
};

/** @param {() => void} run @param {number} wait */
const debounced = (run, wait) => {
  let timer = 0;
  return () => {
    // However much happens meanwhile: it runs.
    timer ||= window.setTimeout(() => {
      timer = 0;
      run();
    }, wait);
  };
};

/** What comes while the conversation is open and looked at is read. */
const markRead = debounced(() => {
  const chat = document.getElementById("thread")?.dataset.chat;
  if (chat && document.visibilityState === "visible") {
    void fetchFragments(`/console/chats/${chat}/read`, { method: "POST" }).catch(() => {});
  }
}, 400);

const refreshFolders = debounced(() => void refresh("folders"), 1500);
const refreshPhone = debounced(() => void refresh("phone"), 250);
const refreshList = debounced(() => void refresh("list"), 600);

/** @param {string} part */
const refresh = async (part) => {
  const inbox = document.getElementById("inbox");
  if (!inbox) return;
  if (part === "phone" && !document.getElementById("phone-messages")) return;
  const url = new URL(location.href);
  url.searchParams.set("part", part);
  const html = await fetchFragments(url.href).catch(() => "");
  await released();
  if (part !== "phone") return void apply(html);
  // What is being typed into the phone stays.
  const [fresh] = parse(html).flatMap((one) => [...one.querySelectorAll("#phone-messages")]);
  const list = document.getElementById("phone-messages");
  if (fresh && list) {
    list.replaceWith(fresh);
    fresh.scrollTop = fresh.scrollHeight;
  }
};

/** The last event that the page shows: a new stream goes on from there. */
let seen = body.dataset.since ?? "";
let offline = 0;

/** Resolves while nobody has paused what comes. @type {Promise<void>} */
let goesOn = Promise.resolve();
for (const button of document.querySelectorAll("button[data-pause]")) {
  if (!(button instanceof HTMLButtonElement)) continue;
  const [pause, goOn] = [button.textContent, button.dataset.pause ?? ""];
  /** @type {(() => void) | null} */
  let end = null;
  button.addEventListener("click", () => {
    if (end) end();
    else goesOn = new Promise((done) => (end = () => (end = null, done())));
    button.textContent = end ? goOn : pause;
  });
}

const listen = () => {
  const inbox = document.getElementById("inbox") ?? document.querySelector("[data-tail]");
  if (!(inbox instanceof HTMLElement) || !body.dataset.live) return;
  const url = new URL(body.dataset.live, location.href);
  if (seen) url.searchParams.set("after", seen);
  for (const name of ["folder", "chat", "q", "tail"]) {
    const value = inbox.dataset[name];
    if (value !== undefined) url.searchParams.set(name, value);
  }
  const source = new EventSource(url);
  source.addEventListener("open", () => {
    clearTimeout(offline);
    offline = 0;
    delete body.dataset.offline;
  });
  source.addEventListener("fragments", async (event) => {
    await released();
    await goesOn;
    seen = event.lastEventId || seen;
    const placed = apply(event.data);
    if (placed.some((part) => part.classList.contains("customer"))) markRead();
    for (const badge of document.querySelectorAll(".row[aria-current] .unread")) badge.remove();
    refreshFolders();
    refreshPhone();
    if (inbox.dataset.folder && inbox.dataset.folder !== "all") refreshList();
  });
  source.addEventListener("reset", () => location.reload());
  source.addEventListener("error", () => {
    // The browser tries again and again: what counts is the first that failed.
    offline ||= window.setTimeout(() => (body.dataset.offline = ""), 4000);
    if (source.readyState !== EventSource.CLOSED) return;
    // Whoever is not signed in any more is led there by the first call.
    const again = () => fetchFragments("/console/whoami").then(listen, () => setTimeout(again, 3000));
    setTimeout(again, 3000);
  });
};

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!(form instanceof HTMLFormElement) || form.dataset.post === undefined) return;
  event.preventDefault();
  const wanted = form.dataset.confirm ?? event.submitter?.dataset.confirm;
  // A disabled button would say nothing.
  const data = new URLSearchParams(/** @type {any} */ (new FormData(form, event.submitter)));
  if (wanted && !(await sure(wanted))) return;
  const button = event.submitter instanceof HTMLButtonElement ? event.submitter : form.querySelector("button");
  if (button) button.disabled = true;
  if (form.dataset.clear !== undefined) form.reset();
  try {
    const html = await fetchFragments(form.action, { method: "POST", body: data });
    await released();
    if (event.submitter?.dataset.keep === undefined) form.reset();
    apply(html, true);
    refreshFolders();
  } catch (problem) {
    say(problem);
  } finally {
    if (button) button.disabled = false;
  }
});

document.addEventListener("change", (event) => {
  const field = event.target;
  if (!(field instanceof HTMLInputElement) || field.dataset.all === undefined) return;
  for (const box of field.form?.elements ?? []) {
    if (box instanceof HTMLInputElement && box.name === "letter") [box.checked, box.disabled] = [field.checked, field.checked];
  }
});

// How what is being written looks.
/** @type {WeakMap<HTMLFormElement, number>} */
const previews = new WeakMap();
document.addEventListener("input", (event) => {
  const form = /** @type {HTMLFormElement | null} */ (near(event, "form"));
  const address = form?.dataset.preview;
  if (!form || !address) return;
  clearTimeout(previews.get(form));
  const preview = async () => {
    const body = new URLSearchParams(/** @type {any} */ (new FormData(form)));
    const html = await fetchFragments(address, { method: "POST", body });
    await released();
    if (form.isConnected) apply(html);
  };
  previews.set(form, window.setTimeout(() => void preview().catch(() => {}), 350));
});

/** Opens a dialog, whose address stands in the page's. @param {string} address */
const open = async (address) => {
  for (const part of apply(await fetchFragments(address))) {
    if (!(part instanceof HTMLDialogElement)) continue;
    part.showModal();
    const { pathname, search } = new URL(address, location.href);
    mark("show", pathname + search);
  }
};

/** Writes a state into the page's address. @param {string} name @param {string} [value] */
const mark = (name, value) => {
  const url = new URL(location.href);
  if (value === undefined) url.searchParams.delete(name);
  else url.searchParams.set(name, value);
  history.replaceState(history.state, "", url);
};
document.addEventListener("close", (event) => {
  if (near(event, "#dialogs")) mark("show");
}, true);

/**
 * Follows a link once, however often it is clicked.
 * @param {HTMLElement} link @param {() => Promise<void>} follow
 */
const once = async (link, follow) => {
  if (link.getAttribute("aria-busy") === "true") return;
  link.setAttribute("aria-busy", "true");
  try {
    await follow();
  } catch (problem) {
    say(problem);
  } finally {
    link.removeAttribute("aria-busy");
  }
};

document.addEventListener("click", async (event) => {
  const link = near(event, "[data-get]");
  if (link instanceof HTMLElement && link.dataset.get) {
    event.preventDefault();
    const address = link.dataset.get;
    await once(link, async () => {
      const parts = parse(await fetchFragments(address));
      const scroll = document.getElementById("scroll");
      const below = scroll ? scroll.scrollHeight - scroll.scrollTop : 0;
      link.replaceWith(...(link.id === "older" ? [] : parts));
      if (link.id === "older") {
        const older = parts.find((part) => part.id === "older");
        const isNew = (/** @type {Element} */ part) => part !== older && !document.getElementById(part.id);
        document.getElementById("messages")?.prepend(...parts.filter(isNew));
        if (older) document.getElementById("messages")?.before(older);
        parted();
        if (scroll) scroll.scrollTop = scroll.scrollHeight - below;
      }
      for (const part of parts) localize(part);
    });
  }
  // Until the next conversation is there, bare shapes stand for it.
  if (near(event, "a.row") && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    document.getElementById("thread")?.setAttribute("aria-busy", "true");
  }
  const show = near(event, "a[data-show]");
  if (show instanceof HTMLAnchorElement) {
    event.preventDefault();
    await once(show, () => open(show.href));
  }
  if (event.target === newer()) toEnd();
  if (near(event, "[data-panel]")) {
    const isShown = document.getElementById("inbox")?.toggleAttribute("data-show-panel");
    mark("panel", isShown ? "1" : undefined);
  }
  if (near(event, "[data-phone]")) {
    document.getElementById("inbox")?.toggleAttribute("data-show-phone");
    if (phone) phone.scrollTop = phone.scrollHeight;
  }
});

let staysAtEnd = true;
document.getElementById("scroll")?.addEventListener("scroll", (event) => {
  const scroll = /** @type {HTMLElement} */ (event.target);
  staysAtEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 40;
  if (staysAtEnd) toEnd();
});
document.getElementById("scroll")?.addEventListener("load", () => staysAtEnd && toEnd(), true);

addEventListener("pageshow", () => document.getElementById("thread")?.removeAttribute("aria-busy"));

// When Instagram's window closes, the composer says so.
const isClosed = () => {
  const end = document.querySelector("#hint time[data-left]");
  return end instanceof HTMLTimeElement && new Date(end.dateTime) < new Date();
};
const wasClosed = isClosed();
setInterval(() => {
  localize(body);
  parted();
  if (!wasClosed && isClosed()) location.reload();
}, 30000);
localize(body);
parted();
location.hash || toEnd();
const phone = document.getElementById("phone-messages");
if (phone) phone.scrollTop = phone.scrollHeight;
void refresh("folders");
document.addEventListener("visibilitychange", markRead);
listen();
const asked = new URLSearchParams(location.search);
if (asked.has("panel")) document.getElementById("inbox")?.setAttribute("data-show-panel", "");
const shown = asked.get("show");
// Only dialogs: whoever sends a link does not choose what is put into the page.
const address = new URL(shown ?? "", location.href);
const isDialog = /^\/console\/(chats\/[\da-f-]{36}\/trace|accounts\/[\da-f-]{36}\/(profile|rules))$/.test(address.pathname);
if (shown && isDialog && address.origin === location.origin) open(address.href).catch(say);
