// The composer: counts bytes, keeps a draft for each conversation, and shows what is sent before the answer
// comes.
// @ts-check
import { apply, fetchFragments } from "./fragments.js";
import { say, sure } from "./notices.js";
import { fill, near } from "./words.js";

/** Instagram's limit, in bytes of UTF-8. */
const MOST = 1000;

const form = /** @type {HTMLFormElement | null} */ (document.getElementById("composer"));
const text = /** @type {HTMLTextAreaElement | null} */ (document.getElementById("text"));

if (form && text) {
  const { subaccount, name } = document.body.dataset;
  const key = `draft:${subaccount}:${name}:${form.dataset.chat}`;
  const button = /** @type {HTMLButtonElement} */ (document.getElementById("send"));
  const bytes = /** @type {HTMLElement} */ (document.getElementById("bytes"));

  const count = () => {
    const size = new TextEncoder().encode(text.value.trim()).length;
    bytes.textContent = size > MOST * 0.8 ? fill(form.dataset.bytes, size, MOST) : "";
    bytes.classList.toggle("over", size > MOST);
    button.disabled = size === 0 || size > MOST;
  };

  // The message that the next one replies to.
  let replies = "";
  const replying = document.getElementById("replying");
  const replyToNone = () => {
    replies = "";
    if (replying) replying.hidden = true;
  };
  replying?.querySelector("button")?.addEventListener("click", replyToNone);
  document.addEventListener("click", (event) => {
    const wanted = near(event, "[data-reply]");
    const stripe = replying?.querySelector("span");
    if (!(wanted instanceof HTMLElement) || !replying || !stripe) return;
    replies = wanted.dataset.reply ?? "";
    stripe.textContent = wanted.dataset.words ?? "";
    replying.hidden = false;
    text.focus();
  });

  const file = /** @type {HTMLInputElement | null} */ (document.getElementById("file"));
  file?.addEventListener("change", async () => {
    const chosen = file.files?.[0];
    file.value = "";
    if (!chosen || !(await sure(fill(file.dataset.confirm, chosen.name)))) return;
    file.disabled = true;
    // The same key until it is known to be stored: it goes to the customer once.
    const known = `file:${form.dataset.chat}:${chosen.name}:${chosen.size}:${chosen.lastModified}:${replies}`;
    const id = sessionStorage.getItem(known) ?? newKey();
    sessionStorage.setItem(known, id);
    try {
      const headers = { "content-type": "application/octet-stream", "idempotency-key": id };
      const address = `/console/chats/${form.dataset.chat}/attach?reply_to=${replies}`;
      apply(await fetchFragments(address, { method: "POST", body: chosen, headers }), true);
      sessionStorage.removeItem(known);
      replyToNone();
    } catch (problem) {
      say(problem);
    } finally {
      file.disabled = false;
    }
  });

  text.value = localStorage.getItem(key) ?? "";
  count();
  text.addEventListener("input", () => {
    // A draft outlives the tab; an empty one is none.
    if (text.value) localStorage.setItem(key, text.value);
    else localStorage.removeItem(key);
    count();
  });
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      if (!button.disabled) form.requestSubmit();
    }
  });

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const words = text.value.trim();
    if (!words || button.disabled) return;
    // The same key if it is sent again: it goes to the customer once.
    const id = newKey();
    const replyTo = replies;
    replyToNone();
    keep([...kept(), { id, words, replyTo }]);
    text.value = "";
    localStorage.removeItem(key);
    count();
    await send(words, id, replyTo);
  });

  /** @param {string} words @param {string} id @param {string} [replyTo] */
  const send = async (words, id, replyTo = "") => {
    const bubble = pending(words, id);
    try {
      const data = new URLSearchParams({ text: words, reply_to: replyTo });
      const init = { method: "POST", body: data, headers: { "idempotency-key": id } };
      const html = await fetchFragments(form.action, init);
      document.getElementById(bubble)?.remove();
      forget(id);
      apply(html, true);
    } catch (problem) {
      failed(bubble, words, id, replyTo, problem instanceof Error ? problem.message : String(problem));
    }
  };

  /** @param {string} words @param {string} id */
  const pending = (words, id) => {
    const item = document.createElement("li");
    item.id = `pending-${id}`;
    item.className = "bubble colleague is-pending";
    const by = document.createElement("span");
    by.className = "by";
    by.textContent = form.dataset.author ?? "";
    const said = document.createElement("p");
    said.textContent = words;
    item.append(by, said);
    document.getElementById(item.id)?.remove();
    document.getElementById("messages")?.append(item);
    item.scrollIntoView({ block: "end" });
    return item.id;
  };

  /** @param {string} bubble @param {string} words @param {string} id @param {string} replyTo @param {string} why */
  const failed = (bubble, words, id, replyTo, why) => {
    const item = document.getElementById(bubble);
    if (!item) return;
    item.classList.add("is-failed");
    const trouble = document.createElement("p");
    trouble.className = "trouble";
    trouble.textContent = why;
    const discard = () => {
      forget(id);
      item.remove();
    };
    const again = () => void send(words, id, replyTo);
    item.append(trouble, choice(form.dataset.tryAgain, again), choice(form.dataset.discard, discard));
  };

  // What is not known to be stored survives a reload, with its key.
  const waiting = `pending:${form.dataset.chat}`;
  /** @returns {{ id: string, words: string, replyTo?: string }[]} */
  const kept = () => JSON.parse(sessionStorage.getItem(waiting) ?? "[]");
  /** @param {{ id: string, words: string, replyTo?: string }[]} all */
  const keep = (all) => sessionStorage.setItem(waiting, JSON.stringify(all));
  /** @param {string} id */
  const forget = (id) => keep(kept().filter((one) => one.id !== id));
  for (const { id, words, replyTo = "" } of kept()) {
    failed(pending(words, id), words, id, replyTo, fill(form.dataset.maybeSent));
  }
}

/** @param {string | undefined} label @param {() => void} act */
function choice(label, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = fill(label);
  made.addEventListener("click", act);
  return made;
}

// Drafts are for whoever wrote them.
document.querySelector("header form[action$='/sign-out']")?.addEventListener("submit", () => {
  for (const key of Object.keys(localStorage)) if (key.startsWith("draft:")) localStorage.removeItem(key);
});

/** A key for a message: also where the page has no secure origin. */
function newKey() {
  const bytes = [...crypto.getRandomValues(new Uint8Array(16))];
  return bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
